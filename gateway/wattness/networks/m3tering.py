"""M3tering V2: one key is one meter, whose signed messages are numbered without a gap."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Literal

import aiomqtt
import msgspec
from msgspec import Meta

from wattness.clock import Life
from wattness.config import NetworkConfig, check_url
from wattness.endpoints import connection, tls_context
from wattness.errors import ConfigError, OutdatedError, RefusedError
from wattness.model import Receipt, Report
from wattness.signing import Signer

from .base import Check, Draft, Memory, Reconciled, Sources, settings_of
from .http import HttpClient, new_session
from .m3tering_payload import HEAD, U32_MAX, Extension, decode, encode, is_signed, join, place_of
from .m3tering_ways import Console, Meter, Prover
from .meter import EXPORT, energy_mwh, measured, only_stream, own
from .mqtt import QUEUE_MAX, TIMEOUT_S, Connect, Line, broker_of

PROVER_S = 10.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the owner may set; [?] marks what the network's own programs disagree about."""

    energy: Literal["delta", "cumulative"] = "delta"  # [?] delta: who adds up what is cumulative would claim too much
    extension: Literal["none", "voltage", "device", "location"] = "none"  # unsigned; each includes those before it
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    application: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9-]{1,64}\Z")] = "wattness"  # ChirpStack's id
    dev_eui: Annotated[str, Meta(pattern=r"\A([0-9a-f]{16})?\Z")] = ""  # by default the key's first 8 bytes
    port: Annotated[int, Meta(ge=1, le=223)] = 1
    answer_s: Annotated[float, Meta(gt=0, le=12)] = 10.0  # how long a Console's answer may take
    password_file: str = ""
    ca_file: str = ""
    m3ter_id: Annotated[int, Meta(ge=0)] | None = None  # the NFT's number, which a prover wants
    last_nonce: Annotated[int, Meta(ge=0, lt=U32_MAX)] = 0  # of a meter that a prover knows already


class M3teringNetwork:
    """The adapter; messages go one after another, and the last nonce is remembered with the bytes that carry it."""

    def __init__(
        self, config: NetworkConfig, settings: Settings, signer: Signer, sources: Sources, way: Console | Prover
    ) -> None:
        self.name = config.name
        self.settings, self.signer, self.sources, self.way = settings, signer, sources, way
        self._devices = config.devices
        self._place = _place(settings, f"$.network[{config.name}].settings")
        self._life = Life(sources.clock)
        self._memory: Memory = {}  # as it was before the newest message
        self._held: int | None = None  # the network's last nonce, when it was asked
        self._skipping: int | None = None
        self._skipped_mwh = 0

    async def validate(self, reports: Sequence[Report], memory: Memory) -> Draft:
        """Return the window's energy under the next nonce; raises RefusedError, or UnavailableError while unknown."""
        identity = self.signer.public_key.hex()
        memory = own(memory, identity)
        stream = only_stream(reports, memory, self._devices)
        claimed = measured(reports, reports[0].b - reports[0].a)
        grown_mwh = sum(energy_mwh(report, EXPORT) for report in claimed)
        nonce = await self._next_nonce(memory, grown_mwh, reports[0].b)
        kept: dict[str, int | str] = {"identity": identity, "stream": stream, "nonce": nonce}
        claim_mwh = grown_mwh
        if self.settings.energy == "cumulative":
            # A message that was in vain is made anew, and what it claimed counts this report already.
            claim_mwh = int(memory.get("remake_mwh", int(memory.get("energy_mwh", 0)) + self._skipped_mwh + grown_mwh))
            kept["energy_mwh"] = claim_mwh
        body = encode(nonce, claim_mwh, await self._extension(claimed[-1]))
        self._memory, self._skipped_mwh = memory, 0
        return Draft(body, kept)

    async def sign(self, body: bytes) -> bytes:
        """Return the message: the signature covers nonce and energy, and stands behind them."""
        return join(body, await self.signer.sign(body[: HEAD.size]))

    async def send(self, signed: bytes) -> Receipt:
        """Deliver; raises OutdatedError when the network's nonce is another."""
        message = decode(signed)
        if not is_signed(signed, self.signer.public_key):  # a Console would never answer, and all later ones would wait
            raise RefusedError("other_key", "the message was not signed by the key that is in use now")
        answer = await self.way.deliver(signed)
        if answer.nonce in {None, message.nonce}:  # the second: it took these bytes before, and its answer was lost
            return Receipt(f"nonce {message.nonce}", {**answer._asdict(), "nonce": message.nonce})
        self._held, self._skipping = None, None
        memory = {name: value for name, value in self._memory.items() if name in {"identity", "stream"}}
        if self.settings.energy == "cumulative":
            memory["remake_mwh"] = message.energy_mwh
        raise OutdatedError(
            f"the Console's last nonce is {answer.nonce}, and {message.nonce} is not the next",
            {**memory, "nonce": answer.nonce or 0},
        )

    async def find(self, reports: Sequence[Report]) -> Receipt | None:  # noqa: ARG002 - it does not know of slots
        """Return nothing, but learn how many messages the network holds, once in a life."""
        if self._held is None:
            self._held = await self.way.held(await self._question())
        return None

    async def reconcile(self, after_epoch: int) -> Reconciled:  # noqa: ARG002 - there are no payouts to fetch
        """Return nothing: M3tering pays by the sale of energy, on its chain."""
        return Reconciled([])

    async def check(self) -> list[Check]:
        """Tell whether broker and Console, or the prover, answer."""
        key = Check(
            "key", ok=True, text=f"The meter's public key, for its M3ter NFT, is {self.signer.public_key.hex()}."
        )
        return [key, *await self.way.check(await self._question())]

    async def _question(self) -> bytes:
        """Return a message that claims nothing and asks for the nonce."""
        body = encode(0, 0, Extension())
        return join(body, await self.signer.sign(body))

    async def _next_nonce(self, memory: Memory, grown_mwh: int, end_ms: int) -> int:
        """Return the nonce to use; raises RefusedError for what an earlier life, lost with a backup, has sent."""
        if "nonce" not in memory:
            if self._held is None:
                self._held = await self.way.held(await self._question())
            if self._held and not self._life.saw(end_ms):
                raise RefusedError("before_resume", f"the network holds {self._held} messages, and cannot say of when")
            return (self.settings.last_nonce if self._held is None else self._held) + 1
        last = int(memory["nonce"])
        if self._held is None or self._held <= last:
            return last + 1
        # Reports are made and delivered in one order, so the messages that we do not know of were the next ones.
        self._skipping = self._held - last if self._skipping is None else self._skipping
        if self._skipping > 0:
            self._skipping -= 1
            self._skipped_mwh += grown_mwh
            raise RefusedError("taken_before", f"the network holds {self._held} messages, of which we know {last}")
        return self._held + 1

    async def _extension(self, report: Report) -> Extension:
        """Return what is unsigned: as much as is wanted and known, for what is missing is not zero."""
        wanted = self.settings.extension
        decivolts = None if wanted == "none" else await self._decivolts(report)
        if decivolts is None or wanted == "voltage":
            return Extension(decivolts)
        return Extension(decivolts, self.signer.public_key, self._place if wanted == "location" else None)

    async def _decivolts(self, report: Report) -> int | None:
        for reading in reversed(await self.sources.readings(report.board_key, report.device, report.a, report.b)):
            volts = reading.values.get("voltage", reading.values.get("voltage_l1"))
            if volts is not None:
                return round(volts * 10)
        return None


