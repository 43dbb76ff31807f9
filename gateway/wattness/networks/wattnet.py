"""The reference reward network: COSE_Sign1 reports over HTTP, challenges answered with raw frames."""

import asyncio
import base64
import hashlib
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, cast

import aiohttp
import msgspec
from msgspec import Meta

from wattness.config import NetworkConfig, check_url
from wattness.errors import RefusedError, UnavailableError
from wattness.model import Receipt, Report, Reward
from wattness.signing import Signer
from wattwire import cbor, cose, frame
from wattwire.errors import WireError

from .base import Check, Draft, Memory, Reconciled, Sources, settings_of
from .claims import Settings
from .http import HttpClient, new_session, shaped

AAD = b"wattnet/1"
TIMEOUT_S = 10.0

Hex = Annotated[str, Meta(pattern=r"\A([0-9a-f]{2})+\Z")]
LOG = logging.getLogger(__name__)


class WattnetNetwork:
    """The adapter; one per configured network of this kind."""

    def __init__(self, name: str, client: HttpClient, signer: Signer, sources: Sources) -> None:
        self.name = name
        self.client = client
        self.signer = signer
        self.sources = sources
        self.kid = cose.kid(signer.public_key)
        self._introduced: set[bytes] = set()  # board keys; b"" is the gateway itself
        self._introducing = asyncio.Lock()

    async def validate(self, reports: Sequence[Report], memory: Memory) -> Draft:  # noqa: ARG002 - nothing to remember
        """Return the report's deterministic CBOR; raises RefusedError for what this network cannot take."""
        (report,) = reports
        if report.verdict == "quarantined":
            raise RefusedError("quarantined", ", ".join(report.reasons))
        value = {name: getattr(report, name) for name in report.__struct_fields__ if name != "board_key"}
        try:
            body = bytes(cbor.encode(value | {"board": report.board_key}))
            cose.join(self.kid, body, bytes(cose.SIGNATURE_SIZE))  # which refuses what will be too long
        except WireError as error:
            raise RefusedError(error.reason, error.detail) from None
        return Draft(body)

    async def sign(self, body: bytes) -> bytes:
        """Return the COSE_Sign1 over `body`."""
        signature = await self.signer.sign(cose.to_be_signed(self.kid, body, AAD))
        return bytes(cose.join(self.kid, body, signature))

    async def send(self, signed: bytes) -> Receipt:
        """Deliver a report, after introducing this gateway and its board where the network does not know them."""
        report = _report(signed)
        await self._introduce(report)
        try:
            value = await self.client.post("/v1/reports", signed)
        except RefusedError as error:
            if error.reason not in {"unknown_gateway", "unknown_board"}:
                raise
            self._introduced.clear()
            await self._introduce(report)
            value = await self.client.post("/v1/reports", signed)
        answer = shaped(value, _Answer)
        if answer.report != hashlib.sha256(signed).hexdigest():
            raise UnavailableError("the network answered about another report")
        return Receipt(answer.receipt, value)

    async def find(self, reports: Sequence[Report]) -> Receipt | None:
        """Return the receipt of a claim that an earlier life of this gateway made for the slot."""
        (report,) = reports
        slot: dict[str, str | int] = {"board": report.board_key.hex(), "device": report.device, "a": report.a}
        try:
            value = await self.client.get("/v1/claims", gateway=self.kid.hex(), **slot)
        except RefusedError as error:
            raise UnavailableError(f"the network will not say what it took: {error}") from None
        claims = shaped(value, _Claims).claims
        return Receipt(claims[0].receipt, value["claims"][0]) if claims else None

    async def reconcile(self, after_epoch: int) -> Reconciled:
        """Show the frames that are asked for, then fetch what was paid."""
        value = await self.client.get("/v1/challenges", gateway=self.kid.hex())
        proofs = 0
        for demand in shaped(value, _Demands).challenges:
            try:
                proofs += await self._prove(demand)
            except RefusedError as error:  # this one is lost or gone; the others wait
                LOG.warning("challenge refused network=%s reason=%s", self.name, error)
        value = await self.client.get("/v1/payouts", gateway=self.kid.hex(), after=after_epoch)
        rows = zip(shaped(value, _Payouts).payouts, value["payouts"], strict=True)
        return Reconciled([Reward(r.epoch, bytes.fromhex(r.board), r.device, r.amount, raw) for r, raw in rows], proofs)

    async def check(self) -> list[Check]:
        """Ask the network for its time; it takes every key."""
        key = Check("key", ok=True, text=f"Known as {self.kid.hex()}, the gateway's own key.")
        gate = Check("gate", ok=True, text="No approval is needed.")
        return [key, *await self.client.reach("/v1/summary", self.sources.clock), gate]

    async def _prove(self, demand: "_Demand") -> bool:
        """Answer one challenge, but only about a report that carries our own signature."""
        signed = bytes.fromhex(demand.report)
        if not await self._is_ours(signed):
            LOG.warning("challenge about a report we never signed network=%s", self.name)
            return False
        report = _report(signed)
        body = bytes(cbor.encode(await self.sources.frames(report["board"], report["evidence"])))
        proof = await self.sign(cbor.encode({"challenge": demand.id, "digest": hashlib.sha256(body).digest()}))
        headers = {"Wattnet-Proof": base64.b64encode(proof).decode()}
        value = await self.client.post(f"/v1/challenges/{demand.id}", body, headers)
        LOG.info(
            "challenge answered network=%s result=%s reason=%s", self.name, value.get("result"), value.get("reason")
        )
        return True

    async def _is_ours(self, signed: bytes) -> bool:
        """Whether we signed these bytes: signatures are deterministic, so signing again tells."""
        try:
            kid, payload, _ = cose.parse(signed)
            report = cbor.decode(payload)
        except WireError:
            return False
        is_report = isinstance(report, dict) and {"board", "evidence", "root"} <= report.keys()
        return is_report and kid == self.kid and await self.sign(payload) == signed

    async def _introduce(self, report: dict[str, Any]) -> None:
        """Register this gateway and the report's board, once per life and whenever the network forgot them."""
        board_key = report["board"]
        if board_key in self._introduced:
            return
        async with self._introducing:
            if b"" not in self._introduced:
                await self._register("/v1/gateways", {"public_key": self.signer.public_key})
                self._introduced.add(b"")
            if board_key not in self._introduced:
                await self._register("/v1/boards", await self._introduction(board_key, report["evidence"]))
                self._introduced.add(board_key)

    async def _introduction(self, board_key: bytes, evidence: list[list[int]]) -> dict[str, Any]:
        """Return what the network wants to see of a board: its key, and its own word that it reports to us."""
        board = await self.sources.board(board_key)
        if board is None:
            raise RefusedError("unknown_board", "the board is no longer enrolled here")
        for raw in await self.sources.frames(board_key, evidence):
            record = frame.decode(cose.parse(raw)[1])
            if record.kind == frame.KIND_STREAMS:
                return {"board": board.public_key, "name": board.name[:64], "streams": raw}
        raise RefusedError("no_evidence", "the frames that would prove this report are gone")

    async def _register(self, path: str, value: dict[str, Any]) -> None:
        await self.client.post(path, await self.sign(cbor.encode(value)))


