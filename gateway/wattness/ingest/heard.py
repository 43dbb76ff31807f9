"""A device whose values come by radio: its meter takes the newest as a row whenever it wants one."""

import asyncio
import contextlib
import hashlib
from typing import Any

from wattness.devices import Device, parse_address
from wattness.modbus.device import Values
from wattness.modbus.line import SilentError
from wattwire import records
from wattwire.errors import WireError

from .ble import Counters, Points
from .blekinds import HASH_SIZE, VEHICLE, Kind
from .origin import Uptime

FRESH_PERIODS = 2  # a value so old is none any more
FRESH_MS = 10_000  # but at least so long
FIRST_S = 8.0  # the first streams record waits so long


class HeardDevice:
    """What a meter asks like any device; `put` takes what was heard of it."""

    is_complete = True
    backs_off = False  # looking costs nothing; the radio has pauses of its own

    def __init__(self, settings: Device, kind: Kind, uptime: Uptime, air: Counters | None = None) -> None:
        """`air` tells why nobody is heard, where that is not this device's own affair."""
        self.settings = settings
        self.kind = kind
        self.address = parse_address(settings.url, "url").host
        self.counters = Counters()
        self._air = air or self.counters
        self._uptime = uptime
        self._values: dict[str, tuple[int, int]] = {}  # the integer, and until which uptime it holds
        self._some = asyncio.Event()
        self._was_met = False

    @property
    def errors(self) -> int:
        """What was damaged, lost or of another key."""
        return self.counters.damaged + self.counters.dropped

    def put(self, points: Points, keep_ms: int = 0) -> None:
        """Take what was heard; it holds for two periods, or for `keep_ms` if that is longer. None is no value."""
        fresh_ms = max(FRESH_MS, FRESH_PERIODS * self.settings.period_ms, keep_ms)
        until_ms = self._uptime.now_ms() + fresh_ms
        for name, _, exponent in self.kind.points:
            if name not in points:
                continue
            integer = _scaled(points[name], exponent)
            if integer is None:
                self._values.pop(name, None)
            else:
                self._values[name] = (integer, until_ms)
        self.counters.trouble = ""
        self._some.set()

    def fail(self, error: WireError) -> None:
        """Count what could not be read, and remember why."""
        self.counters.damaged += 1
        self.counters.trouble = str(error)

    def forget(self) -> None:
        """Nothing is bound to what was heard before."""

    async def identify(self) -> None:
        """Wait a little for the first word; raises SilentError, with what stands in the way."""
        if not self._was_met and self._row() is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_S):
                    await self._some.wait()
        self._was_met = True
        await self.poll()

    async def poll(self, _level: int = 0) -> Values:
        """Return a row of what holds; raises SilentError when nothing does."""
        row = self._row()
        if row is None:
            why = self.counters.trouble or self._air.trouble or "nothing is heard of it"
            raise SilentError(why)
        return Values(row, changed=False)

    def stream(self) -> Any:
        """Return the Stream of the streams record."""
        settings, kind = self.settings, self.kind
        points = tuple(records.Point(name, unit, exponent, None) for name, unit, exponent in kind.points)
        # Where monitors tell no serial number, their addresses are what stays; a dongle's is no car's.
        known = None if kind.way == VEHICLE else hashlib.sha256(self.address.encode()).digest()[:HASH_SIZE]
        head = (settings.role, kind.profile, kind.profile_hash, settings.unit, points)
        return records.Stream(*head, known, settings.rated_w, settings.inverted)

    def unsettled(self) -> list[str]:
        """Return the points whose meaning is open until the owner confirms it."""
        return [name for name in self.kind.unsettled if name not in self.settings.confirmed]

    def _row(self) -> list[int | None] | None:
        now_ms = self._uptime.now_ms()
        held = {name: value for name, (value, until) in self._values.items() if until >= now_ms}
        return [held.get(name) for name, _, _ in self.kind.points] if held else None


def _scaled(value: tuple[int, int] | None, exponent: int) -> int | None:
    """Return a value's integer at `exponent`, or None for what the stream cannot say exactly."""
    if value is None or value[1] < exponent:
        return None
    integer: int = value[0] * 10 ** (value[1] - exponent)
    return integer if -records.VALUE_LIMIT < integer < records.VALUE_LIMIT else None
