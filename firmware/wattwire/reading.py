"""What a profile makes of register bytes, poll by poll: the half of `profile` that a board keeps in its heap."""

from collections import namedtuple

from . import register
from .errors import WireError

# `exponent` is that of the integer column (a scale factor adds to it); `scale` is the power of ten from a float's
# unit in the register to the unit on the wire; `invalid` are bit patterns that mean no value. `block` is the number of
# the block that a bound point is in, or 0; `count` is the place of the register that says how many blocks there are.
# `rate` is the class in which it is read, `unsettled` whether its meaning is open; `quirk` is a Quirk or None.
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
        "rate",
        "unsettled",
        "quirk",
    ],
)
# What few points have: the registers of four bytes each; the place of a high word that stands apart; places of values
# to add or to take away; the (place, bit) that says minus; what is added to the integer; whether its sign is noise.
Quirk = namedtuple("Quirk", ["width", "high", "plus", "minus", "sign", "offset", "absolute"])
# How the device wants to be asked: the most registers at once, the bytes of each, the registers that no read may begin
# before and go on into, and the pauses and patience it needs in ms.
Manner = namedtuple("Manner", ["max_registers", "width", "barriers", "gap_ms", "unit_change_ms", "timeout_ms"])
PLAIN = Manner(125, 2, (), 0, 0, 0)
Profile = namedtuple(
    "Profile",
    ["id", "title", "positive", "manner", "models", "default", "points", "identity", "repeat", "roles", "walk"],
)

POSITIVE = {  # which way a role's positive power flows
    "pv": "export",
    "grid": "import",
    "load": "import",
    "battery": "import",
    "charger": "import",
    "vehicle": "import",
}


def size(point: Point) -> int:
    """Return how many registers of the device hold the point's value, or its low word if the high one stands apart."""
    if point.quirk is None:
        return register.COUNTS[point.type]
    return 1 if point.quirk.high is not None else 2 * register.COUNTS[point.type] // point.quirk.width


def parts(point: Point) -> list[tuple[int, int]]:
    """Return (address, count) of all that the point's value needs: itself, its scale factor, and what a quirk adds."""
    wide = size(point)
    found = [(point.address, wide), (point.sf, 1), (point.count, 1)]
    if point.quirk is not None:
        found.append((point.quirk.high, 1))
        found.append((point.quirk.sign and point.quirk.sign[0], 1))
        found.extend([(address, wide) for address in point.quirk.plus + point.quirk.minus])
    return [part for part in found if part[0] is not None]


def span(point: Point) -> tuple[int, int, int]:
    """Return (fc, first, end) of the registers that one read must hold."""
    needed = parts(point)
    return (point.fc, min([part[0] for part in needed]), max([part[0] + part[1] for part in needed]))


def decode(profile: Profile, names: list | tuple, answers: list) -> dict[str, tuple[int, int] | None]:
    """Return {name: (integer, exponent) | None} for `names`; `answers` are (Read, register bytes | None) pairs.

    A value, its scale factor and whatever else it needs must come from the same answer; of several answers the last
    one counts. What was not read, or says that it has no value, is None and never 0.
    """
    values = dict.fromkeys(names)
    width = profile.manner.width
    for point in profile.points:
        if point.name not in values:
            continue
        fc, first, end = span(point)
        data = held(answers, fc, first, end, width)
        if data is not None:
            values[point.name] = convert(point, data, first)
    return values


def held(answers: list, fc: int, first: int, end: int, width: int = 2) -> bytes | None:
    """Return the bytes of the registers first…end−1 from the last answer that holds them all, or None."""
    found = None
    for read, data in answers:
        if data is None or read.fc != fc or read.address > first or end > read.address + read.count:
            continue
        data = data[width * (first - read.address) : width * (end - read.address)]
        found = data if len(data) == width * (end - first) else None
    return found


def convert(point: Point, data: bytes, first: int | None = None) -> tuple[int, int] | None:
    """Return (integer, exponent) of `point`, or None; `data` holds its `span`, from `first` (its address) on."""
    if first is None:
        first = point.address
    if point.count is not None and _bits(data, point.count - first, 1, 2) < point.block:
        return None  # beyond the device's blocks; a count that is not implemented, 65535, allows all
    exponent = point.exponent
    if point.sf is not None:
        factor = register.scale_factor(_bits(data, point.sf - first, 1, 2))
        if factor is None:
            return None
        exponent += factor
    if point.quirk is None:
        value = _integer(point, register.bits(data[2 * (point.address - first) :][: 2 * size(point)], point.order))
    else:
        value = _with_quirk(point, data, first)
    return None if value is None else (value, exponent)


def _integer(point: Point, raw: int) -> int | None:
    return None if raw in point.invalid else register.integer(point.type, raw, point.scale - point.exponent)


def _bits(data: bytes, at: int, count: int, width: int, order: str = "big") -> int:
    return register.bits(data[width * at : width * (at + count)], order)


def _with_quirk(point: Point, data: bytes, first: int) -> int | None:
    quirk = point.quirk
    wide = size(point)
    total = 0
    for factor, places in ((1, (point.address,)), (1, quirk.plus), (-1, quirk.minus)):
        for place in places:
            raw = _bits(data, place - first, wide, quirk.width, point.order)
            if quirk.high is not None:
                raw |= _bits(data, quirk.high - first, 1, quirk.width) << 16
            value = _integer(point, raw)
            if value is None:
                return None
            total += factor * value
    if quirk.sign is not None and _bits(data, quirk.sign[0] - first, 1, quirk.width) >> quirk.sign[1] & 1:
        total = -total
    total += quirk.offset
    if quirk.absolute and total < 0:
        total = -total
    return total if -register.LIMIT < total < register.LIMIT else None


def orient(values: dict, profile: Profile, role: str) -> dict:
    """Return `values` with power and current signed as `role` wants them; counters and magnitudes stay."""
    if role not in POSITIVE:
        raise WireError("bad_range", "role %s" % role)
    if POSITIVE[role] == profile.positive:
        return values
    magnitudes = [point.name for point in profile.points if point.magnitude]
    return {name: value if name in magnitudes else _negated(name, value) for name, value in values.items()}


DIRECTED = ("power", "current", "reactive_power", "battery_power", "battery_current")


def directed(name: str) -> bool:
    """Tell whether a point's sign says which way energy flows: power, reactive power and current, phases too."""
    return name.startswith(DIRECTED) and not name.startswith("power_factor")


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
