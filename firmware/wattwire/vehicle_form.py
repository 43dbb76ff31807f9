"""What a vehicle's JSON may say, and the Vehicle that it makes; each refusal has the path of the key."""

from .elm_setup import CAN_PROTOCOLS
from .errors import WireError
from .form import check, check_choice, check_numbers, check_word, read
from .obd import Command, Signal, Vehicle, identifiers
from .profile_form import UNITS

TEXT_MAX = 32768
HEX_CHARS = "0123456789ABCDEF"
MORE_UNITS = ("1", "%", "km", "km/h", "V", "A", "W", "Wh", "Ah", "Cel", "s", "rpm")  # of names the wire does not know
LIMIT = 1 << 53
# key: (type, required, lowest, highest); the lengths of texts and lists, the values of numbers.
TOP = {
    "id": (str, True, 1, 48),
    "title": (str, True, 1, 120),
    "protocol": (str, False, 1, 1),
    "default": (list, True, 1, 16),
    "source": (str, True, 1, 400),
    "notes": (list, False, 0, 32),
    "commands": (list, True, 1, 64),
}
COMMAND = {
    "header": (str, True, 3, 8),
    "answer": (str, False, 3, 8),
    "request": (str, True, 4, 6),
    "size": (int, False, 1, 4095),
    "slow": (bool, False, 0, 1),
    "signals": (list, True, 1, 32),
}
SIGNAL = {
    "name": (str, True, 1, 32),
    "unit": (str, True, 1, 8),
    "exponent": (int, False, -6, 6),
    "bit": (int, False, 0, 32759),
    "bits": (int, False, 1, 64),
    "signed": (bool, False, 0, 1),
    "mul": (int, False, 1, LIMIT),
    "add": (int, False, -LIMIT, LIMIT),
    "div": (int, False, 1, LIMIT),
    "low": (int, False, -LIMIT, LIMIT),
    "high": (int, False, -LIMIT, LIMIT),
    "invalid": (list, False, 1, 8),
    "product": (list, False, 2, 2),
    "unsettled": (str, False, 1, 400),
}


def load(text: str | bytes) -> Vehicle:
    """Return the Vehicle in JSON `text`; raises WireError whose detail names the path."""
    form = read(text, TEXT_MAX)
    check(form, TOP, "$")
    check_word(form["id"], "$.id")
    check_choice(form, "protocol", CAN_PROTOCOLS, "$")
    commands = [_command(item, "$.commands[%d]" % index) for index, item in enumerate(form["commands"])]
    if len({(each.header, each.request) for each in commands}) != len(commands):
        raise WireError("duplicate_key", "$.commands: a request is there twice")
    names = {signal.name for each in commands for signal in each.signals}
    for index, name in enumerate(form["default"]):
        if type(name) is not str or name not in names or name not in UNITS:
            raise WireError("unknown_key", "$.default[%d]: no signal of that name that the wire knows" % index)
    return Vehicle(form["id"], form["title"], form.get("protocol"), tuple(form["default"]), tuple(commands))


def _command(item: object, path: str) -> Command:
    check(item, COMMAND, path)
    for key in ("header", "answer", "request"):
        _hex(item.get(key, "0"), "%s.%s" % (path, key))
    header, answer = item["header"], item.get("answer")
    if len(header) not in (3, 8) or (answer is not None and len(answer) != len(header)):
        raise WireError("bad_range", path + ".header: 3 digits on an 11-bit bus, 8 on a 29-bit one, and so its answer")
    try:
        asked = identifiers(item["request"])
    except WireError as error:
        raise WireError("bad_range", "%s.request: %s" % (path, error.detail))
    if len(asked) != 1:
        raise WireError("bad_range", path + ".request: several identifiers at once")
    signals = []
    for index, each in enumerate(item["signals"]):
        signal = _signal(each, "%s.signals[%d]" % (path, index))
        known = [other.name for other in signals]
        if signal.name in known:
            raise WireError("duplicate_key", "%s.signals[%d].name: is there twice" % (path, index))
        if signal.product is not None and not all(name in known for name in signal.product):
            raise WireError("unknown_key", "%s.signals[%d].product: two signals before this one" % (path, index))
        signals.append(signal)
    return Command(header, answer, item["request"], item.get("size"), item.get("slow", False), tuple(signals))


def _signal(item: object, path: str) -> Signal:
    check(item, SIGNAL, path)
    check_word(item["name"], path + ".name")
    unit = UNITS.get(item["name"])
    if item["unit"] != unit if unit is not None else item["unit"] not in MORE_UNITS:
        raise WireError("bad_range", "%s.unit: must be %s" % (path, unit or " or ".join(MORE_UNITS)))
    product = item.get("product")
    if (product is None) != ("bit" in item and "bits" in item):
        raise WireError("bad_form", path + ": has either bit and bits, or product")
    check_numbers(item, "invalid", 0, (1 << 64) - 1, path)
    return Signal(
        item["name"],
        item["unit"],
        item.get("exponent", 0),
        item.get("bit", 0),
        item.get("bits", 0),
        item.get("signed", False),
        item.get("mul", 1),
        item.get("add", 0),
        item.get("div", 1),
        item.get("low", -LIMIT),
        item.get("high", LIMIT),
        tuple(item.get("invalid", ())),
        None if product is None else tuple(product),
        item.get("unsettled"),
    )


def _hex(text: str, path: str) -> None:
    if text.strip(HEX_CHARS):  # stripped for the reason that `form.check_word` has
        raise WireError("bad_form", path + ": must be upper-case hexadecimal digits")
