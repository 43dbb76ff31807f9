"""peaq: activity events in the EventRegistry contract, and the machine's heartbeat.

The registry knows no duplicates: whatever is sent twice counts twice. So an event is one transaction with one nonce of
this account, persisted before it is sent, and another takes its place only when the chain shows that it never can come.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal, NamedTuple

import aiohttp
import msgspec
from msgspec import Meta

from wattness.config import NetworkConfig, check_url
from wattness.errors import ConfigError, NetworkError, RefusedError
from wattness.model import Receipt, Report
from wattness.signing import DigestSigner
from wattwire import merkle

from . import evm
from .base import Check, Draft, Memory, Reconciled, Sources, settings_of
from .chain import Carrier, Chain, RpcError, Waiting
from .chainpast import Past
from .cloudevent import stamp
from .ethereum import address, keccak256, personal_digest
from .http import HttpClient, new_session
from .meter import claimable

TIMEOUT_S = 8.0
MAINNET = 3338
SUBMIT_EVENT = "submitEvent(uint256,uint8,uint256,string,uint256,bytes32,uint8,uint256,bytes32,bytes)"
ACTIVITY = 1  # an event type; a revenue event would be 0
HEARTBEAT_S = 75  # real; asked every 30 s, so at most 105 s apart where 120 are allowed and 180 forgiven
GWEI = 10**9

Natural = Annotated[int, Meta(ge=0)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the owner sets; what the facts do not settle has the most careful default."""

    machine_id: Natural
    registry: Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{40}\Z")]
    chain_id: Annotated[int, Meta(ge=1)]
    trust_level: Literal[0, 2] = 0  # 2 claims that hardware signed: only for what a board saw, and if peaq agrees
    value: Literal["none", "generation_wh"] = "none"  # an activity's value may be 0
    metadata: Literal["none", "data"] = "none"  # "data" puts the figures themselves on the public chain
    gas_max: Annotated[int, Meta(ge=21_000, le=30_000_000)] = 500_000
    gas_price_max_gwei: Annotated[int, Meta(ge=1, le=100_000)] = 100
    tip_max_gwei: Annotated[int, Meta(ge=0, le=100_000)] = 1
    receipt_s: Annotated[float, Meta(gt=0, le=12)] = 10
    poll_s: Annotated[float, Meta(gt=0, le=10)] = 1
    confirmations: Annotated[int, Meta(ge=1, le=100)] = 1
    forget_blocks: Annotated[int, Meta(ge=1, le=10_000)] = 12
    heartbeat_url: str = ""  # its base; empty: none is sent
    heartbeat_signature: Literal["eip191", "keccak256"] = "eip191"

    def fees(self) -> evm.Fees:
        """What one transaction may cost."""
        return evm.Fees(self.gas_max, self.gas_price_max_gwei * GWEI, self.tip_max_gwei * GWEI)

    def waiting(self) -> Waiting:
        """How long to wait for blocks."""
        return Waiting(self.receipt_s, self.poll_s, self.confirmations, self.forget_blocks)


class Signed(msgspec.Struct, frozen=True):
    """What is kept of an event: the transaction, and the exact bytes whose hash is in it."""

    data: str
    transaction: str  # raw, 0x-hex


class Event(NamedTuple):
    """One window of one board, as the registry will know it."""

    data: bytes
    at_s: int
    value: int
    trust_level: int


