"""Streamr: publishes to a stream through the owner's own node, which signs each message with its Ethereum key."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta

from wattness.clock import Clock
from wattness.config import NetworkConfig, check_url
from wattness.errors import RefusedError
from wattness.model import Receipt, Report
from wattness.signing import Signer

from .base import Check, Draft, Memory, Reconciled, Sources, secret_of, settings_of
from .http import HttpClient, new_session, taken
from .meter import claimable, covered

TIMEOUT_S = 10.0
GATE = "look at the API key, and whether the node's address may publish to the stream"
MESSAGE_BYTES_MAX = 256 * 1024
HERE = "{stream}"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the owner sets; [?] marks what is known from documents only."""

    stream: Annotated[str, Meta(min_length=1, max_length=256)]  # its id: 0x…/path
    api_key_file: Annotated[str, Meta(min_length=1)]  # in the gateway's home, mode 0600
    path: Annotated[str, Meta(pattern=r"\A/")] = f"/streams/{HERE}"  # [?] of the node's HTTP plugin
    scheme: Annotated[str, Meta(pattern=r"\A[A-Za-z]+\Z")] = "Bearer"  # [?] of its Authorization header


class StreamrNetwork:
    """The adapter. A message tells its own id: a node publishes whatever it is given, also twice."""

    def __init__(self, config: NetworkConfig, settings: Settings, api_key: str, http: HttpClient, clock: Clock) -> None:
        self.name = config.name
        self.settings, self.http, self.clock = settings, http, clock
        self._path = settings.path.replace(HERE, quote(settings.stream, safe=""))
        self._headers = {"Authorization": f"{settings.scheme} {api_key}", "Content-Type": "application/json"}

    async def validate(self, reports: Sequence[Report], memory: Memory) -> Draft:  # noqa: ARG002 - nothing to remember
        """Return the message of one window; raises RefusedError."""
        body = json.dumps(message(reports), separators=(",", ":")).encode()
        if len(body) > MESSAGE_BYTES_MAX:
            raise RefusedError("too_long", f"{len(body)} bytes; a shorter window_s makes shorter messages")
        return Draft(body)

    async def sign(self, body: bytes) -> bytes:
        """Return the body: the node signs."""
        return body

    async def send(self, signed: bytes) -> Receipt:
        """Hand it to the node; the receipt is the node's, and no proof that anybody heard."""
        answer = await self.http.exchange("POST", self._path, data=signed, headers=self._headers)
        said = taken(answer, GATE)
        return Receipt(json.loads(signed)["id"], {"status": answer.status, "said": said[:200].decode(errors="replace")})

    async def find(self, reports: Sequence[Report]) -> Receipt | None:  # noqa: ARG002 - it cannot be asked
        """Return nothing: a node does not tell what it published."""
        return None

    async def reconcile(self, after_epoch: int) -> Reconciled:  # noqa: ARG002 - it pays nothing
        """Return nothing: a transport pays nothing."""
        return Reconciled([])

    async def check(self) -> list[Check]:
        """Tell whether the node answers."""
        gate = f"Nothing but a publication shows whether the node may publish to {self.settings.stream}: {GATE}."
        return [
            Check("key", ok=True, text="The API key is readable by you alone; the node's own key signs."),
            *await self.http.reach("/", self.clock),
            Check("gate", ok=True, text=gate),
        ]


def message(reports: Sequence[Report]) -> dict[str, Any]:
    """Return what one window of one stream is told as; raises RefusedError when nothing was measured in it."""
    found = covered(claimable(reports))
    first, last = reports[0], reports[-1]
    return {
        "id": f"{first.board_key.hex()}/{first.device}/{first.a}",
        "board": first.board_key.hex(),
        "device": first.device,
        "role": first.role,
        "a": first.a,
        "b": last.b,
        "covered_ms": sum(report.figures["covered_ms"] for report in found),
        "energy_mwh": _energy(found),
        **_power(found),
        "flagged": sorted({reason for report in found for reason in report.reasons}),
        "provenance": first.provenance,
        "roots": [report.root.hex() for report in found],
        "rules": first.rules,
    }


def _energy(reports: Sequence[Report]) -> dict[str, int]:
    names = {name for report in reports for name in report.figures["energy"]}
    return {name: sum(report.figures["energy"].get(name, 0) for report in reports) for name in sorted(names)}


def _power(reports: Sequence[Report]) -> dict[str, Any]:
    """Return the statistics of power over all intervals that have some."""
    figures = [report.figures["power"] for report in reports if report.figures.get("power")]
    count = sum(figure["n"] for figure in figures)
    if not count:
        return {}
    return {
        "power_mw": {
            "min": min(figure["min"] for figure in figures),
            "max": max(figure["max"] for figure in figures),
            "mean": sum(figure["mean"] * figure["n"] for figure in figures) // count,
        }
    }


@asynccontextmanager
async def open_network(config: NetworkConfig, signer: Signer, sources: Sources) -> AsyncIterator[StreamrNetwork]:  # noqa: ARG001 - the node signs
    """Open the adapter of one configured network; raises ConfigError."""
    check_url(config.url, ("http", "https"), f"$.network[{config.name}].url")
    settings = settings_of(config, Settings)
    api_key = secret_of(sources, settings.api_key_file)
    async with new_session() as session:
        http = HttpClient(session, config.url, TIMEOUT_S)
        yield StreamrNetwork(config, settings, api_key, http, sources.clock)
