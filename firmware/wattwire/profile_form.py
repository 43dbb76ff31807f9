"""What a profile's JSON may say: keys, types, ranges and names, each refusal with the path of the key."""

from .errors import WireError
from .form import check, check_choice, check_numbers, check_word, read
from .register import COUNTS

TEXT_MAX = 65536
POINTS_MAX = 256
UNITS = {  # the names of points and their units on the wire; phases add _l1 … _l3, strings _1, _2 …
    "power": "W",
    "apparent_power": "VA",
    "reactive_power": "var",
    "power_factor": "1",
    "energy_import": "Wh",
    "energy_export": "Wh",
    "voltage": "V",
    "current": "A",
    "frequency": "Hz",
    "temperature": "Cel",
    "soc": "%",
    "soh": "%",
    "dc_power": "W",
    "dc_voltage": "V",
    "dc_current": "A",
    "state": "1",
    "rated_power": "W",
    "speed": "km/h",
    "odometer": "km",
    "range": "km",
    "battery_power": "W",
    "battery_voltage": "V",
    "battery_current": "A",
    "charging": "1",
    "plugged": "1",
    "aux_voltage": "V",
    "ambient_temperature": "Cel",
}
# key: (type, required, lowest, highest); the lengths of texts and lists, the values of numbers.
TOP = {
    "id": (str, True, 1, 48),
    "title": (str, True, 1, 120),
    "positive": (str, True, 6, 6),
    "table": (str, True, 5, 7),
    "word_order": (str, False, 3, 6),
    "markers": (str, False, 7, 7),
    "max_registers": (int, False, 1, 125),
    "register_bytes": (int, False, 2, 4),
    "barriers": (list, False, 1, 32),
    "models": (list, False, 1, 16),
    "walk": (list, False, 1, 6),
    "default": (list, True, 0, 32),
    "repeat": (dict, False, 3, 4),
    "bus": (dict, False, 0, 8),
    "pace": (dict, False, 1, 8),
    "notes": (list, False, 0, 32),
    "source": (str, False, 1, 400),
    "identity": (list, False, 1, 8),
    "points": (list, True, 0, POINTS_MAX),
    "roles": (list, False, 1, 6),
}
ROLE = {
    "role": (str, True, 2, 8),
    "positive": (str, False, 6, 6),
    "default": (list, True, 1, 32),
    "points": (list, False, 0, POINTS_MAX),
}
WALK = {"role": (str, True, 2, 8), "profiles": (list, True, 1, 8)}
PACE = {
    "gap_ms": (int, False, 1, 10000),
    "unit_change_ms": (int, False, 1, 10000),
    "timeout_ms": (int, False, 10, 30000),
    "connect_ms": (int, False, 1, 30000),
}
POINT = {
    "name": (str, True, 1, 32),
    "also": (list, False, 1, 4),
    "unit": (str, True, 1, 8),
    "table": (str, False, 5, 7),
    "address": (int, True, 0, 65535),
    "type": (str, True, 3, 8),
    "word_order": (str, False, 3, 6),
    "exponent": (int, False, -10, 10),
    "scale": (int, False, -10, 10),
    "sf": (int, False, 0, 65535),
    "invalid": (list, False, 1, 8),
    "modulus": (int, False, 16, (1 << 63) - 1),
    "block": (bool, False, 0, 1),
    "magnitude": (bool, False, 0, 1),
    "rate": (str, False, 4, 4),
    "high": (int, False, 0, 65535),
    "plus": (list, False, 1, 4),
    "minus": (list, False, 1, 4),
    "sign": (dict, False, 2, 2),
    "offset": (int, False, -1000000, 1000000),
    "absolute": (bool, False, 0, 1),
    "unsettled": (str, False, 1, 400),
    "source": (str, False, 1, 400),
}
SIGN = {"address": (int, True, 0, 65535), "bit": (int, True, 0, 31)}
TEXT = {
    "name": (str, True, 1, 32),
    "table": (str, False, 5, 7),
    "address": (int, True, 0, 65535),
    "count": (int, True, 1, 32),
}
REPEAT = {
    "first": (int, True, 0, 65535),
    "size": (int, True, 1, 125),
    "max": (int, True, 1, 32),
    "count": (int, False, 0, 65535),
}
CHOICES = {
    "positive": ("import", "export"),
    "table": ("holding", "input"),
    "word_order": ("big", "little"),
    "markers": ("sunspec",),
    "register_bytes": (2, 4),
    "role": ("pv", "grid", "load", "battery", "charger", "vehicle"),
    "rate": ("fast", "slow", "once"),
    "type": tuple(COUNTS),
}
QUIRKS = ("high", "plus", "minus", "sign", "offset", "absolute")