class PeaqNetwork:
    """The adapter of one machine."""

    def __init__(self, config: NetworkConfig, settings: Settings, signer: DigestSigner, sources: Sources) -> None:
        self.name, self.config, self.settings, self.signer, self.sources = (
            config.name,
            config,
            settings,
            signer,
            sources,
        )
        self.address = address(signer.public_key)
        self._beat_ms = 0

    def serve(self, session: aiohttp.ClientSession) -> None:
        """Speak over this session."""
        self.client = HttpClient(session, self.config.url, TIMEOUT_S)
        self.chain = Chain(self.client)
        self.carrier = Carrier(self.chain, self.address, self.settings.waiting())
        self.past = Past(self.chain, self.address)
        self.heart = HttpClient(session, self.settings.heartbeat_url, TIMEOUT_S)

    async def validate(self, reports: Sequence[Report], memory: Memory) -> Draft:
        """Return the window's event as an unsigned transaction with the account's next nonce."""
        event = make_event(reports, self.settings)
        nonce = int(memory.get("nonce", 0))  # of a fresh account; the chain corrects another one's
        message = evm.unsigned(self.settings.chain_id, nonce, self.settings.fees(), self._call(event))
        return Draft(msgspec.json.encode(Signed(event.data.decode(), "0x" + message.hex())), {"nonce": nonce + 1})

    async def sign(self, body: bytes) -> bytes:
        """Return the raw transaction, with the bytes that it stands for."""
        draft = msgspec.json.decode(body, type=Signed)
        raw = await evm.signed(bytes.fromhex(draft.transaction[2:]), self.signer)
        return msgspec.json.encode(Signed(draft.data, "0x" + raw.hex()))

    async def send(self, signed: bytes) -> Receipt:
        """Bring the transaction into a block."""
        try:
            kept = msgspec.json.decode(signed, type=Signed)
            transaction = evm.parse_transaction(bytes.fromhex(kept.transaction[2:]))
        except ValueError as error:
            raise RefusedError("damaged", f"what was kept is no transaction: {error}") from None
        if not evm.signed_by(transaction, self.signer.public_key):
            raise RefusedError("not_ours", f"the transaction is not signed by {self.address}")
        if keccak256(kept.data.encode()) not in transaction.call.data:
            raise RefusedError("damaged", "the transaction is not about the data that is kept with it")
        return self._receipt(transaction.hash, await self.carrier.deliver(transaction), kept.data)

    async def find(self, reports: Sequence[Report]) -> Receipt | None:
        """Look through what this account did since the window's end for this very event."""
        event = make_event(reports, self.settings)
        found = await self.past.find(keccak256(event.data), event.at_s)
        return self._receipt(*found, event.data.decode()) if found else None

    async def reconcile(self, after_epoch: int) -> Reconciled:  # noqa: ARG002 - nothing is paid for events
        """Say that the machine is there, when that is due."""
        now_ms = self.sources.clock.real_ms_now()
        if self.settings.heartbeat_url and now_ms - self._beat_ms >= HEARTBEAT_S * 1000:
            await self.heart.post("/api/v1/heartbeats", await self._heartbeat(), {"Content-Type": "application/json"})
            self._beat_ms = now_ms
        return Reconciled([])

    async def check(self) -> list[Check]:
        """Ask the chain who it is, what this account holds, and whether it would take an event."""
        checks = [Check("key", ok=True, text=f"Reports come from the account {self.address}.")]
        checks += await self.client.reach("", self.sources.clock)
        if not all(check.ok for check in checks if check.subject == "endpoint"):
            return checks
        try:
            return [*checks, await self._check_chain(), await self._check_balance(), await self._check_gate()]
        except NetworkError as error:
            return [*checks, Check("endpoint", ok=False, text=f"{self.config.url} is no chain's node: {error}")]

    async def _check_chain(self) -> Check:
        found, wanted = await self.chain.number("eth_chainId"), self.settings.chain_id
        remedy = "." if found == wanted else f", not {wanted}; set `url` or `chain_id` right."
        return Check("endpoint", ok=found == wanted, text=f"This is chain {found}{remedy}")

    async def _check_balance(self) -> Check:
        held = await self.chain.number("eth_getBalance", self.address, "latest")
        fees = self.settings.fees()
        needed = fees.gas * fees.gas_price_max_wei
        text = f"The account holds {held} wei; an event may cost up to {needed}"
        return Check("gate", ok=held >= needed, text=text + ("." if held >= needed else ": send it coin for gas."))

    async def _check_gate(self) -> Check:
        """Let the node try an event of no figures, which goes into no block."""
        call = self._call(Event(b"{}", self.sources.clock.now_ms() // 1000, 0, 0))
        what = {"from": self.address, "to": self.settings.registry, "data": "0x" + call.data.hex()}
        machine = f"machine {self.settings.machine_id}"
        try:
            gas = await self.chain.number("eth_estimateGas", what)
        except RpcError as error:
            text = f"The registry takes no event of {machine} from this account ({error.why()}); "
            remedy = "it must own or control the machine, and the machine's subscription must be active."
            return Check("gate", ok=False, text=text + remedy)
        cap = self.settings.gas_max
        remedy = "." if gas <= cap else f", more than `gas_max` {cap}; raise it."
        return Check("gate", ok=gas <= cap, text=f"An event of {machine} would take {gas} gas{remedy}")

    def _call(self, event: Event) -> evm.Call:
        settings = self.settings
        about = (settings.machine_id, ACTIVITY, event.value, "", event.at_s, keccak256(event.data), event.trust_level)
        metadata = event.data if settings.metadata == "data" else b""
        data = evm.call_data(SUBMIT_EVENT, *about, 0, bytes(32), metadata)
        return evm.Call(bytes.fromhex(settings.registry[2:]), data)

    async def _heartbeat(self) -> bytes:
        sent_at = stamp(self.sources.clock.now_ms())
        text = f"machineId: {self.settings.machine_id}\nsentAt: {sent_at}".encode()
        digest = personal_digest(text) if self.settings.heartbeat_signature == "eip191" else keccak256(text)
        signature = await self.signer.sign_digest(digest)
        hexed = "0x" + (signature[:64] + bytes((27 + signature[64],))).hex()
        return msgspec.json.encode({"machineId": str(self.settings.machine_id), "sentAt": sent_at, "signature": hexed})

    @staticmethod
    def _receipt(digest: str, block: int, data: str) -> Receipt:
        return Receipt(digest, {"transaction": digest, "block": block, "data": data})


def make_event(reports: Sequence[Report], settings: Settings) -> Event:
    """Return the event of one board's window; raises RefusedError. The same reports always give the same bytes."""
    good = claimable(reports)
    devices = sorted({report.device for report in good})
    streams = [_stream([report for report in good if report.device == device]) for device in devices]
    a, b = min(report.a for report in good), max(report.b for report in good)
    data: dict[str, Any] = {
        "a": a,
        "b": b,
        "board": good[0].board_key.hex(),
        "rules": good[0].rules,
        "streams": streams,
    }
    by_board = all(report.provenance == "board" for report in good)
    generated = sum(report.figures["energy"].get("energy_export", 0) for report in good if report.role == "pv")
    return Event(
        msgspec.json.encode(data, order="sorted"),
        b // 1000,
        generated // 1000 if settings.value == "generation_wh" else 0,
        settings.trust_level if by_board else 0,
    )


def _stream(reports: Sequence[Report]) -> dict[str, Any]:
    """Return what one stream did in the window: its intervals' sums, and the root over their evidence's roots."""
    energy: dict[str, int] = {}
    for report in reports:
        for name, energy_mwh in report.figures["energy"].items():
            energy[name] = energy.get(name, 0) + energy_mwh
    return {
        "device": reports[0].device,
        "role": reports[0].role,
        "provenance": reports[0].provenance,
        "intervals": len(reports),
        "covered_ms": sum(report.figures["covered_ms"] for report in reports),
        "energy_mwh": energy,
        "root": bytes(merkle.root([report.root for report in reports])).hex(),
    }


@asynccontextmanager
async def open_network(config: NetworkConfig, signer: DigestSigner, sources: Sources) -> AsyncIterator[PeaqNetwork]:
    """Open the adapter of one machine; raises ConfigError."""
    path = f"$.network[{config.name}]"
    settings = settings_of(config, Settings)
    check_url(config.url, ("http", "https"), f"{path}.url")
    if settings.heartbeat_url:
        check_url(settings.heartbeat_url, ("http", "https"), f"{path}.settings.heartbeat_url")
    if settings.chain_id == MAINNET and not config.production:
        raise ConfigError(
            f"{path}.settings.chain_id: {MAINNET} is peaq in earnest; to report there, set `production = true`"
        )
    if settings.tip_max_gwei > settings.gas_price_max_gwei:
        raise ConfigError(f"{path}.settings.tip_max_gwei: must not be more than gas_price_max_gwei")
    network = PeaqNetwork(config, settings, signer, sources)
    async with new_session() as session:
        network.serve(session)
        yield network
