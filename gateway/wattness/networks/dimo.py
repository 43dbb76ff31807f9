"""DIMO's ingest of connections (DIS): a car's signals as CloudEvents, over TLS with our certificate."""

import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import aiohttp
import msgspec
from msgspec import Meta

from wattness.config import NetworkConfig, check_url
from wattness.errors import ConfigError, RefusedError, UnavailableError
from wattness.model import Reading, Receipt, Report
from wattness.signing import DigestSigner, Signer

from . import dimo_signals
from .base import Check, Draft, Memory, Reconciled, Sources, settings_of
from .cars import AMOY, SYNTHETICS, VEHICLES, Cars, check_cars, contract, stream_name
from .client_certificate import ClientCertificate
from .cloudevent import Address, Header, Token, event, stamp, token_did
from .dimo_signals import ADDED_ENERGY, GROSS_CAPACITY, Signal
from .http import HttpClient, new_session, taken
from .meter import claimable
from .pace import Pace
from .slots import slot

TIMEOUT_S = 10.0
PER_S_MAX = 50
ROWS_MAX = 300  # of an event; beyond it the rows are further apart
DAY_MS = 86_400_000
RENEW_S = 7 * 86_400
GATE = "DIMO's staff must allow your connection licence, and the car needs its vehicle and its synthetic device token."
LOG = logging.getLogger(__name__)


class Vehicle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A car as DIMO knows it; what is not set here is not told."""

    token_id: Token
    synthetic_token_id: Token
    vin: Annotated[str, Meta(pattern=r"\A([A-HJ-NPR-Z0-9]{17})?\Z")] = ""
    battery_kwh: Annotated[float, Meta(ge=0, le=2000)] = 0  # its gross capacity


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[network.settings]` of this kind."""

    vehicles: dict[str, Vehicle]  # by "<kid>/<device>", "<device>", or "vehicle": the only one
    certificate: str = "dimo.crt"  # PEM, with its chain; its common name is the connection licence's address
    certificate_key: str = "dimo.key"  # PEM, mode 0600
    ca_file: str = ""  # of the server, where the system does not know it
    chain_id: Annotated[int, Meta(ge=1)] = AMOY
    vehicle_contract: Address = ""  # by default DIMO's on that chain
    synthetic_contract: Address = ""
    every_s: Annotated[int, Meta(ge=1, le=3600)] = 60  # at most one row of signals in that


class Session(NamedTuple):
    """What a car took from a cable since it began to charge."""

    mwh: int = 0
    b: int = 0  # until when; 0: it is over


