"""The wire's CBOR decoder at C speed: accepts and returns exactly what `wattwire.cbor.decode` does.

Rows frames are nearly all integers. One pass of a regular expression proves that every item's head is the shortest one
and that nothing but integers, nulls, arrays and 16-byte strings occurs below one map; only then cbor2 reads it. Tags,
floats and odd lengths thus never reach cbor2. All other payloads are rare and take the wire's own decoder.
"""

import re
from typing import Any

import cbor2

from wattwire import cbor

_ANY = rb"[\x00-\xff]"
_ONE = rb"[\x00-\x17\x20-\x37\x80-\x97\xf6]"  # the argument, or null, in the head itself
_TWO = rb"[\x18\x38\x98][\x18-\xff]"
_THREE = rb"[\x19\x39\x99][\x01-\xff]" + _ANY
_FIVE = rb"[\x1a\x3a](?!\x00\x00)" + _ANY + rb"{4}"
_NINE = rb"[\x1b\x3b](?!\x00\x00\x00\x00)[\x00-\x7e]" + _ANY + rb"{7}"
_HASH = rb"\x50" + _ANY + rb"{16}"
_ITEMS = rb"(?:%b*+(?:%b)*+(?:%b)?+)*+" % (_ONE, _TWO, b"|".join((_THREE, _FIVE, _NINE, _HASH)))
_FLAT = re.compile(rb"[\xa1-\xb7]" + _ITEMS, re.DOTALL).fullmatch
_INTEGERS = {int}
_DEPTH_MAX = cbor.DEPTH_MAX  # one less than with the array around: cbor2 does not count what is empty


def decode(data: bytes) -> Any:
    """Return the value of `data`, which must be one whole deterministic item; raises WireError."""
    if _FLAT(data):
        try:
            # cbor2 ignores what follows an item. An `undefined`, which the data cannot hold, shows where the map ended.
            value, end = cbor2.loads(
                b"\x82%b\xf7" % data, max_depth=_DEPTH_MAX, allow_duplicate_keys=False, allow_indefinite=False
            )
        except cbor2.CBORDecodeError:
            return cbor.decode(data)  # decides, and names the reason
        if end is cbor2.undefined and _in_order(value):
            return value
    return cbor.decode(data)


def _in_order(value: Any) -> bool:
    """Tell whether a map's keys are unsigned integers that rise, as in every record."""
    keys = list(value)
    return set(map(type, keys)) == _INTEGERS and keys[0] >= 0 and keys == sorted(keys)
