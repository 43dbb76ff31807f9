"""One metered device: what it is, how it is read, and what its values are called on the wire."""

import hashlib

from wattboard.config import ConfigError
from wattwire import frame, profile, sunspec
from wattwire.errors import WireError
from wattwire.modbus import ModbusError

PROFILES = "/profiles/"
SUNSPEC = "sunspec"
TRIES = 2
EXPONENT_CHANGES_MAX = 8  # then the finest exponent stays, and coarser values are multiplied, which is exact
FINAL_CODES = (1, 2, 3)  # exceptions that say the same when asked again
HASH_SIZE = 16
VALUE_LIMIT = 1 << 62  # the difference of two values has 63 bits


class SilentError(Exception):
    """The device did not answer at all."""


class UnsuitableError(SilentError):
    """The device answered, but it is not what the configuration says; it may be tomorrow."""


class Device:
    """Reads one configured stream; `points` and the rest of `stream()` are what the streams record says of it."""

    def __init__(self, settings, bus, path):
        self.unit = settings["unit"]
        self.role = settings["role"]
        self.errors = 0
        self.known = False  # the profile is bound to the device's registers
        self._settings = settings
        self._bus = bus
        self._path = path
        self._profile = None  # type: profile.Profile | None
        self._profile_hash = bytes(HASH_SIZE)
        self._names = ()
        self._reads = []
        self._exponents = {}
        self._changes = 0
        self._serial = None
        if settings["profile"] != SUNSPEC:
            self._bind(profile.bind(self._load(settings["profile"])))

    @property
    def walks(self):
        """Tell whether the device must be asked for its map."""
        return self._settings["profile"] == SUNSPEC

    def stream(self):
        """Return the Stream of the streams record."""
        points = []
        name = self._settings["profile"]
        if self._profile is not None:
            name = self._profile.id
            seen = {point: (0, exponent) for point, exponent in self._exponents.items()}
            points = [frame.Point(*each) for each in profile.wire_points(self._profile, self._names, seen)]
        return frame.Stream(
            self.role,
            name,
            self._profile_hash,
            self.unit,
            tuple(points),
            self._serial,
            self._settings.get("rated_w"),
            self._settings.get("inverted", False),
        )

    async def identify(self):
        """Ask the device what it is; raises SilentError."""
        if self.walks:
            models = await self._walk()
            try:
                await self._choose(models)
            except ConfigError as error:
                print("wattness:", error)
                raise UnsuitableError
        else:
            await self._read_serial(self._profile)
        self.known = True

    async def poll(self):
        """Return ([integer or None for each point], whether an exponent changed), or None if there was no value."""
        bound = self._profile
        if bound is None:
            raise SilentError  # it was never identified
        answers = await self._answers(self._reads)
        values = profile.orient(profile.decode(bound, self._names, answers), bound, self.role)
        changed = self._follow_exponents(values)
        row = [self._integer(name, values[name]) for name in self._names]
        for value in row:
            if value is not None:
                return row, changed
        return None

    def _integer(self, name, value):
        if value is None:
            return None
        integer = value[0] * 10 ** (value[1] - self._exponents[name])
        return integer if -VALUE_LIMIT < integer < VALUE_LIMIT else None

    def _follow_exponents(self, values):
        """Take over the exponents of `values`; return whether one differs from what the streams record says."""
        changed = False
        for name, value in values.items():
            if value is None:
                continue
            held = self._exponents.get(name)
            if value[1] == held or (self._changes >= EXPONENT_CHANGES_MAX and value[1] > held):
                continue
            self._exponents[name] = value[1]
            changed = True
        self._changes += changed
        return changed

    async def _answers(self, reads):
        answers = []
        for read in reads:  # MicroPython has no await in a comprehension
            answers.append((read, await self._registers(read)))
        return answers

    async def _registers(self, read):
        """Return a Read's bytes, or None if the device refused or garbled them; raises SilentError."""
        for attempt in range(TRIES):
            try:
                return await self._bus.read(self.unit, read)
            except ModbusError as error:
                self.errors += 1
                if error.code in FINAL_CODES:
                    return None
            except WireError as error:
                self.errors += 1
                if error.reason == "timeout" and attempt == TRIES - 1:
                    raise SilentError
        return None

    async def _walk(self):
        walker = sunspec.Walker()
        silent = 0
        while True:
            read = walker.next()
            if read is None:
                return walker.models
            try:
                walker.take(await self._bus.read(self.unit, read))
                silent = 0
            except ModbusError as error:
                walker.fail(error)
            except WireError as error:
                self.errors += 1
                silent += 1
                if error.reason == "timeout" and silent >= TRIES:
                    raise SilentError
                walker.fail(error)

    async def _choose(self, models):
        """Take the model that suits the role, and the serial number from the common model before it."""
        model = sunspec.choose(models, self.role)
        if model is None:
            raise ConfigError("%s.profile: the device has no SunSpec model for a %s" % (self._path, self.role))
        common = sunspec.common_of(models, model)
        if common is not None:
            bound = profile.bind(self._load(sunspec.PROFILES[common.id], keep=False), common.base, common.length)
            await self._read_serial(bound)
        self._bind(profile.bind(self._load(sunspec.PROFILES[model.id]), model.base, model.length))

    async def _read_serial(self, bound):
        answers = await self._answers(profile.plan_identity(bound))
        serial = profile.identify(bound, answers).get("serial")
        if serial is not None:
            self._serial = hashlib.sha256(serial.encode()).digest()[:HASH_SIZE]

    def _bind(self, bound):
        """Plan the reads of the wanted points and forget the others."""
        names = tuple(self._settings.get("points", ())) or bound.default
        missing = profile.unknown(bound, names)
        if missing and "points" in self._settings:
            raise ConfigError("%s.points: the device has no point %s" % (self._path, missing[0]))
        names = tuple([name for name in names if name not in missing])
        points = tuple([point for point in bound.points if point.name in names])
        self._profile = profile.Profile(
            bound.id,
            bound.title,
            bound.positive,
            bound.max_registers,
            bound.models,
            bound.default,
            points,
            bound.identity,
            None,
        )
        if names != self._names:
            self._exponents = {point.name: point.exponent for point in points}
        self._names = names
        self._reads = profile.plan(self._profile, names)
        self.known = not self.walks and not bound.identity

    def _load(self, name, *, keep=True):
        try:
            with open(PROFILES + name + ".json", "rb") as file:
                text = file.read()
        except OSError:
            raise ConfigError("%s.profile: there is no profile %s" % (self._path, name))
        if keep:
            self._profile_hash = hashlib.sha256(text).digest()[:HASH_SIZE]
        try:
            return profile.load(text)
        except WireError as error:
            raise ConfigError("%s.profile: %s: %s" % (self._path, name, error))
