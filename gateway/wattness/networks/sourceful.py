"""Sourceful's Nova Core: telemetry over MQTT, each connection opened with a token of its own.

Nothing in a message is signed: Nova authenticates the connection. With QoS 1 the broker's PUBACK is the receipt; it
says that the broker has the message, not what Nova made of it. Nova wants no replay: the catalog's age limit is short.
"""

import hashlib
import json
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal, NamedTuple

import aiomqtt
import msgspec
from msgspec import Meta

from wattness.config import NetworkConfig
from wattness.endpoints import connection, tls_context
from wattness.errors import RefusedError
from wattness.model import Receipt, Report
from wattness.signing import Signer

from .base import Check, Draft, Memory, Reconciled, Sources, settings_of
from .mqtt import QUEUE_MAX, TIMEOUT_S, Connect, Line, broker_of
from .sourceful_telemetry import KINDS, Der, hardware_id, newest, sanitised, telemetry, topic
from .sourceful_token import mint

KEEPALIVE_S = 30
INVENTORY_EVERY_MS = 15 * 60_000
INVENTORY_BYTES_MAX = 128 * 1024
INVENTORY_DERS_MAX = 500  # of at most 250 bytes; further ones report, but are not in the inventory
ANY = "*"

LOG = logging.getLogger(__name__)
Word = Annotated[str, Meta(max_length=64)]


class DerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One DER as it was provisioned; the name must never change, or its series is orphaned."""

    name: Word = ""  # by default wattness-<type>
    make: Word = ""  # by default the profile's first word
    model: Word = ""  # by default the profile
    capacity_wh: Annotated[int, Meta(ge=1)] | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the owner may set; [?] marks what is not established."""

    serial: Word = ""  # the gateway's, as claimed; by default wattness-<12 hex digits of its key's hash>
    client_id: Word = ""  # [?] by default wattness-nova-<serial>
    ders: dict[str, DerSettings] = {}  # by hardware id; "*" for every stream. Nova drops what is not provisioned
    schema: Literal["legacy", "unified"] = "legacy"
    read_time: bool = True  # [?] repeat the time in read_time_ms, as FTW does; it was meant for a duration
    qos: Literal[0, 1] = 1  # 0 where the broker allows nothing else: then there is no receipt
    inventory: bool = True  # [?] optional for third parties
    ca_file: str = ""


class Claimer(NamedTuple):
    """Who claims a gateway."""

    claimer_id: str  # idt-…
    org_id: str  # org-…


