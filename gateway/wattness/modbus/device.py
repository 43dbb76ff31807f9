"""One metered device: how it is read, and what its values are called on the wire."""

from typing import Any, NamedTuple

from wattness.devices import Device as Settings
from wattwire import modbus, plan, profile, reading, records
from wattwire.errors import WireError
from wattwire.exponents import Exponents
from wattwire.modbus import ModbusError
from wattwire.plan import Read

from .binding import Binding, WrongMapError, bind
from .line import Line, SilentError, UnreachableError

FULL = 2  # the level at which all points are read
TURNAROUND_US = 25_000  # planned with until it is measured
FINAL_CODES = (1, 2, 3)
TRIES = 2
# What no device can show, whatever it measures: proof that its registers are not those of the profile.
BANDS = {"frequency": (40, 70), "voltage": (5, 1500), "soc": (0, 101), "power_factor": (-1.01, 1.01)}
ODD_POLLS_MAX = 3  # in a row: one may be a glitch


class Values(NamedTuple):
    """One poll: an integer or None for each point of the stream, and whether the streams record must change."""

    row: list[int | None]
    changed: bool


class Device:
    """Reads one configured device; raises SilentError and WrongMapError."""

    backs_off = True  # asking one that is silent takes time from others

    def __init__(self, settings: Settings, line: Line) -> None:
        """Nothing is asked yet."""
        self.settings = settings
        self.line = line
        self.binding: Binding | None = None
        self.is_complete = False  # the last poll had an answer to every read
        self.errors = 0
        self._answered = False
        self._reads: tuple[list[Read], ...] = ([], [], [])
        self._learned = plan.NOTHING
        self._noisy = False
        self._exponents = Exponents({})
        self._odd = 0

    async def identify(self) -> None:
        """Ask the device what it is, and read it once: what no such device can say is not metered."""
        before, self.binding = self.binding, None
        found = await bind(self.line, self.settings)
        self.line.pace(self.settings.unit, found.profile.manner)
        if before is None or found.names != before.names or found.profile.id != before.profile.id:
            self._exponents = Exponents({point.name: point.exponent for point in found.profile.points})
        self._learned = plan.NOTHING
        self._plan(found)
        values = await self._values(found, FULL)
        if not self._answered:
            raise WrongMapError(f"the device refuses all registers of the profile {found.profile.id}")
        odd = _odd(values)
        if odd:
            raise WrongMapError(f"{odd}: these are not the registers of the profile {found.profile.id}")
        self._exponents.follow(values)
        self._odd = 0
        self.binding = found

    def forget(self) -> None:
        """Be bound to nothing until it is identified anew."""
        self.binding = None

    def stream(self) -> Any:
        """Return the Stream of the streams record, once it is known."""
        bound = self.binding
        if bound is None:
            return None
        seen = {name: (0, exponent) for name, exponent in self._exponents.points.items()}
        points = tuple(records.Point(*each) for each in reading.wire_points(bound.profile, bound.names, seen))
        settings = self.settings
        head = (settings.role, bound.profile.id, bound.profile_hash, settings.unit, points)
        return records.Stream(*head, bound.serial, settings.rated_w, settings.inverted)

    def unsettled(self) -> list[str]:
        """Return the points whose meaning is open until the owner confirms it: nothing is claimed for them."""
        bound = self.binding
        return [] if bound is None else profile.unsettled(bound.profile, bound.names, self.settings.confirmed)

    async def poll(self, level: int = FULL) -> Values | None:
        """Read the points of `level`; None if the device had no value at all."""
        bound = self.binding
        if bound is None:
            raise SilentError("it was never identified")
        if level == FULL and self.is_complete:
            self._learned = plan.NOTHING  # what it did not have it may have by now
        if level == FULL or self._noisy != self._is_noisy():
            self._plan(bound)
        values = await self._values(bound, level)
        if _odd(values):
            self._odd += 1
            if self._odd >= ODD_POLLS_MAX:
                raise WrongMapError(f"{_odd(values)}: the device's registers are no longer what they were")
            return None
        self._odd = 0
        changed = self._exponents.follow(values)
        row = [self._exponents.integer(name, values[name]) for name in bound.names]
        return None if all(value is None for value in row) else Values(row, changed)

    async def _values(self, bound: Binding, level: int) -> dict[str, Any]:
        """Return the oriented values of one poll."""
        learned = self._learned
        answers = await self._answers(bound, level)
        if self._learned != learned:  # it minded something: read what it does have
            answers = await self._answers(bound, level)
        self.is_complete = all(data is not None for _, data in answers)
        self._answered = any(data is not None for _, data in answers)
        if bound.model is not None:
            header = reading.held(answers, modbus.HOLDING, bound.model.base, bound.model.base + 2)
            expected = bound.model.id.to_bytes(2, "big") + bound.model.length.to_bytes(2, "big")
            if header is not None and header != expected:
                raise WrongMapError(f"where SunSpec model {bound.model.id} was there is another one now")
        return self._oriented(bound, reading.decode(bound.profile, bound.names, answers))

    def _oriented(self, bound: Binding, values: dict[str, Any]) -> dict[str, Any]:
        return dict(reading.orient(values, bound.profile, self.settings.role))

    async def _answers(self, bound: Binding, level: int) -> list[tuple[Read, bytes | None]]:
        return [(read, await self._registers(bound, read)) for read in self._reads[level] or self._reads[FULL]]

    async def _registers(self, bound: Binding, read: Read) -> bytes | None:
        """Return a Read's bytes, or None if the device refused or garbled them."""
        for attempt in range(TRIES):
            try:
                return await self.line.read(self.settings.unit, read)
            except ModbusError as error:
                self.errors += 1
                if error.code in plan.REFUSALS:
                    await self._look_into(bound, read)
                if error.code in FINAL_CODES:
                    return None
            except WireError:
                self.errors += 1
            except SilentError as error:
                self.errors += 1
                if attempt == TRIES - 1 or isinstance(error, UnreachableError):
                    raise
        return None

    async def _look_into(self, bound: Binding, refused: Read) -> None:
        """Find out what the device minds in a Read, and plan without it from the next poll on."""
        spans = [profile.span(point) for point in bound.profile.points]
        bisect = plan.Bisect(refused, spans, self._learned)
        while (read := bisect.next()) is not None:
            try:
                await self.line.read(self.settings.unit, read)
                bisect.take()
            except (ModbusError, WireError) as error:
                bisect.fail(error)
        self._learned = bisect.learned()
        self._plan(bound)

    def _is_noisy(self) -> bool:
        return bool(self.line.pace(self.settings.unit).is_noisy)

    def _plan(self, bound: Binding) -> None:
        self._noisy = self._is_noisy()
        most = plan.NOISY_REGISTERS if self._noisy else bound.profile.manner.max_registers
        address = self.line.address
        hole = 125  # over TCP a second request costs more than any hole
        if address.is_serial_line:
            pace = self.line.pace(self.settings.unit)
            hole = modbus.hole_registers(address.baud, pace.turnaround_us if pace.answers else TURNAROUND_US)
        levels = profile.plan_levels(bound.profile, bound.names, hole, self._learned, most)
        if not address.is_serial_line:
            levels = (levels[1], levels[1], levels[2])
        if bound.model is not None:
            levels = tuple([_with_header(reads, bound.model.base, most) for reads in levels])
        self._reads = levels


def _with_header(reads: list[Read], base: int, most: int) -> list[Read]:
    """Have the model's header read along where it costs no request: it tells when the map has changed."""
    if not reads:
        return reads
    first = min(reads, key=lambda read: (read.fc, read.address))
    wide = first.address + first.count - base
    if first.fc != modbus.HOLDING or wide > most:
        return reads
    return [Read(first.fc, base, wide) if read == first else read for read in reads]


def _odd(values: dict[str, Any]) -> str:
    """Return the first value that no device can show, in words; an instrument that sleeps may show zero."""
    for name, value in values.items():
        low, high = BANDS.get(name) or BANDS.get(name.partition("_l")[0]) or (None, None)
        if value is not None and value[0] and low is not None and high is not None:
            number = value[0] * 10.0 ** value[1]
            if not low <= number <= high:
                return f"a {name} of {number:g}"
    return ""
