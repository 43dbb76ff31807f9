"""What a JSON form may say: one table for each object, each refusal with the path of the key."""

import json

from .errors import WireError

_WORD = "abcdefghijklmnopqrstuvwxyz0123456789_"


def read(text: str | bytes, longest: int) -> object:
    """Return the JSON in `text`, of at most `longest` bytes; raises WireError."""
    if len(text) > longest:
        raise WireError("too_long", "longer than %d bytes" % longest)
    try:
        return json.loads(text if isinstance(text, str) else bytes(text).decode())
    except (ValueError, RuntimeError) as error:  # RuntimeError: nested too deep
        raise WireError("bad_form", "not JSON: %s" % error)


def check(value: object, keys: dict, path: str) -> None:
    """Raise WireError unless `value` is an object as `keys` says.

    `keys` is {key: (type, required, lowest, highest)}: the lengths of texts and lists, the values of numbers.
    """
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


def check_choice(value: dict, key: str, choices: tuple, path: str) -> None:
    """Raise WireError when the key is there and its value is not one of `choices`."""
    if key in value and value[key] not in choices:
        raise WireError("bad_range", "%s.%s: must be one of %s" % (path, key, ", ".join(str(one) for one in choices)))


def check_numbers(value: dict, key: str, low: int, high: int, path: str) -> None:
    """Raise WireError unless each of the key's list, when it is there, is an integer from low to high."""
    for index, item in enumerate(value.get(key, ())):
        if type(item) is not int or not low <= item <= high:
            raise WireError("bad_range", "%s.%s[%d]: must be %d to %d" % (path, key, index, low, high))


def check_word(name: object, path: str) -> None:
    """Raise WireError unless `name` may be a name: lower-case letters, digits and _."""
    # Stripped, not looked at one by one: a character by itself stays in a board's table of names.
    if type(name) is not str or name.strip(_WORD) or name == name.lstrip(_WORD[:26]):
        raise WireError("bad_form", path + ": must be lower-case letters, digits and _, a letter first")
