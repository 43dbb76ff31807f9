"""Device profiles: one JSON text says which registers are which points; reads and values follow from it alone.

Addresses are those of the wire (from 0). In a profile with `models` (SunSpec) they count from the model's id
register, and `bind` makes them absolute; a point's `sf` is the place of its scale factor.
"""

from collections import namedtuple

from . import plan as planning
from . import reading, register
from .errors import WireError

Read = planning.Read
# The half that a board keeps in its heap, under the names by which everybody else knows it.
POSITIVE = reading.POSITIVE
Point = reading.Point
Profile = reading.Profile
span = reading.span
decode = reading.decode
convert = reading.convert
orient = reading.orient
directed = reading.directed
wire_points = reading.wire_points

Text = namedtuple("Text", ["name", "fc", "address", "count"])
Repeat = namedtuple("Repeat", ["first", "size", "max", "count"])
_TABLES = {"holding": 3, "input": 4}


def load(text: str | bytes) -> Profile:
    """Return the Profile in JSON `text` (str or bytes); raises WireError whose detail names the path."""
    from .profile_form import parse  # a board binds more often than it loads

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
        repeat = Repeat(repeat["first"], repeat["size"], repeat["max"], repeat.get("count"))
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
        int(item.get("block", False)),
        item.get("magnitude", False),
        form["repeat"].get("count") if item.get("block") else None,
    )


def _text(item: dict, form: dict) -> Text:
    return Text(item["name"], _TABLES[item.get("table", form["table"])], item["address"], item["count"])


def bind(profile: Profile, base: int = 0, length: int | None = None) -> Profile:
    """Return `profile` with absolute addresses: `base` is the model's id register, `length` its length register.

    Blocks that repeat become points named `_1`, `_2` …; what lies beyond the model's length is left out, and
    what is beyond the device's own count of blocks has no value when it is read.
    """
    end = 65536 if length is None else base + length + 2
    if not 0 <= base <= end <= 65536:
        raise WireError("bad_range", "a model at %s of length %s" % (base, length))
    points = []
    for point in profile.points:
        if not point.block:
            points.append(_moved(point, point.name, base, 0, 0))
            continue
        repeat = profile.repeat
        blocks = repeat.max if length is None else min(repeat.max, (length + 2 - repeat.first) // repeat.size)
        for block in range(blocks):
            name = "%s_%d" % (point.name, block + 1)
            points.append(_moved(point, name, base, repeat.first + block * repeat.size, block + 1))
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


def _moved(point: Point, name: str, base: int, offset: int, block: int) -> Point:
    sf = None if point.sf is None else base + point.sf
    count = None if point.count is None else base + point.count
    address = base + offset + point.address
    ends = (point.invalid, point.modulus, block, point.magnitude, count)
    return Point(name, point.unit, point.fc, address, *point[4:8], sf, *ends)


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


def identify(profile: Profile, answers: list) -> dict[str, str | None]:
    """Return {name: text | None} of a bound profile's texts; `answers` as for `decode`."""
    found = {}
    for item in profile.identity:
        data = reading.held(answers, item.fc, item.address, item.address + item.count)
        found[item.name] = None if data is None else register.text(data)
    return found
