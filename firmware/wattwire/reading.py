"""What a profile makes of register bytes, poll by poll: the half of `profile` that a board keeps in its heap."""

from collections import namedtuple

from . import register
from .errors import WireError

# `exponent` is that of the integer column (a scale factor adds to it); `scale` is the power of ten from a float's
# unit in the register to the unit on the wire; `invalid` are bit patterns that mean no value. `block` is the number of
# the block that a bound point is in, or 0; `count` is the place of the register that says how many blocks there are.
Point = namedtuple(
    "Point",
    [
        "name",
        "unit",
        "fc",
        "address",
        "type",
        "order",
        "exponent",
        "scale",
        "sf",
        "invalid",
        "modulus",
        "block",
        "magnitude",
        "count",
    ],
)
Profile = namedtuple(
    "Profile", ["id", "title", "positive", "max_registers", "models", "default", "points", "identity", "repeat"]
)

POSITIVE = {  # which way a role's positive power flows
    "pv": "export",
    "grid": "import",
    "load": "import",
    "battery": "import",
    "charger": "import",
    "vehicle": "import",
}


def span(point: Point) -> tuple[int, int, int]:
    """Return (fc, first, end) of the registers that one read must hold: value, scale factor and count of blocks."""
    first, end = point.address, point.address + register.COUNTS[point.type]
    for other in (point.sf, point.count):
        if other is not None:
            first, end = min(first, other), max(end, other + 1)
    return (point.fc, first, end)


def decode(profile: Profile, names: list | tuple, answers: list) -> dict[str, tuple[int, int] | None]:
    """Return {name: (integer, exponent) | None} for `names`; `answers` are (Read, register bytes | None) pairs.

    A value, its scale factor and the count of its blocks must come from the same answer; of several answers the last
    one counts. What was not read, or says that it has no value, is None and never 0.
    """
    values = dict.fromkeys(names)
    for point in profile.points:
        if point.name not in values:
            continue
        fc, first, end = span(point)
        data = held(answers, fc, first, end)
        if data is not None:
            values[point.name] = _decode(point, data, first)
    return values


def held(answers: list, fc: int, first: int, end: int) -> bytes | None:
    """Return the bytes of the registers first…end−1 from the last answer that holds them all, or None."""
    found = None
    for read, data in answers:
        if data is None or read.fc != fc or read.address > first or end > read.address + read.count:
            continue
        data = data[2 * (first - read.address) : 2 * (end - read.address)]
        found = data if len(data) == 2 * (end - first) else None
    return found


def _decode(point: Point, data: bytes, first: int) -> tuple[int, int] | None:
    at = 2 * (point.address - first)
    value = data[at : at + 2 * register.COUNTS[point.type]]
    others = []
    for address in (point.sf, point.count):
        others.append(None if address is None else data[2 * (address - first) : 2 * (address - first) + 2])
    return convert(point, value, *others)


def convert(point: Point, data: bytes, sf: bytes | None = None, count: bytes | None = None) -> tuple[int, int] | None:
    """Return (integer, exponent) of `point` from the bytes of its registers, its scale factor and count, or None."""
    if point.count is not None and register.bits(count, "big") < point.block:
        return None  # beyond the device's blocks; a count that is not implemented, 65535, allows all
    exponent = point.exponent
    if point.sf is not None:
        factor = register.scale_factor(register.bits(sf, "big"))
        if factor is None:
            return None
        exponent += factor
    raw = register.bits(data, point.order)
    if raw in point.invalid:
        return None
    value = register.integer(point.type, raw, point.scale - point.exponent)
    return None if value is None else (value, exponent)


def orient(values: dict, profile: Profile, role: str) -> dict:
    """Return `values` with power and current signed as `role` wants them; counters and magnitudes stay."""
    if role not in POSITIVE:
        raise WireError("bad_range", "role %s" % role)
    if POSITIVE[role] == profile.positive:
        return values
    magnitudes = [point.name for point in profile.points if point.magnitude]
    return {name: value if name in magnitudes else _negated(name, value) for name, value in values.items()}


def directed(name: str) -> bool:
    """Tell whether a point's sign says which way energy flows: power, reactive power and current, phases too."""
    return name.startswith(("power", "current", "reactive_power")) and not name.startswith("power_factor")


def _negated(name: str, value: tuple[int, int] | None) -> tuple[int, int] | None:
    return (-value[0], value[1]) if value is not None and directed(name) else value


def wire_points(profile: Profile, names: list | tuple, values: dict) -> list[tuple]:
    """Return (name, unit, exponent, modulus) for each of `names`: what a streams record says of its columns.

    The exponent is that of `values` (as `decode` gave them), else the profile's own while none was seen.
    """
    by_name = {point.name: point for point in profile.points}
    points = []
    for name in names:
        point = by_name.get(name)
        if point is None:
            raise WireError("unknown_point", name)
        value = values.get(name)
        points.append((name, point.unit, point.exponent if value is None else value[1], point.modulus))
    return points