class _Answer(msgspec.Struct):
    receipt: str
    report: str


class _Claim(msgspec.Struct):
    receipt: str


class _Claims(msgspec.Struct):
    claims: list[_Claim]


class _Demand(msgspec.Struct):
    id: Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
    report: Hex


class _Demands(msgspec.Struct):
    challenges: list[_Demand]


class _Payout(msgspec.Struct):
    epoch: int
    board: Hex
    device: str
    amount: int


class _Payouts(msgspec.Struct):
    payouts: list[_Payout]


def _report(signed: bytes) -> dict[str, Any]:
    """Return the content of a report of ours."""
    return cast("dict[str, Any]", cbor.decode(cose.parse(signed)[1]))


@asynccontextmanager
async def open_network(config: NetworkConfig, signer: Signer, sources: Sources) -> AsyncIterator[WattnetNetwork]:
    """Open the adapter of one configured network; raises ConfigError."""
    check_url(config.url, ("http", "https"), f"$.network[{config.name}].url")
    settings_of(config, Settings)  # which only `wattness rewards claim` uses; a misspelt one is said now
    connector = aiohttp.TCPConnector(limit=2 * config.in_flight + 2)
    async with new_session(connector=connector) as session:
        yield WattnetNetwork(config.name, HttpClient(session, config.url, TIMEOUT_S), signer, sources)
