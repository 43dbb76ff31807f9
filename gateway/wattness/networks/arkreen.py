"""Arkreen PoGG: a signed report an hour, of twelve samples of a plant's power and of its energy since it joined.

What is missing is left out: an interval without measured time, or one that is quarantined, gives no sample, and its
energy is never claimed. The next sample's counter stands where the one before it stood, plus what was measured since.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from wattness.clock import Life
from wattness.config import NetworkConfig, check_url
from wattness.errors import ConfigError, RefusedError, UnavailableError
from wattness.model import Receipt, Report
from wattness.signing import DigestSigner

from . import base58, ethereum
from .base import Check, Draft, Memory, Reconciled, Sources, settings_of
from .http import HttpClient, new_session, shaped
from .jsonrpc import JsonRpc
from .meter import EXPORT, check_length, energy_mwh, measured, only_stream, own, power_mw

TIMEOUT_S = 10.0
INTERVAL_S = 300
WINDOW_S = 3600
REFUSALS = {12201: "invalid_signature", 12207: "invalid_content"}
DIGITS_MAX = 20  # of a counter of eight bytes
UNKNOWN_MINER = (12208, 3005)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set for Arkreen."""

    resume: bool = True  # begin where Arkreen's own counter of the plant stands; else as a plant that is new


class Miner(msgspec.Struct, rename="camel"):
    """What Arkreen knows of a plant."""

    total_energy_generation: str | int  # mWh
    capacity: int | float | str | None = None


