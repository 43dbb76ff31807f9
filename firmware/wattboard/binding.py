"""What a device is: its SunSpec map walked, its points bound to registers; needed on loan."""

import hashlib
from collections import namedtuple

from wattboard.errors import ConfigError, SilentError, UnsuitableError
from wattwire import modbus, plan, profile, sunspec
from wattwire.errors import WireError

HASH_SIZE = 16

# `profile` has the wanted points alone, in no order; `names` are those points in the order of the stream's columns.
Binding = namedtuple("Binding", ("profile", "profile_hash", "names"))


def from_profile(known, settings, path):
    """Return the Binding of a device whose profile the configuration names; raises ConfigError."""
    return _bind(known[settings["profile"]], 0, None, settings, path)


def plan_reads(bound, names, learned, hole, is_noisy):
    """Return the Reads of each level for the points in `names`, but for what the device has refused."""
    most = plan.NOISY_REGISTERS if is_noisy else 125
    return profile.plan_levels(bound, names, hole // (bound.manner.width // 2), learned or plan.NOTHING, most)


async def look_into(device, bound, names, refused, learned):
    """Find out why the device refused a Read, and return what is known of it then."""
    spans = [profile.span(point) for point in bound.points if point.name in names]
    bisect = plan.Bisect(refused, spans, learned or plan.NOTHING)
    while True:
        read = bisect.next()
        if read is None:
            break
        try:
            await device.registers_once(read)
            bisect.take()
        except (modbus.ModbusError, WireError) as error:
            bisect.fail(error)
    return bisect.learned()


async def from_map(device, known, settings, path):
    """Walk a SunSpec device; return (Binding, serial number's hash or None). Raises SilentError."""
    models = await _walk(device)
    try:
        return await _choose(device, models, known, settings, path)
    except ConfigError as error:
        print("wattness:", error)
        raise UnsuitableError


async def read_serial(device, bound):
    """Return the hash of the serial number that a bound profile's device tells, or None."""
    answers = await device.answers(profile.plan_identity(bound))
    serial = profile.identify(bound, answers).get("serial")
    return None if serial is None else hashlib.sha256(serial.encode()).digest()[:HASH_SIZE]


async def _walk(device):
    walker = sunspec.Walker()
    while True:
        read = walker.next()
        if read is None:
            break
        try:
            walker.take(await device.registers_once(read))
        except (modbus.ModbusError, WireError) as error:
            walker.fail(error)
    if walker.interrupted:  # noise or silence may have hidden a part of the map
        raise SilentError
    return walker.models


async def _choose(device, models, known, settings, path):
    """Take the model that suits the role, and the serial number from the common model before it."""
    walk = known[settings["profile"]][0].walk if settings["profile"] in known else ()
    names = sunspec.profiles_for(settings["role"], walk)
    for name, model in sunspec.matches(models, [(name, known[name][0].models) for name in names]):
        if profile.bind(known[name][0], model.base, model.length).default:
            break
    else:
        raise ConfigError("%s.profile: the device has no SunSpec model for a %s" % (path, settings["role"]))
    common = sunspec.common_of(models, model)
    serial = None
    if common is not None:
        loaded, _ = known[sunspec.PROFILES[common.id]]
        serial = await read_serial(device, profile.bind(loaded, common.base, common.length))
    return _bind(known[name], model.base, model.length, settings, path), serial


def _bind(known, base, length, settings, path):
    """Plan the reads of the wanted points."""
    loaded, profile_hash = known
    bound = profile.bind(loaded, base, length)
    names = tuple(settings.get("points", ())) or bound.default
    missing = profile.unknown(bound, names)
    if missing and "points" in settings:
        raise ConfigError("%s.points: the device has no point %s" % (path, missing[0]))
    names = tuple([name for name in names if name not in missing])
    return Binding(bound, profile_hash, names)
