"""Glow: one signed packet for every five minutes of a farm, and never a second one, which would ban the slot for good.

A slot in which nothing was measured is not reported. One that was measured in part is, with what was measured, unless
that is nothing: "reported, and it was zero" is only said of a slot that was covered.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from wattness.config import NetworkConfig, check_url
from wattness.errors import ConfigError, RefusedError, UnavailableError
from wattness.model import Receipt, Report
from wattness.signing import DigestSigner

from . import glow_wire
from .base import Check, Draft, Memory, Reconciled, Sources, settings_of
from .glow_line import Line, Server
from .glow_wire import SLOT_MS, SLOTS_AWAY_MAX, Synced
from .http import HttpClient, new_session
from .meter import EXPORT, IMPORT, check_length, energy_mwh, measured, only_stream

HTTP_TIMEOUT_S = 5.0
UDP_PORT = 35045
SYNCS_MAX = 3  # after a packet was sent, before it counts as lost
CLOCK_OFF_S_MAX = 60
STALE_S_MAX = 3600  # a server's answer that is older says nothing about now
LOOK_EVERY_S = 86_400
BANNED = 1  # what a server holds for a banned slot
COVERED_PERCENT_MIN = 90  # of a slot that is reported as zero

LOG = logging.getLogger(__name__)
Port = Annotated[int, Meta(ge=0, le=65535)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set for Glow; the first three are what the auditor authorised."""

    short_id: Annotated[int, Meta(ge=1, le=0xFFFF_FFFF)]
    capacity_mwh: Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]  # in five minutes
    server_key: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    tcp_port: Port = 35030
    http_port: Port = 35015  # 0: the server's list of reports is not asked for
    gap_ms: Annotated[int, Meta(ge=0, le=5000)] = 1000  # between a packet and the question whether it arrived


