"""One metered device: how it is read, and what its values are called on the wire."""

from wattboard.errors import SilentError
from wattboard.loan import Loan
from wattwire import reading, records
from wattwire.errors import WireError
from wattwire.exponents import Exponents
from wattwire.modbus import ModbusError, hole_registers
from wattwire.pace import SETTLED, Pace

SUNSPEC = "sunspec"
BINDING = "wattboard.binding"
LESSONS = "wattboard.lessons"
TRIES = 2
TURNAROUND_US = 25000  # planned with until it is measured
FULL = 2  # the level at which all points are read
ILLEGAL_FUNCTION = 1
FINAL_CODES = (1, 2, 3)  # exceptions that say the same when asked again
HASH_SIZE = 16


class Device:
    """Reads one configured stream; `points` and the rest of `stream()` are what the streams record says of it."""

    def __init__(self, settings, known, bus, path):
        self.unit = settings["unit"]
        self.role = settings["role"]
        self.errors = 0
        self.known = False  # the profile is bound to the device's registers
        self._settings = settings
        self._known = known  # what `catalog` read for this stream, as long as it may have to be looked at again
        self.bus = bus
        self._path = path
        self._profile = None  # type: reading.Profile | None
        self._profile_hash = bytes(HASH_SIZE)
        self._names = ()
        self._reads = ((), (), ())  # of each level
        self._learned = None  # what the device refused
        self._kept = None  # what flash says of it
        self._recalled = False
        self._refused = None  # the Read that it refused just now
        self._planned_us = TURNAROUND_US
        self._planned_noisy = False
        self.pace = Pace(reading.PLAIN)
        self.tries = TRIES
        self.is_complete = False  # the last poll had an answer to every read
        self._exponents = Exponents({})
        self._serial = None
        name = settings["profile"]
        self.walks = name == SUNSPEC or bool(known[name][0].walk)  # it must be asked for its map
        if not self.walks:
            with Loan(BINDING) as binding:
                self._take(binding.from_profile(known, settings, path))
            self._known = None

    def stream(self):
        """Return the Stream of the streams record."""
        points = []
        name = self._settings["profile"]
        if self._profile is not None:
            name = self._profile.id
            seen = {point: (0, exponent) for point, exponent in self._exponents.points.items()}
            points = [records.Point(*each) for each in reading.wire_points(self._profile, self._names, seen)]
        return records.Stream(
            self.role,
            name,
            self._profile_hash,
            self.unit,
            tuple(points),
            self._serial,
            self._settings.get("rated_w"),
            self._settings.get("inverted", False),
        )

    def unsettled(self):
        """Return the names of points whose meaning is open until the owner confirms it: nothing is claimed for them."""
        if self._profile is None:
            return []
        confirmed = self._settings.get("confirmed", ())
        doubtful = [point.name for point in self._profile.points if point.unsettled]
        return [name for name in self._names if name in doubtful and name not in confirmed]

    async def identify(self):
        """Ask the device what it is; raises SilentError."""
        if self.known and not self.walks:
            return
        self.known = False
        with Loan(BINDING) as binding:
            if self.walks:
                bound, self._serial = await binding.from_map(self, self._known, self._settings, self._path)
                self._take(bound)
            else:
                self._serial = await binding.read_serial(self, self._profile)
        self.known = True

    async def poll(self, level=FULL):
        """Return ([integer or None for each point], whether an exponent changed), or None if there was no value.

        Of `level` depends which points are read. Raises SilentError.
        """
        bound = self._profile
        if bound is None:
            raise SilentError  # it was never identified
        if not self._recalled:
            self._recall()
        elif level == FULL and self._learned and self.is_complete:
            self._learned = None  # what it did not have it may have by now
            self._plan()
        self._refused = None
        answers = await self.answers(self._reads[level] or self._reads[FULL])
        self.is_complete = None not in [data for _, data in answers]
        await self._learn()
        if self._learned != self._kept and self.is_complete:
            self._kept = self._learned
            with Loan(LESSONS) as lessons:
                lessons.remember(self.unit, self._profile_hash, self._kept)
        values = reading.orient(reading.decode(bound, self._names, answers), bound, self.role)
        changed = self._exponents.follow(values)
        row = [self._exponents.integer(name, values[name]) for name in self._names]
        for value in row:
            if value is not None:
                return row, changed
        return None

    async def answers(self, reads):
        """Return (Read, register bytes or None) for each of `reads`; raises SilentError."""
        answers = []
        for read in reads:  # MicroPython has no await in a comprehension
            answers.append((read, await self._registers(read)))
        return answers

    async def registers_once(self, read):
        """Return a Read's bytes; raises ModbusError or WireError."""
        try:
            return await self.bus.read(self.unit, read, self.pace)
        except WireError:
            self.errors += 1
            raise

    async def _registers(self, read):
        """Return a Read's bytes, or None if the device refused or garbled them; raises SilentError."""
        for attempt in range(self.tries):
            try:
                return await self.registers_once(read)
            except ModbusError as error:
                self.errors += 1
                if error.code in FINAL_CODES:
                    self._refused = read if error.code != ILLEGAL_FUNCTION else None
                    return None
            except WireError as error:
                if error.reason == "timeout" and attempt == self.tries - 1:
                    raise SilentError
        return None

    def _take(self, bound):
        """Read by this Binding from now on."""
        if bound.names != self._names:
            self._exponents = Exponents({point.name: point.exponent for point in bound.profile.points})
        self._profile, self._profile_hash = bound.profile, bound.profile_hash
        self._names = bound.names
        self._learned = self._kept = None
        self._recalled = False
        if self.pace.manner != bound.profile.manner:
            self.pace = Pace(bound.profile.manner)
        self._plan()
        self.known = not self.walks and not bound.profile.identity

    def _recall(self):
        """Plan by what the device is known to refuse since before this start."""
        self._recalled = True
        with Loan(LESSONS) as lessons:
            self._learned = self._kept = lessons.recall(self.unit, self._profile_hash)
        if self._learned:
            self._plan()
            if not self._reads[FULL]:
                self._learned = None  # other points are wanted now, and nothing of them was there
                self._plan()

    async def _learn(self):
        """Look into what the device refused just now, and plan anew if turnaround or noise are not as planned."""
        refused, self._refused = self._refused, None
        if refused is not None:
            with Loan(BINDING) as binding:
                self._learned = await binding.look_into(self, self._profile, self._names, refused, self._learned)
            self._plan()
            if not self._reads[FULL]:
                self._learned = None
                self._plan()
                raise SilentError  # it refuses all of it: later it may not
        elif self._planned_noisy != self.pace.is_noisy:
            self._plan()
        elif self.pace.answers >= SETTLED:
            turnaround_us = self.pace.turnaround_us
            if abs(turnaround_us - self._planned_us) > self._planned_us // 2 + 5000:
                self._planned_us = turnaround_us
                self._plan()

    def _plan(self):
        self._planned_noisy = self.pace.is_noisy
        with Loan(BINDING) as binding:
            hole = hole_registers(self.bus.baud, self._planned_us)
            self._reads = binding.plan_reads(self._profile, self._names, self._learned, hole, self._planned_noisy)