class SourcefulNetwork:
    """The adapter; one connection for all DERs of the gateway."""

    def __init__(self, config: NetworkConfig, settings: Settings, signer: Signer, sources: Sources) -> None:
        self.name = config.name
        self.settings, self.signer, self.sources = settings, signer, sources
        self.serial = serial_of(settings, signer)
        self.line = Line(self._connecting(config), config.url)
        self._trial = Line(self._connecting(config, "-check"), config.url)  # which must not end the other connection
        self._ders: dict[str, Der] = {}
        self._told: tuple[int, list[Der]] = (0, [])  # on which connection, and what
        self._told_ms = 0

    async def validate(self, reports: Sequence[Report], memory: Memory) -> Draft:  # noqa: ARG002 - nothing to remember
        """Return topic and payload of the newest state in the window; raises RefusedError."""
        report = reports[-1]
        if report.verdict == "quarantined":
            raise RefusedError("quarantined", ", ".join(report.reasons))
        der = self._der(report)
        rows = await self.sources.readings(report.board_key, report.device, report.a, report.b)
        payload = telemetry(der, newest(rows), self.settings.schema, has_read_time=self.settings.read_time)
        if len(self._ders) < INVENTORY_DERS_MAX:
            self._ders[f"{der.hardware_id}/{der.name}"] = der
        return Draft(topic(self.serial, der).encode() + b"\n" + payload)

    async def sign(self, body: bytes) -> bytes:
        """Return the body: only connections are authenticated."""
        return body

    async def send(self, signed: bytes) -> Receipt:
        """Publish."""
        where, _, payload = signed.partition(b"\n")
        await self.line.publish(where.decode(), payload, qos=self.settings.qos)
        acknowledged = "PUBACK" if self.settings.qos else "nothing: QoS 0 has no acknowledgement"
        return Receipt(hashlib.sha256(signed).hexdigest()[:16], {"acknowledged": acknowledged})

    async def find(self, reports: Sequence[Report]) -> Receipt | None:  # noqa: ARG002 - it cannot be asked
        """Return nothing: Nova does not tell what it has."""
        return None

    async def reconcile(self, after_epoch: int) -> Reconciled:  # noqa: ARG002 - points are not told here
        """Show the inventory of DERs: on each connection, when it changed, and every 15 minutes."""
        now_ms, ders = self.sources.clock.now_ms(), list(self._ders.values())
        told = (self.line.connects, ders)
        is_due = self._told != told or now_ms - self._told_ms >= INVENTORY_EVERY_MS
        if ders and self.settings.inventory and is_due:
            where = f"gateways/{sanitised(self.serial)}/inventory/drivers/json/v1"
            await self.line.publish(where, inventory(self.serial, now_ms, ders), retain=True)
            self._told, self._told_ms = (self.line.connects, ders), now_ms
        return Reconciled([])

    async def check(self) -> list[Check]:
        """Tell whether the broker takes this key's token, and whether anything is provisioned."""
        key = f"To be claimed: gateway {self.serial}, public key {point_of(self.signer).hex()}."
        gate = Check("gate", ok=True, text=f"Provisioned: {', '.join(self.settings.ders)}.")
        if not self.settings.ders:
            remedy = "provision the devices with Sourceful, then name their hardware ids in `settings.ders`."
            gate = Check("gate", ok=False, text=f"No DER is provisioned: {remedy}")
        reached = await self._trial.check()
        await self._trial.close()
        return [Check("key", ok=True, text=key), reached, gate]

    def _der(self, report: Report) -> Der:
        kind, place = KINDS.get(report.role), hardware_id(report)
        found = self.settings.ders.get(place, self.settings.ders.get(ANY))
        if kind is None:
            raise RefusedError("no_der_type", f"Nova has no DER for a {report.role}")
        if found is None:
            raise RefusedError("unprovisioned", f"provision {place} with Sourceful, then name it in `settings.ders`")
        make = found.make or report.profile.partition("_")[0]
        name = found.name or f"wattness-{kind}"
        return Der(place, name, kind, make, found.model or report.profile, found.capacity_wh)

    def _connecting(self, config: NetworkConfig, suffix: str = "") -> Connect:
        endpoint = broker_of(config, self.sources, ca_file=self.settings.ca_file)
        tls = tls_context(endpoint)
        identifier = self.settings.client_id or f"wattness-nova-{self.serial}"
        identifier += suffix

        async def connect() -> aiomqtt.Client:
            token = await mint(self.signer, self.serial, self.sources.clock.now_ms() // 1000)
            login = endpoint._replace(user=self.serial, password=token)
            options: dict[str, Any] = {"keepalive": KEEPALIVE_S, "max_queued_incoming_messages": QUEUE_MAX}
            return connection(login, tls, identifier=identifier, timeout=TIMEOUT_S, **options)

        return connect


def inventory(serial: str, now_ms: int, ders: Sequence[Der]) -> bytes:
    """Return the heartbeat that lists what reports here; what does not fit is counted."""
    drivers = [
        {"name": der.name, "hardware_id": der.hardware_id, "type": der.kind, "make": der.make, "model": der.model}
        for der in ders
    ]
    value = {"gateway_serial": serial, "ts_ms": now_ms, "drivers": drivers}
    while len(data := json.dumps(value, separators=(",", ":")).encode()) > INVENTORY_BYTES_MAX:
        del drivers[-1]
        value["omitted"] = len(ders) - len(drivers)
    return data


def serial_of(settings: Settings, signer: Signer) -> str:
    """Return what the gateway is called at Sourceful."""
    return settings.serial or f"wattness-{hashlib.sha256(point_of(signer)).hexdigest()[:12]}"


def point_of(signer: Signer) -> bytes:
    """Return X‖Y."""
    return signer.public_key[1:]


async def claim(signer: Signer, serial: str, who: Claimer, now_s: int) -> dict[str, str]:
    """Return what an operator posts to `/gateways/claim`: this key's word that it is to be theirs."""
    message = f"{who.claimer_id}|{secrets.token_hex(16)}|{now_s}|{serial}"
    signature = await signer.sign(message.encode())
    return {
        "gateway_serial": serial,
        "org_id": who.org_id,
        "signature": signature.hex(),
        "message": message,
        "public_key": point_of(signer).hex(),
    }


@asynccontextmanager
async def open_network(config: NetworkConfig, signer: Signer, sources: Sources) -> AsyncIterator[SourcefulNetwork]:
    """Open the adapter of one configured network; raises ConfigError."""
    network = SourcefulNetwork(config, settings_of(config, Settings), signer, sources)
    try:
        yield network
    finally:
        await network.line.close()
