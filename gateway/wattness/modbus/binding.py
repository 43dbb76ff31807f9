"""What a device is: its SunSpec map walked, its profile's points bound to registers, its serial number."""

import hashlib
from typing import Any, NamedTuple

from wattness.devices import Device as Settings
from wattness.errors import ConfigError
from wattness.profiles import bundled_profile, model_profile, profiles_dir
from wattwire import profile, sunspec
from wattwire.errors import WireError
from wattwire.modbus import ModbusError
from wattwire.plan import Read

from .line import Line, SilentError

SUNSPEC = "sunspec"
HASH_SIZE = 16
TRIES = 2


class WrongMapError(Exception):
    """The device answers, but it is not what the configuration says; its text says in words why."""


class Binding(NamedTuple):
    """A profile bound to a device's registers."""

    profile: Any  # wattwire.reading.Profile, with the wanted points alone
    profile_hash: bytes
    names: tuple[str, ...]  # the points in the order of the stream's columns
    serial: bytes | None  # its hash
    model: sunspec.Model | None  # where the map was walked


async def bind(line: Line, settings: Settings) -> Binding:
    """Ask the device what it is. Raises SilentError, WrongMapError, or ConfigError for what the operator must fix."""
    name = settings.profile
    walk = () if name == SUNSPEC else bundled_profile(name, settings.role).walk
    if name != SUNSPEC and not walk:
        bound = profile.bind(bundled_profile(name, settings.role))
        serial = await _serial(line, settings.unit, bound)
        return _wanted(settings, bound, serial, None)
    models = await walk_map(line, settings.unit)
    if not models:
        raise WrongMapError("the device has no SunSpec map")
    found = model_profile(models, settings.role, walk)
    if found is None:
        listed = ", ".join(str(model.id) for model in models)
        raise WrongMapError(f"of the device's SunSpec models ({listed}) none suits a {settings.role}")
    loaded, model = found
    common = sunspec.common_of(models, model)
    serial = None
    if common is not None:
        identity = profile.bind(bundled_profile(sunspec.PROFILES[common.id]), common.base, common.length)
        serial = await _serial(line, settings.unit, identity)
    return _wanted(settings, profile.bind(loaded, model.base, model.length), serial, model)


async def walk_map(line: Line, unit: int) -> list[sunspec.Model]:
    """Return the device's SunSpec models; none if it has no map. Raises SilentError."""
    walker = sunspec.Walker()
    while (read := walker.next()) is not None:
        try:
            walker.take(await line.read(unit, read))
        except (ModbusError, WireError) as error:
            walker.fail(error)
    if walker.interrupted:
        raise SilentError("the device's map could not be read to its end")
    return list(walker.models)


async def identify(line: Line, unit: int, bound: Any) -> dict[str, str | None]:
    """Return the texts of a bound profile: manufacturer, model, serial. Raises SilentError."""
    answers = [(read, await read_or_none(line, unit, read)) for read in profile.plan_identity(bound)]
    return dict(profile.identify(bound, answers))


async def read_or_none(line: Line, unit: int, read: Read) -> bytes | None:
    """Return a Read's bytes, or None if the device refused or garbled them. Raises SilentError."""
    for _ in range(TRIES):
        try:
            return await line.read(unit, read)
        except ModbusError as error:
            if error.code <= 3:  # it would say the same again
                return None
        except WireError:
            pass
    return None


def check_settings(settings: Settings) -> None:
    """Raise ConfigError for a profile or points that cannot be, before anything is asked."""
    if settings.profile != SUNSPEC:
        loaded = bundled_profile(settings.profile, settings.role)
        if loaded.manner.width != 2:
            raise ConfigError(f"{settings.profile} answers against the standard; read it with a board.")
        if not loaded.walk:
            _wanted(settings, profile.bind(loaded), None, None)


async def _serial(line: Line, unit: int, bound: Any) -> bytes | None:
    serial = (await identify(line, unit, bound)).get("serial")
    return None if serial is None else hashlib.sha256(serial.encode()).digest()[:HASH_SIZE]


def _wanted(settings: Settings, bound: Any, serial: bytes | None, model: sunspec.Model | None) -> Binding:
    names: tuple[str, ...] = tuple(settings.points) or bound.default
    missing = profile.unknown(bound, names)
    if missing and settings.points:
        raise ConfigError(f"The device {settings.name!r} has no point {missing[0]!r}; see `wattness profile list`.")
    names = tuple(name for name in names if name not in missing)
    points = tuple(point for point in bound.points if point.name in names)
    text = (profiles_dir() / f"{bound.id}.json").read_bytes()
    return Binding(bound._replace(points=points), hashlib.sha256(text).digest()[:HASH_SIZE], names, serial, model)