class ArkreenNetwork:
    """The adapter: one address is one miner, one plant, one stream."""

    def __init__(self, config: NetworkConfig, client: HttpClient, signer: DigestSigner, sources: Sources) -> None:
        self.name, self.devices = config.name, config.devices
        self.settings = settings_of(config, Settings)
        self.signer, self.clock = signer, sources.clock
        self.address = ethereum.address(signer.public_key)
        unknown = f"Arkreen does not know {self.address}: have it registered there as a miner"
        self.rpc = JsonRpc(client, REFUSALS, dict.fromkeys(UNKNOWN_MINER, unknown))
        self._life = Life(sources.clock)
        self._told_mwh: int | None = None  # by Arkreen, before this life signed anything
        self._held: dict[int, int] = {}  # mWh by window, which Arkreen holds from a life that we lost

    async def validate(self, reports: Sequence[Report], memory: Memory) -> Draft:
        """Return the JSON that is signed: an hour's samples, or the very first one."""
        memory = own(memory, self.address)
        stream = only_stream(reports, memory, self.devices)
        found = measured(reports, INTERVAL_S * 1000)
        if "energy_mwh" in memory:
            energy, unix_s = int(memory["energy_mwh"]), int(memory["unix_s"])
        else:
            energy, unix_s = await self._standing(found[-1]), 0
            if not energy:  # the plant joins: its first report is one sample of nothing
                return self._draft(stream, [(found[-1].b // 1000, 0, 0)])
        return self._draft(stream, self._samples(found, energy, unix_s))

    async def sign(self, body: bytes) -> bytes:
        """Return the whole request; what was signed stands in it unchanged."""
        signature = base58.encode(await self.signer.sign_digest(ethereum.keccak256(body)))
        last_unix_s = int(json.loads(body)["dataList"][-1][2:12], 16)
        front = b'{"jsonrpc":"2.0","id":%d,"method":"tx_reportMinerPoGG","params":' % last_unix_s
        return front + body[:-1] + b',"signature":"' + signature.encode() + b'"}}'

    async def send(self, signed: bytes) -> Receipt:
        """Deliver one report; an address that is not registered makes it wait."""
        result = await self.rpc.call(signed)
        return Receipt(str(result)[:128], {"result": result})

    async def find(self, reports: Sequence[Report]) -> Receipt | None:  # noqa: ARG002 - Arkreen tells only a sum
        """Ask once how much Arkreen holds of the plant, so that nothing of an earlier life is claimed again."""
        if self.settings.resume and self._told_mwh is None:
            self._told_mwh = await self._told()
        return None

    async def reconcile(self, after_epoch: int) -> Reconciled:  # noqa: ARG002 - Arkreen has no interface for payouts
        """Arkreen wants nothing between two reports."""
        return Reconciled([])

    async def check(self) -> list[Check]:
        """Ask Arkreen for the miner."""
        key = Check("key", ok=True, text=f"The miner's address is {self.address}.")
        reached = await self.rpc.client.reach("", self.clock)
        try:
            miner = await self._miner()
        except (RefusedError, UnavailableError) as error:
            gate = Check("gate", ok=False, text=f"{error}.")
        else:
            told = f"{miner.capacity} of capacity and {miner.total_energy_generation} mWh"
            gate = Check("gate", ok=True, text=f"Arkreen knows the miner, with {told}.")
        return [key, *reached, gate]

    def _samples(self, found: Sequence[Report], energy: int, unix_s: int) -> list[tuple[int, int, int]]:
        """Return (unix_s, mW, mWh) of the intervals that Arkreen cannot hold yet."""
        window = found[0].a // (WINDOW_S * 1000)
        energy += sum(mwh for at, mwh in self._held.items() if at != window and (at + 1) * WINDOW_S > unix_s)
        told = self._told_mwh or 0
        is_behind = told > energy  # Arkreen took reports from us that we do not remember
        before, samples = energy, []
        for report in found:
            if report.b // 1000 <= unix_s:
                continue  # a later sample has been made already
            energy += energy_mwh(report, EXPORT)
            if not (is_behind and energy <= told):
                samples.append((report.b // 1000, power_mw(report, EXPORT), energy))
        if not samples and is_behind:
            self._held[window] = energy - before
            raise RefusedError("claimed_before", f"Arkreen's counter stands at {told} mWh, which includes this hour")
        if not samples:
            raise RefusedError("not_ascending", "a later report has been made already")
        return samples

    def _draft(self, stream: str, samples: Sequence[tuple[int, int, int]]) -> Draft:
        """Return the report and what is remembered of it."""
        value = {"version": 1, "address": self.address, "dataList": [encode(*sample) for sample in samples]}
        unix_s, _, energy = samples[-1]
        body = json.dumps(value, separators=(",", ":")).encode()
        return Draft(body, {"identity": self.address, "stream": stream, "energy_mwh": energy, "unix_s": unix_s})

    async def _standing(self, last: Report) -> int:
        """Return where the counter of a plant stands that we remember nothing of."""
        told = await self._told() if self.settings.resume else 0
        if told and not self._life.saw(last.b):
            raise RefusedError("before_resume", "Arkreen holds reports of this miner, and cannot say of which hours")
        return told

    async def _told(self) -> int:
        """Return the plant's energy as Arkreen counts it, mWh."""
        text = str((await self._miner()).total_energy_generation)
        if not text.isdecimal() or len(text) > DIGITS_MAX:
            raise UnavailableError(f"Arkreen tells the energy as {text[:64]!r}, which is no number of mWh")
        return int(text)

    async def _miner(self) -> Miner:
        call = {"jsonrpc": "2.0", "id": 1, "method": "net_getMinerByAddress", "params": {"address": self.address}}
        return shaped(await self.rpc.call(json.dumps(call).encode()), Miner)


def encode(unix_s: int, mw: int, mwh: int) -> str:
    """Return a sample of 20 bytes as hex; raises RefusedError for what does not fit."""
    if not (0 <= unix_s < 1 << 40 and 0 <= mw < 1 << 48 and 0 <= mwh < 1 << 64):
        raise RefusedError("out_of_range", f"{mw} mW and {mwh} mWh at {unix_s}")
    return (b"\x01" + unix_s.to_bytes(5) + mw.to_bytes(6) + mwh.to_bytes(8)).hex()


@asynccontextmanager
async def open_network(config: NetworkConfig, signer: DigestSigner, sources: Sources) -> AsyncIterator[ArkreenNetwork]:
    """Open the adapter of one configured network; raises ConfigError."""
    check_url(config.url, ("http", "https"), f"$.network[{config.name}].url")
    check_length(sources.interval_s, INTERVAL_S, "Arkreen")
    if config.window_s != WINDOW_S:
        raise ConfigError(f"$.network[{config.name}].window_s: Arkreen takes one report an hour; leave this out")
    async with new_session() as session:
        yield ArkreenNetwork(config, HttpClient(session, config.url, TIMEOUT_S), signer, sources)