class DimoNetwork:
    """The adapter; one per configured network of this kind."""

    def __init__(
        self, config: NetworkConfig, certificate: ClientCertificate, client: HttpClient, sources: Sources
    ) -> None:
        """`client` shows `certificate`."""
        self.name, self.certificate, self.client, self.sources = config.name, certificate, client, sources
        self.settings, self.window_s = settings_of(config, Settings), config.window_s
        self.left_out: Counter[str] = Counter()  # signals, by reason
        self._pace = Pace(60 * PER_S_MAX)
        self.contracts = contracts(config, self.settings.chain_id)
        self._cars = Cars(self.settings.vehicles)

    async def validate(self, reports: Sequence[Report], memory: Memory) -> Draft:
        """Return the event of a window, without what DIMO would not take; raises RefusedError."""
        (vehicle, name), stream = self._cars.of(reports[0], memory), stream_name(reports[0])
        left_out: Counter[str] = Counter()
        end = reports[-1].b
        session = Session(int(memory.get(f"{stream} mwh", 0)), int(memory.get(f"{stream} until", 0)))
        every_ms = max(self.settings.every_s * 1000, -(-(end - reports[0].a) // ROWS_MAX))
        found: list[Signal] = []
        for report in claimable(reports):
            rows = await self.sources.readings(report.board_key, report.device, report.a, report.b)
            session = grown(session, report, rows)
            values, faults = dimo_signals.signals(dimo_signals.spaced(rows, every_ms))
            found += values
            left_out += faults
            if session.mwh:
                found.append(Signal(ADDED_ENERGY, stamp(report.b), Decimal(session.mwh).scaleb(-6)))
        good = dimo_signals.checked(found, self.sources.clock.now_ms(), left_out)
        self._count(left_out)
        if not good:
            raise RefusedError("no_signals", ", ".join(left_out) or "no row has a point that DIMO knows")
        data: dict[str, Any] = {}
        if memory.get(f"{stream} day") != end // DAY_MS:
            data |= {"vin": vehicle.vin} if vehicle.vin else {}
            if vehicle.battery_kwh:
                good.append(Signal(GROSS_CAPACITY, stamp(end), Decimal(str(vehicle.battery_kwh))))
        data["signals"] = [dimo_signals.as_json(signal) for signal in good]
        kept: dict[str, int | str] = {name: stream, f"{stream} day": end // DAY_MS}
        kept |= {f"{stream} mwh": session.mwh, f"{stream} until": session.b}
        body = event(self._header(vehicle, reports, left_out), msgspec.json.encode(data))
        return Draft(body, {**memory, **kept})

    def _header(self, vehicle: Vehicle, reports: Sequence[Report], left_out: Counter[str]) -> Header:
        chain = self.settings.chain_id
        return Header(
            id="wattness-" + slot(reports, self.window_s).hex()[:32],
            source=self.certificate.common_name,
            producer=token_did(chain, self.contracts[1], vehicle.synthetic_token_id),
            subject=token_did(chain, self.contracts[0], vehicle.token_id),
            time=stamp(reports[-1].b),
            type="dimo.status",
            dataversion="default/v1.0",
            leftout=" ".join(f"{reason}:{count}" for reason, count in sorted(left_out.items())),
        )

    def _count(self, left_out: Counter[str]) -> None:
        if left_out:
            self.left_out += left_out
            LOG.warning("signals left out network=%s reasons=%s", self.name, dict(left_out))

    async def sign(self, body: bytes) -> bytes:
        """Return the event itself: the connection is what proves who sends it."""
        return body

    async def send(self, signed: bytes) -> Receipt:
        """Deliver an event; a second time changes nothing, for DIMO knows it by its id and time."""
        try:
            self.certificate.refresh()
        except ConfigError as error:
            raise UnavailableError(str(error)) from None
        await self._pace.turn()
        answer = await self.client.exchange("POST", "/", data=signed, headers={"Content-Type": "application/json"})
        taken(answer, GATE)
        sent = msgspec.json.decode(signed, type=_Sent)
        return Receipt(sent.id, {"left_out": sent.leftout, "status": answer.status})

    async def find(self, reports: Sequence[Report]) -> Receipt | None:  # noqa: ARG002 - it cannot be asked
        """Return None: the same id and time again are harmless, and DIS tells nobody what it holds."""
        return None

    async def reconcile(self, after_epoch: int) -> Reconciled:  # noqa: ARG002 - it is not asked
        """Return nothing: DIMO pays weekly on its chain, to the car's owner."""
        return Reconciled([])

    async def check(self) -> list[Check]:
        """Return what can be known without sending an event."""
        left_s = self.certificate.ends_unix_s - self.sources.clock.real_ms_now() / 1000
        text = f"The certificate of {self.certificate.common_name} lasts {max(0, int(left_s // 86_400))} more days"
        remedy = "." if left_s > RENEW_S else "; renew it with DIMO's certificate authority."
        checks = [Check("key", left_s > RENEW_S, text + remedy)]
        checks += await self.client.reach("/", self.sources.clock)
        return [*checks, Check("gate", ok=True, text=f"Shows with the first report: {GATE}")]


class _Sent(msgspec.Struct):
    id: str
    leftout: str = ""


def grown(session: Session, report: Report, rows: Sequence[Reading]) -> Session:
    """Return the charging session after an interval; none where the car did not charge, or drove."""
    charging = [row.values["charging"] for row in rows if "charging" in row.values]
    energy_mwh = report.figures["energy"].get("energy_import")
    if energy_mwh is None or 1 not in charging or not dimo_signals.fed_from_outside(rows):
        return Session()
    before_mwh = session.mwh if session.b == report.a else 0
    return Session(before_mwh + energy_mwh, report.b if charging[-1] == 1 else 0)


def contracts(config: NetworkConfig, chain_id: int) -> tuple[str, str]:
    """Return the contracts of vehicles and of synthetic devices; raises ConfigError."""
    vehicles = contract(config, "vehicle_contract", VEHICLES, chain_id)
    return vehicles, contract(config, "synthetic_contract", SYNTHETICS, chain_id)


def certificate_of(config: NetworkConfig, settings: Settings, home: Path) -> ClientCertificate:
    """Read the certificate that the settings name; raises ConfigError."""
    ca = home / Path(settings.ca_file).expanduser() if settings.ca_file else None
    chain, key = (home / Path(name).expanduser() for name in (settings.certificate, settings.certificate_key))
    found = ClientCertificate(chain, key, ca)
    if not re.match(r"\A0x[0-9a-fA-F]{40}\Z", found.common_name):
        raise ConfigError(
            f"$.network[{config.name}].settings.certificate: {chain} is of {found.common_name!r},"
            " not of a connection licence's address; get it from DIMO's certificate authority"
        )
    return found


@asynccontextmanager
async def open_network(
    config: NetworkConfig,
    signer: Signer | DigestSigner,  # noqa: ARG001 - the certificate's key is its own
    sources: Sources,
) -> AsyncIterator[DimoNetwork]:
    """Open the adapter of one configured network; raises ConfigError."""
    settings = settings_of(config, Settings)
    check_url(config.url, ("https",), f"$.network[{config.name}].url")
    check_cars(config, {stream: vehicle.token_id for stream, vehicle in settings.vehicles.items()})
    certificate = certificate_of(config, settings, sources.home)
    connector = aiohttp.TCPConnector(limit=2 * config.in_flight + 2, ssl=certificate.context)
    async with new_session(connector=connector) as session:
        yield DimoNetwork(config, certificate, HttpClient(session, config.url, TIMEOUT_S), sources)
