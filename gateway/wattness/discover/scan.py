"""The search itself: who takes connections, what is behind each, all of it within limits."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from wattness.devices import Address
from wattness.modbus.line import Line, SilentError, UnreachableError

from . import known
from .asking import PROBES, Unit
from .found import Found, Mute
from .ground import SERIAL_UNITS, Ground, Limits, addresses
from .recognise import recognise

SILENCE = "takes connections, but gives no answer in Modbus; another program may hold the only one that it serves"
PAUSE_MS = 1000  # some devices say nothing in the first second of a connection
Heard = Callable[[str], None]


@dataclass
class Survey:
    """What was found, and what was not."""

    found: list[Found] = field(default_factory=list)
    mute: list[Mute] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # asked, open, closed, dark, busy, unfinished
    complete: bool = False


class Search:
    """Looks over a ground once; what is `busy` is left alone, because the gateway is reading there."""

    def __init__(
        self,
        ground: Ground,
        limits: Limits | None = None,
        busy: frozenset[Address] = frozenset(),
        told: Heard = lambda _text: None,
    ) -> None:
        """Nothing is sent yet; `told` hears how far it is."""
        self.ground = ground
        self.limits = limits or Limits()
        self.survey = Survey()
        self._busy = {(host, address.port) for address in busy for host in addresses(address.host)}
        self._told = told
        self._examining = asyncio.Semaphore(self.limits.examined)

    async def run(self) -> Survey:
        """Look everywhere; whatever was found when time is up is kept."""
        survey = self.survey
        try:
            async with asyncio.timeout(self.limits.total_s), asyncio.TaskGroup() as tasks:
                for address in self.ground.lines:
                    tasks.create_task(self._serial(address), name=address.host)
                await self._network(tasks)
            survey.complete = True
        except TimeoutError:
            planned = self.ground.total()
            survey.counts["unfinished"] = max(0, planned - survey.counts["finished"] - survey.counts["busy"])
        survey.found.sort(key=lambda found: (found.address, found.unit))
        survey.mute.sort()
        return survey

    async def _network(self, tasks: asyncio.TaskGroup) -> None:
        """Begin one connection after the other: never too many at once, nor too fast."""
        slots = asyncio.Semaphore(self.limits.parallel)
        for address in self.ground.targets():
            if (address.host, address.port) in self._busy:
                self.survey.counts["busy"] += 1
                continue
            await slots.acquire()
            tasks.create_task(self._host(address, slots), name=address.host)
            await asyncio.sleep(1 / self.limits.rate_hz)

    async def _host(self, address: Address, slots: asyncio.Semaphore) -> None:
        try:
            state = await self._knock(address)
        finally:
            slots.release()
        counts = self.survey.counts
        counts["asked"] += 1
        counts[state] += 1
        self._told(f"{counts['asked']} addresses asked, {counts['open']} open, {len(self.survey.found)} devices found")
        if state == "open":
            async with self._examining:
                await self._device(address)
        counts["finished"] += 1

    async def _knock(self, address: Address) -> str:
        try:
            async with asyncio.timeout(self.limits.connect_s):
                _, writer = await asyncio.open_connection(address.host, address.port)
        except ConnectionRefusedError:
            return "closed"
        except (TimeoutError, OSError):
            return "dark"
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return "open"

    async def _device(self, address: Address) -> None:
        """Ask whoever took the connection: as Modbus TCP, after a pause, and with the frames of a serial line."""
        units = self.ground.units or known.usual_units()
        ways = (
            (Line(address), units, 0),
            (Line(address, connect_pause_ms=PAUSE_MS), units[:1], PAUSE_MS),
            (Line(address._replace(kind="rtu+tcp", baud=9600)), self.ground.units or units[:1], 0),
        )
        answered = False
        try:
            async with asyncio.timeout(self.limits.device_s):
                for line, numbers, pause_ms in ways:
                    answered = await self._units(line, numbers, pause_ms) or answered
                    if answered:
                        break
        except TimeoutError:
            self._mute(address, f"it was not done within {self.limits.device_s:g} s; name its unit with --units")
            return
        if not answered and not any(mute.address.host == address.host for mute in self.survey.mute):
            self._mute(address, SILENCE)

    async def _serial(self, address: Address) -> None:
        """Find the line's speed by the usual units, then ask all of them."""
        units = self.ground.units or tuple(SERIAL_UNITS)
        try:
            for baud in (address.baud,) if address.baud else known.usual_bauds():
                self._told(f"{address.host} at {baud} baud")
                if await self._units(Line(address._replace(baud=baud)), units[:3], 0):
                    await self._units(Line(address._replace(baud=baud)), units[3:], 0)
                    return
            baud = address.baud or known.usual_bauds()[0]
            if not await self._units(Line(address._replace(baud=baud)), units[3:], 0):
                self._mute(address, "nobody answers; look at the wires A and B, the baud rate and the parity")
        except UnreachableError:
            self._mute(
                address,
                "the port cannot be used; another program may have it, or it is no serial line",
            )

    async def _units(self, line: Line, numbers: tuple[int, ...], pause_ms: int) -> bool:
        """Ask units one after the other; tell whether any answered."""
        answered = False
        try:
            for number in numbers:
                if line.address.kind == "serial":
                    self._told(f"{line.address.host} at {line.address.baud} baud, unit {number}")
                probes = len(PROBES) if number == numbers[0] else 1
                unit = Unit(line, number)
                if await unit.is_there(probes, self.limits.answer_s):
                    answered = True
                    await self._recognise(unit, pause_ms)
        except UnreachableError:
            if line.address.kind == "serial":
                raise
        finally:
            line.close()
        return answered

    async def _recognise(self, unit: Unit, pause_ms: int) -> None:
        try:
            found = await recognise(unit)
        except SilentError as error:
            self._unknown(unit, f"answered, but not to the end: {error}")
            return
        if found is None:
            self._unknown(unit, "answers, and is nothing that a profile knows")
        elif not any(_is_same(found, other) for other in self.survey.found):
            self.survey.found.append(found._replace(connect_pause_ms=pause_ms))

    def _unknown(self, unit: Unit, why: str) -> None:
        """Say it once for an address: many answer alike by any unit number."""
        address = unit.line.address
        named = {found.address for found in self.survey.found} | {mute.address for mute in self.survey.mute}
        if address not in named:
            self._mute(address, f"unit {unit.number} {why}")

    def _mute(self, address: Address, why: str) -> None:
        self.survey.mute.append(Mute(address, why))


def _is_same(found: Found, other: Found) -> bool:
    """Tell a device that answers by any unit number from a second one behind the same address."""
    return found.address == other.address and found.fingerprint == other.fingerprint
