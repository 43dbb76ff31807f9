"""Shapes of decoded values: each function returns what it was given, or raises WireError about `what`."""

from wattwire.errors import WireError

_ONLY_INT = {int}


def check_keys(fields, needed, options, extra_min):
    """Return the pairs of a map from the key `extra_min` on; the other keys must be those needed or optional."""
    extra = {}
    found = 0
    for key in fields:
        if type(key) is not int:
            raise WireError("unknown_key", "not an integer")
        if key in needed:
            found += 1
        elif extra_min is not None and key >= extra_min:
            extra[key] = fields[key]
        elif key not in options:
            raise WireError("unknown_key", str(key))
    if found != len(needed):
        raise WireError("bad_form", "missing key")
    return extra


def texts(value, kinds, what):
    """Return a map from text to one of `kinds`."""
    for key in typed(value, dict, what):
        if type(key) is not str or type(value[key]) not in kinds:
            raise WireError("bad_type", what)
    return value


def items(value, size, what):
    """Return a list of `size` items."""
    if len(typed(value, list, what)) != size:
        raise WireError("bad_form", what)
    return value


def typed(value, kind, what):
    """Return a value that is exactly of `kind`."""
    if type(value) is not kind:
        raise WireError("bad_type", what)
    return value


def uint(value, what):
    """Return an integer from 0 on."""
    if type(value) is not int:
        raise WireError("bad_type", what)
    if value < 0:
        raise WireError("bad_range", what)
    return value


def uints(values, what):
    """Return integers from 0 on."""
    if set(map(type, values)) != _ONLY_INT:
        raise WireError("bad_type", what)
    if min(values) < 0:
        raise WireError("bad_range", what)
    return values


def octets(value, size, what):
    """Return a byte string of `size`."""
    if type(value) is not bytes or len(value) != size:
        raise WireError("bad_type", what)
    return value


def name(value, what):
    """Return a text that is not empty."""
    if not typed(value, str, what):
        raise WireError("bad_form", what)
    return value