def _place(settings: Settings, path: str) -> tuple[int, int] | None:
    if settings.extension != "location":
        return None
    if settings.longitude is None or settings.latitude is None:
        raise ConfigError(f'{path}: extension = "location" needs longitude and latitude')
    try:
        return place_of(settings.longitude, settings.latitude)
    except RefusedError as error:
        raise ConfigError(f'{path}: {error}; set extension = "device"') from None


def _connecting(config: NetworkConfig, settings: Settings, sources: Sources) -> Connect:
    endpoint = broker_of(config, sources, settings.password_file, settings.ca_file)
    tls = tls_context(endpoint)

    async def connect() -> aiomqtt.Client:
        return connection(endpoint, tls, timeout=TIMEOUT_S, max_queued_incoming_messages=QUEUE_MAX)

    return connect


@asynccontextmanager
async def open_network(config: NetworkConfig, signer: Signer, sources: Sources) -> AsyncIterator[M3teringNetwork]:
    """Open the adapter of one configured network; raises ConfigError."""
    settings, path = settings_of(config, Settings), f"$.network[{config.name}]"
    check_url(config.url, ("mqtt", "mqtts", "http", "https"), f"{path}.url")
    async with AsyncExitStack() as stack:
        way: Console | Prover
        if config.url.startswith("http"):
            if settings.m3ter_id is None:
                raise ConfigError(f"{path}.settings.m3ter_id: is missing; a prover knows a meter by its NFT's number")
            session = await stack.enter_async_context(new_session())
            way = Prover(HttpClient(session, config.url, PROVER_S), settings.m3ter_id, sources.clock)
        else:
            meter = Meter(settings.application, settings.dev_eui or signer.public_key[:8].hex(), settings.port)
            line = Line(_connecting(config, settings, sources), config.url, meter.down)
            stack.push_async_callback(line.close)
            way = Console(line, meter, settings.answer_s)
        yield M3teringNetwork(config, settings, signer, sources, way)