class GlowNetwork:
    """The adapter: one ShortID is one farm, one stream."""

    def __init__(self, config: NetworkConfig, line: Line, signer: DigestSigner, sources: Sources) -> None:
        self.name, self.devices = config.name, config.devices
        self.settings = settings_of(config, Settings)
        self.line, self.signer, self.clock = line, signer, sources.clock
        self.public_key = signer.public_key[1:33]
        self._look_s = 0.0

    async def validate(self, reports: Sequence[Report], memory: Memory) -> Draft:
        """Return the part of the packet that is signed; a slot that a packet was made for is never given another."""
        (report,) = reports
        stream = only_stream(reports, memory, self.devices)
        measured(reports, SLOT_MS)
        slot = glow_wire.slot_at(report.a)
        if report.a % SLOT_MS or slot < 0:
            raise RefusedError("no_slot", f"{report.a} is not where one of Glow's slots begins")
        self._check_age(slot)
        if slot <= int(memory.get("slot", -1)):
            raise RefusedError("slot_used", f"a packet for slot {memory['slot']} has been signed already")
        net_mwh = self._net(report)
        return Draft(glow_wire.head(self.settings.short_id, slot, net_mwh), {"stream": stream, "slot": slot})

    async def sign(self, body: bytes) -> bytes:
        """Return the packet."""
        return body + (await self.signer.sign_digest(glow_wire.digest(body)))[:64]

    async def send(self, signed: bytes) -> Receipt:
        """Send the packet until the server's bit field has it."""
        packet = glow_wire.parse(signed)
        self._check_age(packet.slot)
        if _has(await self._sync(), packet.slot):
            return await self._held(packet.slot, packet.output)
        await self.line.transmit(signed)
        for _ in range(SYNCS_MAX):
            await asyncio.sleep(self.settings.gap_ms / 1000)
            if _has(await self._sync(), packet.slot):
                return Receipt(f"slot {packet.slot}", {"slot": packet.slot})
        await self._held(packet.slot, packet.output)  # which tells a banned slot from a lost packet
        raise UnavailableError(f"the server does not have slot {packet.slot} yet")

    async def find(self, reports: Sequence[Report]) -> Receipt | None:
        """Look into the bit field for a slot of an earlier life."""
        slot = glow_wire.slot_at(reports[0].a)
        synced = await self._sync()
        return await self._held(slot, None) if synced.has(slot) else None

    async def reconcile(self, after_epoch: int) -> Reconciled:  # noqa: ARG002 - Glow pays the farm's owner on chain
        """Look once a day what is wrong that no report would tell: banned slots, or another auditor."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_EVERY_S
            for one in await self.check():
                if not one.ok:
                    LOG.warning("trouble network=%s subject=%s text=%s", self.name, one.subject, one.text)
        return Reconciled([])

    async def check(self) -> list[Check]:
        """Ask the server for its bit field and for banned slots."""
        key = Check("key", ok=True, text=f"The farm's public key is {self.public_key.hex()}.")
        try:
            synced = await self.line.sync()
        except UnavailableError as error:
            return [key, Check("endpoint", ok=False, text=f"{error}.")]
        off_s = abs(self.clock.now_ms() // 1000 - synced.unix_s)
        remedy = "" if off_s <= CLOCK_OFF_S_MAX else "; set it by network time (NTP)"
        clock = Check("clock", ok=not remedy, text=f"This clock and the server's differ by {off_s} s{remedy}.")
        endpoint = Check("endpoint", ok=True, text=f"{self.line.server.host} answers, and signs its answers.")
        return [key, clock, endpoint, *await self._gates(synced)]

    async def _gates(self, synced: Synced) -> list[Check]:
        if synced.public_key != self.public_key:
            text = f"ShortID {self.settings.short_id} is another key's; look at settings.short_id and at `key`."
            return [Check("gate", ok=False, text=text)]
        if synced.next_short_id:
            text = (
                f"The farm moves to another auditor as ShortID {synced.next_short_id}: ask the auditor, then change "
                "settings.short_id, settings.server_key and `url`."
            )
            return [Check("gate", ok=False, text=text)]
        known = Check("gate", ok=True, text=f"Glow knows ShortID {self.settings.short_id} by this key.")
        try:
            recent = await self.line.recent(self.public_key)
        except (RefusedError, UnavailableError) as error:
            return [known, Check("endpoint", ok=False, text=f"{error}; look at settings.http_port.")]
        banned = sum(one.power_output == BANNED for one in recent.reports) if recent else 0
        told = f"{banned} slots of the last two weeks are banned: does anything else sign with this key?"
        return [known, Check("gate", ok=False, text=told)] if banned else [known]

    def _net(self, report: Report) -> int:
        """Return the slot's energy: what was generated less what was drawn; refuses what would ban the slot."""
        net_mwh = energy_mwh(report, EXPORT) - report.figures["energy"].get(IMPORT, 0)
        if abs(net_mwh) * 100 > self.settings.capacity_mwh * 135:
            raise RefusedError("over_capacity", f"{net_mwh} mWh where {self.settings.capacity_mwh} are authorised")
        covered_ms = report.figures["covered_ms"]
        if abs(net_mwh) < glow_wire.ZERO_BELOW_MWH and covered_ms * 100 < SLOT_MS * COVERED_PERCENT_MIN:
            raise RefusedError("not_covered", f"{covered_ms} ms were measured, too little to say it was zero")
        return int(net_mwh)

    def _check_age(self, slot: int) -> None:
        """Refuse what the server would leave without an answer."""
        away = glow_wire.slot_at(self.clock.now_ms()) - slot
        if abs(away) > SLOTS_AWAY_MAX:
            raise RefusedError("too_old" if away > 0 else "in_future", f"{abs(away)} slots away from now")

    async def _sync(self) -> Synced:
        """Return what the server holds, once it is sure that it speaks of this farm and of now."""
        synced = await self.line.sync()
        if synced.public_key != self.public_key:
            raise UnavailableError(f"ShortID {self.settings.short_id} is another key's; look at settings.short_id")
        if abs(self.clock.now_ms() // 1000 - synced.unix_s) > STALE_S_MAX:
            raise UnavailableError(f"the server's answer is of unix time {synced.unix_s}; look at both clocks")
        return synced

    async def _held(self, slot: int, output: int | None = None) -> Receipt:
        """Return the receipt of a slot that the server had before; raises RefusedError when it is not ours."""
        try:
            held = await self.line.output(slot, self.public_key)
        except (RefusedError, UnavailableError):
            held = None  # what the bit says has to do
        if held == BANNED:
            raise RefusedError("banned", f"Glow banned slot {slot}: two different packets came for it, or too much")
        if held and output is not None and held != output:
            raise RefusedError("other_packet", f"Glow holds {held} for slot {slot}, which was not signed here")
        return Receipt(f"slot {slot}", {"slot": slot, "held": held})


def _has(synced: Synced, slot: int) -> bool:
    has = synced.has(slot)
    if has is None:
        raise UnavailableError(f"the server's history begins at slot {synced.first_slot} and does not reach {slot}")
    return has


@asynccontextmanager
async def open_network(config: NetworkConfig, signer: DigestSigner, sources: Sources) -> AsyncIterator[GlowNetwork]:
    """Open the adapter of one configured network; raises ConfigError."""
    path = f"$.network[{config.name}]"
    settings = settings_of(config, Settings)
    server = _server(config, settings, path)
    check_length(sources.interval_s, SLOT_MS // 1000, "Glow")
    if config.window_s:
        raise ConfigError(f"{path}.window_s: Glow takes every five minutes for themselves; leave this out")
    if not glow_wire.fits(signer.public_key):
        raise ConfigError(
            f"{path}.key: Glow takes only keys whose compressed form begins with 02: make one with `wattness key new`"
        )
    async with new_session() as session:
        name = f"[{server.host}]" if ":" in server.host else server.host
        web = HttpClient(session, f"http://{name}:{settings.http_port}", HTTP_TIMEOUT_S)
        line = Line(server, settings.short_id, web if settings.http_port else None)
        yield GlowNetwork(config, line, signer, sources)


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _server(config: NetworkConfig, settings: Settings, path: str) -> Server:
    check_url(config.url, ("udp",), f"{path}.url")
    url = urlsplit(config.url)
    host = str(url.hostname)
    if not (config.production or _is_this_machine(host)):
        raise ConfigError(
            f"{path}.url: {host} is Glow in earnest, which has no test network; set `production = true` beside it, "
            "or run Glow's own server on this machine"
        )
    key = bytes.fromhex(settings.server_key)
    if not glow_wire.is_point(key):
        raise ConfigError(
            f"{path}.settings.server_key: is no public key; the server tells its own under /api/v1/authorized-servers"
        )
    return Server(host, url.port or UDP_PORT, settings.tcp_port, key)
