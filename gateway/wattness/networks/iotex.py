"""IoTeX's w3bstream: one task per report, signed over the JSON as Go would write it."""

import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import aiohttp
import msgspec
from msgspec import Meta

from wattness.config import NetworkConfig, check_url
from wattness.errors import ConfigError, RefusedError, UnavailableError
from wattness.model import Receipt, Report
from wattness.signing import DigestSigner

from .base import Check, Draft, Memory, Reconciled, Sources, settings_of
from .ethereum import address, keccak256
from .http import HttpClient, new_session, shaped, taken
from .meter import claimable
from .slots import slot

TIMEOUT_S = 10.0
TASKS = "/v1/task"
U64_MAX = (1 << 64) - 1
# A project's circuit may read these out of the payload; whole numbers that are never negative.
SIGNABLE = frozenset({"timestamp", "from", "to", "energyImportMilliWh", "energyExportMilliWh", "coveredMs"})
_ESCAPED = re.compile(rb"[<>&]|\xe2\x80[\xa8\xa9]")  # the last two are U+2028 and U+2029
GATE = "the project's owner must approve this device: an ioID of its address, bound to the project"

Word = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.:-]*\Z", max_length=64)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[network.settings]` of this kind; what a project checks is its owner's."""

    project_id: Annotated[Word, Meta(min_length=1)]
    project_version: Word = ""
    signed_keys: tuple[str, ...] = ("timestamp",)  # in the order of the project's configuration


class IotexNetwork:
    """The adapter; one per configured network of this kind."""

    def __init__(self, config: NetworkConfig, client: HttpClient, signer: DigestSigner, sources: Sources) -> None:
        self.name, self.client, self.signer, self.sources = config.name, client, signer, sources
        self.settings, self.window_s = settings_of(config, Settings), config.window_s

    async def validate(self, reports: Sequence[Report], memory: Memory) -> Draft:  # noqa: ARG002 - nothing to remember
        """Return the task without its signature; raises RefusedError."""
        values = payload(claimable(reports))
        missing = [key for key in self.settings.signed_keys if key not in values]
        if missing:
            raise RefusedError("missing_signed_value", ", ".join(missing))
        task: dict[str, Any] = {"nonce": self._nonce(reports), "projectID": self.settings.project_id}
        if self.settings.project_version:
            task["projectVersion"] = self.settings.project_version
        return Draft(msgspec.json.encode(task | {"payload": values}))

    def _nonce(self, reports: Sequence[Report]) -> int:
        """Return the same number for the same slot, whenever it is asked for; every JSON reader can hold it."""
        return int.from_bytes(slot(reports, self.window_s)[:6], "big")

    async def sign(self, body: bytes) -> bytes:
        """Return the task with its signature."""
        return body[:-1] + f',"signature":"0x{(await self._signature(body))[:64].hex()}"}}'.encode()

    async def _signature(self, body: bytes) -> bytes:
        return await self.signer.sign_digest(digest(body, self.settings.signed_keys))

    async def send(self, signed: bytes) -> Receipt:
        """Deliver a task; its id must follow from our signature."""
        body = taken(
            await self.client.exchange("POST", TASKS, data=signed, headers={"Content-Type": "application/json"}), GATE
        )
        told = shaped(_object(body), _Taken).taskID
        if told not in task_ids(signed):
            raise UnavailableError("the network answered about another task")
        return Receipt(told, {"task": told})

    async def find(self, reports: Sequence[Report]) -> Receipt | None:
        """Return the task of an earlier life: the same report, signed again, has the same id."""
        draft = await self.validate(reports, {})
        task = task_id(await self._signature(draft.body))
        answer = await self.client.exchange("GET", f"{TASKS}/{task}")
        return Receipt(task, {"task": task, "found": True}) if answer.status == 200 else None

    async def reconcile(self, after_epoch: int) -> Reconciled:  # noqa: ARG002 - it is not asked
        """Return nothing: what a project pays, it pays in its own way."""
        return Reconciled([])

    async def check(self) -> list[Check]:
        """Return what can be known without handing in a task."""
        checks = [Check("key", ok=True, text=f"Tasks are signed by did:io:{address(self.signer.public_key).lower()}.")]
        checks += await self.client.reach(f"{TASKS}/0x{bytes(32).hex()}", self.sources.clock)
        text = f"Shows with the first task for project {self.settings.project_id}: {GATE}."
        return [*checks, Check("gate", ok=True, text=text)]


class _Taken(msgspec.Struct):
    taskID: Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{64}\Z")]  # noqa: N815 - the network's name


class _Request(msgspec.Struct):
    payload: dict[str, Any] | str


class _Signed(msgspec.Struct):
    signature: Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{128}\Z")]


def payload(reports: Sequence[Report]) -> dict[str, int | str]:
    """Return what a task tells of a window; what was not metered is not in it."""
    first, last = reports[0], reports[-1]
    values: dict[str, int | str] = {"timestamp": last.b // 1000, "from": first.a // 1000, "to": last.b // 1000}
    for key, name in (("energyImportMilliWh", "energy_import"), ("energyExportMilliWh", "energy_export")):
        parts = [report.figures["energy"][name] for report in reports if name in report.figures["energy"]]
        if parts:
            values[key] = sum(parts)
    values["coveredMs"] = sum(report.figures["covered_ms"] for report in reports)
    return values | {
        "role": first.role,
        "board": first.board_key.hex(),
        "device": first.device,
        "root": last.root.hex(),
        "provenance": first.provenance,
    }


def digest(body: bytes, signed_keys: Sequence[str]) -> bytes:
    """Return what is signed of a task without its signature; raises RefusedError for a key that is no u64."""
    first = hashlib.sha256(go_json(body)).digest()
    if not signed_keys:
        return first
    values = msgspec.json.decode(body, type=_Request).payload
    return hashlib.sha256(first + b"".join(_u64(values, key) for key in signed_keys)).digest()


def _u64(values: Mapping[str, Any] | str, key: str) -> bytes:
    value = None if isinstance(values, str) else values.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= U64_MAX:
        raise RefusedError("missing_signed_value", key)
    return value.to_bytes(8, "little")


def go_json(body: bytes) -> bytes:
    """Return compact JSON as Go's encoder passes it on: what a page could stumble over is escaped."""
    return _ESCAPED.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), body)


def task_ids(signed: bytes) -> tuple[str, str]:
    """Return the two ids that a task can have: one of them is of our key."""
    signature = bytes.fromhex(msgspec.json.decode(signed, type=_Signed).signature[2:])
    return task_id(signature + b"\0"), task_id(signature + b"\1")


def task_id(signature: bytes) -> str:
    """Return the id of the task with a signature (r‖s‖v)."""
    return "0x" + keccak256(signature).hex()


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        raise UnavailableError("the network answered no JSON object; look at `url`") from None


@asynccontextmanager
async def open_network(config: NetworkConfig, signer: DigestSigner, sources: Sources) -> AsyncIterator[IotexNetwork]:
    """Open the adapter of one configured network; raises ConfigError."""
    path = f"$.network[{config.name}]"
    settings = settings_of(config, Settings)
    check_url(config.url, ("http", "https"), f"{path}.url")
    unknown = [key for key in settings.signed_keys if key not in SIGNABLE]
    if unknown:
        raise ConfigError(f"{path}.settings.signed_keys: {unknown[0]!r} is not one of {', '.join(sorted(SIGNABLE))}")
    connector = aiohttp.TCPConnector(limit=2 * config.in_flight + 2)
    async with new_session(connector=connector) as session:
        yield IotexNetwork(config, HttpClient(session, config.url, TIMEOUT_S), signer, sources)