def parse(text: str | bytes) -> dict:
    """Return the checked JSON object of a profile; raises WireError."""
    form = read(text, TEXT_MAX)
    _object(form, TOP, "$")
    check_word(form["id"], "$.id")
    check_numbers(form, "models", 1, 65534, "$")
    check_numbers(form, "barriers", 1, 65535, "$")
    for key, keys in (("repeat", REPEAT), ("pace", PACE)):
        if key in form:
            _object(form[key], keys, "$." + key)
    if form.get("register_bytes") == 4 and form.get("max_registers", 63) > 62:
        raise WireError("bad_range", "$.max_registers: must be 1 to 62 where a register has 4 bytes")
    for index, item in enumerate(form.get("identity", ())):
        path = "$.identity[%d]" % index
        _object(item, TEXT, path)
        check_word(item["name"], path + ".name")
    common = _points(form["points"], form, "$")
    _default(form, common, form["points"], "$")
    _sections(form, common)
    return form


def _sections(form: dict, common: set) -> None:
    """Check what is said for each role: its points, and its profiles where models are walked."""
    for key, keys in (("roles", ROLE), ("walk", WALK)):
        seen = []
        for index, item in enumerate(form.get(key, ())):
            path = "$.%s[%d]" % (key, index)
            _object(item, keys, path)
            if item["role"] in seen:
                raise WireError("duplicate_key", path + ".role: is there twice")
            seen.append(item["role"])
            for each in item.get("profiles", ()):
                check_word(each, path + ".profiles")
            if key == "roles":
                own = item.get("points", [])
                names = common | _points(own, form, path)
                _default(item, names, form["points"] + own, path)


def _default(section: dict, names: set, items: list, path: str) -> None:
    blocks = {item["name"] for item in items if item.get("block")}
    for index, name in enumerate(section["default"]):
        if type(name) is not str or (name not in names - blocks and base_name(name) not in blocks):
            raise WireError("unknown_key", "%s.default[%d]: no point of that name" % (path, index))


def _points(items: list, form: dict, above: str) -> set:
    """Check a list of points; return their names."""
    names = set()
    for index, item in enumerate(items):
        path = "%s.points[%d]" % (above, index)
        _object(item, POINT, path)
        check_numbers(item, "invalid", 0, (1 << 64) - 1, path)
        _check_point(item, form, path)
        own = list(item.get("also", ()))
        own.append(item["name"])
        for name in own:
            _check_name(name, item, path)
            if name in names:
                raise WireError("duplicate_key", "%s: the name %s is used twice" % (path, name))
            names.add(name)
    return names


def _check_point(item: dict, form: dict, path: str) -> None:
    kind = item["type"]
    bytes_each = form.get("register_bytes", 2)
    if bytes_each == 4 and COUNTS[kind] != 2:
        raise WireError("bad_form", path + ".type: a register of 4 bytes holds a type of 32 bits")
    if item["address"] + 2 * COUNTS[kind] // bytes_each > 65536:
        raise WireError("bad_range", path + ".address: beyond register 65535")
    sunspec = "models" in form or "markers" in form
    if "sf" in item and (not sunspec or kind == "float32"):
        raise WireError("bad_form", path + ".sf: only integers of a SunSpec model have one")
    if "scale" in item and kind != "float32":
        raise WireError("bad_form", path + ".scale: only a float32 has one; an integer's factor is its exponent")
    if item.get("block") and "repeat" not in form:
        raise WireError("bad_form", path + ".block: the profile has no repeat")
    for quirk in QUIRKS:
        if quirk in item and item.get("block"):
            raise WireError("bad_form", "%s.%s: not in a block" % (path, quirk))
    _check_places(item, bytes_each, path)


def _check_places(item: dict, bytes_each: int, path: str) -> None:
    """Check the other registers that a point's value is made of."""
    for key in ("plus", "minus"):
        check_numbers(item, key, 0, 65536 - 2 * COUNTS[item["type"]] // bytes_each, path)
    if "sign" in item:
        _object(item["sign"], SIGN, path + ".sign")
        if item["sign"]["bit"] >= 8 * bytes_each:
            raise WireError("bad_range", path + ".sign.bit: the register has no such bit")
    if "high" in item and (item["type"] not in ("u32", "s32") or bytes_each == 4 or "plus" in item or "minus" in item):
        raise WireError("bad_form", path + ".high: only a u32 or s32 has its high word apart, and has it alone")


def _check_name(name: str, item: dict, path: str) -> None:
    check_word(name, path + ".name")
    unit = UNITS.get(base_name(name))
    if unit is None:
        raise WireError("bad_range", "%s.name: the wire has no point %s" % (path, name))
    if unit != item["unit"]:
        raise WireError("bad_range", "%s.unit: %s is in %s on the wire" % (path, name, unit))


def base_name(name: str) -> str:
    """Return a point's name without its phase (_l1, _l2, _l3) or string (_1, _2 …)."""
    head, _, tail = name.rpartition("_")
    if head and (tail in ("l1", "l2", "l3") or (tail.isdigit() and tail[0] != "0" and len(tail) < 3)):
        return head
    return name


def _object(value: object, keys: dict, path: str) -> None:
    check(value, keys, path)
    for key, choices in CHOICES.items():
        if key in keys:
            check_choice(value, key, choices, path)
