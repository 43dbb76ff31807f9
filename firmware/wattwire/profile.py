"""Device profiles: one JSON text says which registers are which points; reads and values follow from it alone.

Addresses are those of the wire (from 0). In a profile with `models` (SunSpec) they count from the model's id
register, and `bind` makes them absolute; a point's `sf` is the place of its scale factor.
"""

from collections import namedtuple

from . import plan as planning
from . import register
from .errors import WireError
from .profile_form import parse

Read = planning.Read

# `exponent` is that of the integer column (a scale factor adds to it); `scale` is the power of ten from a float's
# unit in the register to the unit on the wire; `invalid` are bit patterns that mean no value.
Point = namedtuple(
    "Point",
    ["name", "unit", "fc", "address", "type", "order", "exponent", "scale", "sf", "invalid", "modulus", "block"],
)
Text = namedtuple("Text", ["name", "fc", "address", "count"])
Repeat = namedtuple("Repeat", ["first", "size", "max"])
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
_TABLES = {"holding": 3, "input": 4}


def load(text: str | bytes) -> Profile:
    """Return the Profile in JSON `text` (str or bytes); raises WireError whose detail names the path."""
    form = parse(text)
    points = []
    for item in form["points"]:
        point = _point(item, form)
        points.append(point)
        for name in item.get("also", ()):
            points.append(Point(name, *point[1:]))
    identity = tuple([_text(item, form) for item in form.get("identity", ())])
    repeat = form.get("repeat")
    if repeat is not None:
        repeat = Repeat(repeat["first"], repeat["size"], repeat["max"])
    return Profile(
        form["id"],
        form["title"],
        form["positive"],
        form.get("max_registers", 125),
        tuple(form.get("models", ())),
        tuple(form.get("default", ())),
        tuple(points),
        identity,
        repeat,
    )


def _point(item: dict, form: dict) -> Point:
    kind = item["type"]
    invalid = list(item.get("invalid", ()))
    modulus = item.get("modulus")
    if "models" in form:
        invalid.append(register.SUNSPEC_INVALID[kind])
    if kind == "acc32" and modulus is None:
        modulus = 1 << 32
    return Point(
        item["name"],
        item["unit"],
        _TABLES[item.get("table", form["table"])],
        item["address"],
        kind,
        item.get("word_order", form.get("word_order", "big")),
        item.get("exponent", 0),
        item.get("scale", 0),
        item.get("sf"),
        tuple(invalid),
        modulus,
        item.get("block", False),
    )


def _text(item: dict, form: dict) -> Text:
    return Text(item["name"], _TABLES[item.get("table", form["table"])], item["address"], item["count"])


def bind(profile: Profile, base: int = 0, length: int | None = None) -> Profile:
    """Return `profile` with absolute addresses: `base` is the model's id register, `length` its length register.

    Blocks that repeat become points named `_1`, `_2` …; what lies beyond the model's length is left out.
    """
    end = 65536 if length is None else base + length + 2
    if not 0 <= base <= end <= 65536:
        raise WireError("bad_range", "a model at %s of length %s" % (base, length))
    points = []
    for point in profile.points:
        if not point.block:
            points.append(_moved(point, point.name, base, 0))
            continue
        repeat = profile.repeat
        blocks = repeat.max if length is None else min(repeat.max, (length + 2 - repeat.first) // repeat.size)
        for block in range(blocks):
            name = "%s_%d" % (point.name, block + 1)
            points.append(_moved(point, name, base, repeat.first + block * repeat.size))
    points = tuple([point for point in points if span(point)[2] <= end])
    offered = {point.name for point in points}
    texts = [Text(item.name, item.fc, base + item.address, item.count) for item in profile.identity]
    return Profile(
        *profile[:5],
        tuple([name for name in profile.default if name in offered]),
        points,
        tuple([item for item in texts if item.address + item.count <= end]),
        None,
    )


def _moved(point: Point, name: str, base: int, offset: int) -> Point:
    sf = None if point.sf is None else base + point.sf
    address = base + offset + point.address
    return Point(name, point.unit, point.fc, address, *point[4:8], sf, point.invalid, point.modulus, False)


def span(point: Point) -> tuple[int, int, int]:
    """Return (fc, first, end) of the registers that one read must hold: the value's and its scale factor's."""
    end = point.address + register.COUNTS[point.type]
    if point.sf is None:
        return (point.fc, point.address, end)
    return (point.fc, min(point.address, point.sf), max(end, point.sf + 1))


def unknown(profile: Profile, names: list | tuple) -> list[str]:
    """Return those of `names` that a bound profile does not offer."""
    offered = {point.name for point in profile.points}
    return [name for name in names if name not in offered]


def plan(profile: Profile, names: list | tuple, hole: int = planning.HOLE_REGISTERS) -> list[Read]:
    """Return the Reads for the points in `names` of a bound profile; a name that it does not offer adds nothing."""
    spans = [span(point) for point in profile.points if point.name in names]
    return planning.coalesce(spans, profile.max_registers, hole)


def plan_identity(profile: Profile, hole: int = planning.HOLE_REGISTERS) -> list[Read]:
    """Return the Reads for the texts of a bound profile: manufacturer, model, serial."""
    spans = [(item.fc, item.address, item.address + item.count) for item in profile.identity]
    return planning.coalesce(spans, profile.max_registers, hole)


def decode(profile: Profile, names: list | tuple, answers: list) -> dict[str, tuple[int, int] | None]:
    """Return {name: (integer, exponent) | None} for `names`; `answers` are (Read, register bytes | None) pairs.

    A value and its scale factor must come from the same answer; of several answers the last one counts. What was
    not read, or says that it has no value, is None and never 0.
    """
    values = dict.fromkeys(names)
    for point in profile.points:
        if point.name not in values:
            continue
        fc, first, end = span(point)
        data = _held(answers, fc, first, end)
        if data is not None:
            values[point.name] = _decode(point, data, first)
    return values


def _held(answers: list, fc: int, first: int, end: int) -> bytes | None:
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
    if point.sf is None:
        return convert(point, value)
    at = 2 * (point.sf - first)
    return convert(point, value, data[at : at + 2])


def convert(point: Point, data: bytes, sf: bytes | None = None) -> tuple[int, int] | None:
    """Return (integer, exponent) of `point` from its own registers' bytes and its scale factor's, or None."""
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


def identify(profile: Profile, answers: list) -> dict[str, str | None]:
    """Return {name: text | None} of a bound profile's texts; `answers` as for `decode`."""
    found = {}
    for item in profile.identity:
        data = _held(answers, item.fc, item.address, item.address + item.count)
        found[item.name] = None if data is None else register.text(data)
    return found


def orient(values: dict, profile: Profile, role: str) -> dict:
    """Return `values` with power and current signed as `role` wants them; counters keep their names."""
    if role not in POSITIVE:
        raise WireError("bad_range", "role %s" % role)
    if POSITIVE[role] == profile.positive:
        return values
    return {name: _negated(name, value) for name, value in values.items()}


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
