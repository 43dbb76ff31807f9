"""One unit on a line, asked with patience that is not endless; it is only ever read."""

import asyncio
import time
from typing import Any

from wattness.modbus.binding import read_or_none
from wattness.modbus.line import Line, SilentError, UnreachableError
from wattwire import modbus, profile, reading
from wattwire.errors import WireError
from wattwire.modbus import ModbusError
from wattwire.plan import Read

PROBES = (Read(modbus.HOLDING, 40000, 2), Read(modbus.INPUT, 0, 2), Read(modbus.HOLDING, 0, 2))
NOBODY_THERE = (4, 10, 11)  # what is said of a unit that cannot be reached
SILENCES_MAX = 4  # then the unit is left alone
HOLE = 8  # registers that are cheaper to read along than to ask for once more

Values = dict[str, tuple[int, int] | None]


class Unit:
    """Reads a unit's registers, each only once; raises SilentError when it has stopped answering."""

    def __init__(self, line: Line, number: int) -> None:
        """Nothing is asked yet."""
        self.line = line
        self.number = number
        self._known: dict[Read, bytes | None] = {}
        self._silences = 0

    async def is_there(self, probes: int, answer_s: float) -> bool:
        """Tell whether it answers anything at all, be it a refusal. Raises UnreachableError."""
        for read in PROBES[:probes]:
            try:
                async with asyncio.timeout(answer_s):
                    await self.line.read(self.number, read)
            except ModbusError as error:
                if error.code in NOBODY_THERE:
                    continue
            except WireError:  # no Modbus, or not at this speed
                continue
            except UnreachableError:
                raise
            except (SilentError, TimeoutError):
                continue
            return True
        return False

    async def values(self, bound: Any, names: tuple[str, ...]) -> Values:
        """Return the values of a bound profile's points; None where there is none."""
        reads = profile.plan(bound, names, HOLE)
        answers = [(read, await self._registers(read)) for read in reads]
        found: Values = reading.decode(bound, names, answers)
        return found

    async def texts(self, bound: Any) -> dict[str, str | None]:
        """Return manufacturer, model and serial as a bound profile finds them."""
        answers = [(read, await self._registers(read)) for read in profile.plan_identity(bound)]
        return dict(profile.identify(bound, answers))

    async def registers(self, fc: int, address: int, count: int) -> bytes | None:
        """Return the bytes of registers, or None where there are none."""
        return await self._registers(Read(fc, address, count))

    async def read_ms(self, bound: Any) -> int:
        """Return how long the default points take."""
        began_s = time.monotonic()
        for read in profile.plan(bound, bound.default, HOLE):
            await read_or_none(self.line, self.number, read)
        return int((time.monotonic() - began_s) * 1000)

    async def _registers(self, read: Read) -> bytes | None:
        if read not in self._known:
            try:
                self._known[read] = await read_or_none(self.line, self.number, read)
            except UnreachableError:
                raise
            except SilentError:
                self._silences += 1
                if self._silences > SILENCES_MAX:
                    raise
                self._known[read] = None
        return self._known[read]
