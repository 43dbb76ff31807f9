"""Device profiles: one JSON text says which registers are which points; reads and values follow from it alone.

Addresses are those of the wire (from 0). In a profile with `models` (SunSpec) they count from the model's id
register, and `bind` makes them absolute; a point's `sf` is the place of its scale factor.
"""

from collections import namedtuple

from . import plan as planning
from . import reading, register
from .errors import WireError
from .schedule import RATES

Read = planning.Read
# The half that a board keeps in its heap, under the names by which everybody else knows it.
POSITIVE = reading.POSITIVE
Point = reading.Point
Profile = reading.Profile
parts = reading.parts
span = reading.span
decode = reading.decode
convert = reading.convert
orient = reading.orient
directed = reading.directed
wire_points = reading.wire_points

Text = namedtuple("Text", ["name", "fc", "address", "count"])
Repeat = namedtuple("Repeat", ["first", "size", "max", "count"])
_TABLES = {"holding": 3, "input": 4}
_NO_QUIRK = (2, None, (), (), None, 0, False)


def load(text: str | bytes, role: str | None = None) -> Profile:
    """Return the Profile in JSON `text` (str or bytes); raises WireError whose detail names the path.

    In a profile with `roles`, those points and that direction count which it gives for `role`; without a role it is
    the device's own view.
    """
    from .profile_form import parse  # a board binds more often than it loads

    form = parse(text)
    section = _section(form, role)
    own = _points(section.get("points", ()) if "role" in section else (), form)
    override = {point.name for point in own}
    points = [point for point in _points(form["points"], form) if point.name not in override]
    points.extend(own)
    return Profile(
        form["id"],
        form["title"],
        section.get("positive", form["positive"]),
        _manner(form),
        tuple(form.get("models", ())),
        tuple(section["default"]),
        tuple(points),
        tuple([_text(item, form) for item in form.get("identity", ())]),
        _repeat(form.get("repeat")),
        tuple([item["role"] for item in form.get("roles", ())]),
        tuple([(item["role"], tuple(item["profiles"])) for item in form.get("walk", ())]),
    )


def _section(form: dict, role: str | None) -> dict:
    """Return what the profile says for `role`: the whole form where it makes no difference."""
    sections = form.get("roles")
    if role is None or sections is None:
        return form
    for section in sections:
        if section["role"] == role:
            return section
    raise WireError("unknown_role", "%s has no points for a %s" % (form["id"], role))


def _points(items: list | tuple, form: dict) -> list[Point]:
    points = []
    for item in items:
        point = _point(item, form)
        points.append(point)
        for name in item.get("also", ()):
            points.append(Point(name, *point[1:]))
    return points


def _manner(form: dict) -> reading.Manner:
    pace = form.get("pace", {})
    pauses = [pace.get(key, 0) for key in ("gap_ms", "unit_change_ms", "timeout_ms")]
    width = form.get("register_bytes", 2)
    most = form.get("max_registers", 250 // width)
    return reading.Manner(most, width, tuple(form.get("barriers", ())), *pauses)


def _repeat(item: dict | None) -> Repeat | None:
    return None if item is None else Repeat(item["first"], item["size"], item["max"], item.get("count"))


def _point(item: dict, form: dict) -> Point:
    kind = item["type"]
    invalid = list(item.get("invalid", ()))
    modulus = item.get("modulus")
    if "models" in form or form.get("markers") == "sunspec":
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
        item.get("rate", planning.rate(item["unit"], item["name"])),
        "unsettled" in item,
        _quirk(item, form),
    )


def _quirk(item: dict, form: dict) -> reading.Quirk | None:
    sign = item.get("sign")
    found = (
        form.get("register_bytes", 2),
        item.get("high"),
        tuple(item.get("plus", ())),
        tuple(item.get("minus", ())),
        None if sign is None else (sign["address"], sign["bit"]),
        item.get("offset", 0),
        item.get("absolute", False),
    )
    return None if found == _NO_QUIRK else reading.Quirk(*found)


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
        *profile[9:],
    )


def _moved(point: Point, name: str, base: int, offset: int, block: int) -> Point:
    sf = None if point.sf is None else base + point.sf
    count = None if point.count is None else base + point.count
    quirk = point.quirk
    if quirk is not None:
        high = None if quirk.high is None else base + quirk.high
        plus, minus = [tuple([base + address for address in places]) for places in (quirk.plus, quirk.minus)]
        sign = quirk.sign and (base + quirk.sign[0], quirk.sign[1])
        quirk = reading.Quirk(quirk.width, high, plus, minus, sign, quirk.offset, quirk.absolute)
    address = base + offset + point.address
    ends = (point.invalid, point.modulus, block, point.magnitude, count, point.rate, point.unsettled, quirk)
    return Point(name, point.unit, point.fc, address, *point[4:8], sf, *ends)


def unknown(profile: Profile, names: list | tuple) -> list[str]:
    """Return those of `names` that a bound profile does not offer."""
    offered = {point.name for point in profile.points}
    return [name for name in names if name not in offered]


def unsettled(profile: Profile, names: list | tuple, confirmed: list | tuple = ()) -> list[str]:
    """Return those of `names` whose meaning is open and was not `confirmed`: nothing may be claimed for them."""
    doubtful = {point.name for point in profile.points if point.unsettled}
    return [name for name in names if name in doubtful and name not in confirmed]


def plan(
    profile: Profile,
    names: list | tuple,
    hole: int = planning.HOLE_REGISTERS,
    learned: planning.Learned = planning.NOTHING,
    most: int = 125,
) -> list[Read]:
    """Return the Reads for the points in `names` of a bound profile; a name that it does not offer adds nothing.

    `hole` is what a request costs in registers (`modbus.hole_registers`); `learned` is what the device refused.
    No read has more than `most` registers unless a point needs them.
    """
    spans = [span(point) for point in profile.points if point.name in names]
    widest = max([end - first for _, first, end in spans], default=0) if most < 125 else 0
    most = min(max(most, widest), profile.manner.max_registers)
    return planning.coalesce(spans, most, hole, profile.manner.barriers, learned)


def plan_levels(
    profile: Profile, names: list | tuple, hole: int, learned: planning.Learned = planning.NOTHING, most: int = 125
) -> tuple[list[Read], ...]:
    """Return the Reads of each level of `schedule.RATES`: the fast points alone, the slow ones with them, all."""
    rates = {point.name: RATES.index(point.rate) for point in profile.points if point.name in names}
    levels = []
    for level in range(len(RATES)):
        wanted = [name for name in names if rates.get(name, 0) <= level]
        reads = plan(profile, wanted, hole, learned, most)
        levels.append(levels[-1] if levels and levels[-1] == reads else reads)
    return tuple(levels)


def plan_identity(profile: Profile, hole: int = planning.HOLE_REGISTERS) -> list[Read]:
    """Return the Reads for the texts of a bound profile: manufacturer, model, serial."""
    spans = [(item.fc, item.address, item.address + item.count) for item in profile.identity]
    return planning.coalesce(spans, profile.manner.max_registers, hole, profile.manner.barriers)


def identify(profile: Profile, answers: list) -> dict[str, str | None]:
    """Return {name: text | None} of a bound profile's texts; `answers` as for `decode`."""
    found = {}
    for item in profile.identity:
        data = reading.held(answers, item.fc, item.address, item.address + item.count)
        found[item.name] = None if data is None else register.text(data)
    return found
