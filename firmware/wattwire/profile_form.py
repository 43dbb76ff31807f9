"""What a profile's JSON may say: keys, types, ranges and names, each refusal with the path of the key."""

import json

from .errors import WireError
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
    "max_registers": (int, False, 1, 125),
    "models": (list, False, 1, 16),
    "default": (list, True, 0, 32),
    "repeat": (dict, False, 3, 4),
    "bus": (dict, False, 0, 8),
    "notes": (list, False, 0, 32),
    "source": (str, False, 1, 400),
    "identity": (list, False, 1, 8),
    "points": (list, True, 0, POINTS_MAX),
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
    "unsettled": (str, False, 1, 400),
    "source": (str, False, 1, 400),
}
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
    "type": tuple(COUNTS),
}
_WORD = "abcdefghijklmnopqrstuvwxyz0123456789_"


def parse(text: str | bytes) -> dict:
    """Return the checked JSON object of a profile; raises WireError."""
    if len(text) > TEXT_MAX:
        raise WireError("too_long", "a profile has at most 65536 bytes")
    try:
        form = json.loads(text if isinstance(text, str) else bytes(text).decode())
    except (ValueError, RuntimeError) as error:  # RuntimeError: nested too deep
        raise WireError("bad_form", "not JSON: %s" % error)
    _object(form, TOP, "$")
    _word(form["id"], "$.id")
    _numbers(form, "models", 1, 65534, "$")
    if "repeat" in form:
        _object(form["repeat"], REPEAT, "$.repeat")
    for index, item in enumerate(form.get("identity", ())):
        path = "$.identity[%d]" % index
        _object(item, TEXT, path)
        _word(item["name"], path + ".name")
    _points(form)
    return form


def _points(form: dict) -> None:
    names = set()
    for index, item in enumerate(form["points"]):
        path = "$.points[%d]" % index
        _object(item, POINT, path)
        _numbers(item, "invalid", 0, (1 << 64) - 1, path)
        _check_point(item, form, path)
        own = list(item.get("also", ()))
        own.append(item["name"])
        for name in own:
            _check_name(name, item, path)
            if name in names:
                raise WireError("duplicate_key", "%s: the name %s is used twice" % (path, name))
            names.add(name)
    blocks = {item["name"] for item in form["points"] if item.get("block")}
    for index, name in enumerate(form["default"]):
        if type(name) is not str or (name not in names - blocks and base_name(name) not in blocks):
            raise WireError("unknown_key", "$.default[%d]: no point of that name" % index)


def _check_point(item: dict, form: dict, path: str) -> None:
    kind = item["type"]
    if item["address"] + COUNTS[kind] > 65536:
        raise WireError("bad_range", path + ".address: beyond register 65535")
    if "sf" in item and ("models" not in form or kind == "float32"):
        raise WireError("bad_form", path + ".sf: only integers of a SunSpec model have one")
    if "scale" in item and kind != "float32":
        raise WireError("bad_form", path + ".scale: only a float32 has one; an integer's factor is its exponent")
    if item.get("block") and "repeat" not in form:
        raise WireError("bad_form", path + ".block: the profile has no repeat")


def _check_name(name: str, item: dict, path: str) -> None:
    _word(name, path + ".name")
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
    if type(value) is not dict:
        raise WireError("bad_type", path + ": must be an object")
    for key in value:
        if key not in keys:
            raise WireError("unknown_key", "%s.%s: no such key" % (path, key))
    for key, (kind, required, low, high) in keys.items():
        at = "%s.%s" % (path, key)
        if key not in value:
            if required:
                raise WireError("bad_form", at + ": is missing")
            continue
        found = value[key]
        if type(found) is not kind:
            raise WireError("bad_type", "%s: must be %s" % (at, kind.__name__))
        if not low <= (found if kind in (int, bool) else len(found)) <= high:
            raise WireError("bad_range", "%s: must be %d to %d" % (at, low, high))
        if key in CHOICES and found not in CHOICES[key]:
            raise WireError("bad_range", "%s: must be one of %s" % (at, ", ".join(CHOICES[key])))


def _numbers(value: dict, key: str, low: int, high: int, path: str) -> None:
    for index, item in enumerate(value.get(key, ())):
        if type(item) is not int or not low <= item <= high:
            raise WireError("bad_range", "%s.%s[%d]: must be %d to %d" % (path, key, index, low, high))


def _word(name: object, path: str) -> None:
    if type(name) is not str or not name or name[0] not in _WORD[:26] or not all(char in _WORD for char in name):
        raise WireError("bad_form", path + ": must be lower-case letters, digits and _, a letter first")
