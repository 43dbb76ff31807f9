"""Strict reading of rows records at C speed: accepts and returns what `wattwire.frame.decode` does, columns packed.

Regular expressions prove the whole form of a rows record without extra keys: every head the shortest, the keys in
order, each column all the bytes up to the next array. Steps of a single byte are good as they are, and their number is
their length; cbor2 reads the other numbers, whose bytes were matched one by one. All else takes the wire's own way.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice, repeat
from typing import Any

import cbor2

from wattwire import cbor, frame

from . import packed, strictcbor

_TWO_TO_FIVE = rb"[\x18\x38][\x18-\xff]|[\x19\x39](?!\x00).{2}|[\x1a\x3a](?!\x00\x00).{4}"
_NINE = rb"[\x1b\x3b](?!\x00\x00\x00\x00)[\x00-\x7e].{7}"
_UINT = rb"((?:(?![\x38-\x3b])(?:[\x00-\x17]|%b|%b)))" % (_TWO_TO_FIVE, _NINE)
_HASH = rb"\x50(.{16})"
_ARRAY = rb"([\x81-\x97]|\x98[\x18-\xff])"
_HEAD = re.compile(
    rb"\xa9\x00\x02\x01%b\x02%b\x03%b\x04%b\x05%b\x06(?:\xf6|%b)\x0c%b\x0d%b"
    % (_UINT, _UINT, _HASH, _UINT, _UINT, _UINT, _HASH, _ARRAY),
    re.DOTALL,
).match
_ENTRY = re.compile(rb"\x84%b%b%b%b" % (_UINT, _UINT, _UINT, _ARRAY), re.DOTALL).match

# A column: nulls and the first value; single-byte steps; from the first longer step on, whatever steps there are. A
# value of nine bytes can only be the first one, so that no sum of steps comes near 63 bits.
_NARROW = rb"[\x00-\x17\x20-\x37\xf6]*+"
_COLUMN = rb"(\xf6*+(?:[\x00-\x17\x20-\x37]|%b|%b)?+)(%b)((?:(?:%b)%b)*+)" % (
    _TWO_TO_FIVE,
    _NINE,
    _NARROW,
    _TWO_TO_FIVE,
    _NARROW,
)
_PATTERNS_MAX = 64
_NUMBERS_MAX = 255

NULL = packed.NULL
_new: Any = tuple.__new__  # a named tuple's own way takes three times as long, and every frame goes here
_Rest = tuple[int, bytes] | packed.Plain  # nulls and steps of a packed column, or all of another one
Fields = tuple[Any, ...]  # what `marshal` can hand to another process


def decode(payload: bytes) -> Any:
    """Return the Record of a payload; raises WireError. The entries of a rows record are `packed.Entry`."""
    return record(fields(payload)) or frame.decode(payload, strictcbor.decode)


def fields(payload: bytes) -> Fields | None:
    """Return what makes the record of a rows payload, as plain values, None for the other kinds; raises WireError."""
    return _quickly(payload) or _slowly(payload)


def record(fields: Fields | None) -> Any:
    """Return the Record that these fields make."""
    if fields is None:
        return None
    log, seq, prev, boot, up, unix, lost, extra, streams_hash, entries = fields
    body = _new(frame.Rows, (streams_hash, [_new(packed.Entry, entry) for entry in entries]))
    return _new(frame.Record, (frame.KIND_ROWS, log, seq, prev, boot, up, unix, lost, body, extra))


def _slowly(payload: bytes) -> Fields | None:
    record = frame.decode(payload, strictcbor.decode)
    if record.kind != frame.KIND_ROWS:
        return None
    entries = [tuple(packed.of(entry)) for entry in record.body.entries]
    return (*record[1:8], record.extra, record.body.streams_hash, entries)


def _quickly(payload: bytes) -> Fields | None:
    """Return the fields, or None for what is not read this way."""
    head = _HEAD(payload)
    if head is None or len(payload) > frame.PAYLOAD_SIZE_MAX:
        return None
    log, seq, prev, boot, up, unix, streams_hash, entries = head.groups()
    numbers = [log, seq, boot, up, unix or NULL]
    found = []
    at = head.end()
    for _ in range(_size(entries)):
        shape = _shape(payload, at, numbers)
        if shape is None:
            return None
        at = shape[0]
        found.append(shape)
    if at != len(payload) or len(numbers) > _NUMBERS_MAX:
        return None
    values = iter(cbor2.loads(b"\x98%c%b" % (len(numbers), b"".join(numbers))))
    log, seq, boot, up, unix = islice(values, 5)
    latest = max(up, unix or 0)
    made = []
    for _, rows, steps, rests in found:
        stream, start, dt = islice(values, 3)
        columns: list[packed.Column]
        if steps:
            columns = [*zip(repeat(0), islice(values, len(steps)), steps)]
        else:
            columns = [rest if isinstance(rest, list) else (rest[0], next(values), rest[1]) for rest in rests]
        made.append((stream, start, dt, rows, columns))
        if latest + start + dt * (rows - 1) >= cbor.INT_LIMIT:
            return None
    if seq < 2:  # the first record has rules of its own, and is hardly ever one of rows
        return None
    return log, seq, prev, boot, up, unix, None, {}, streams_hash, made


def _shape(payload: bytes, at: int, numbers: list[bytes]) -> tuple[int, int, Sequence[bytes], Sequence[_Rest]] | None:
    """Return the end of an entry, its rows, and its columns: the steps of all, when all are narrow, or their rests.

    The bytes of its other numbers are added to `numbers`.
    """
    entry = _ENTRY(payload, at)
    columns = None if entry is None else _columns(_size(entry[4]))(payload, entry.end())
    if entry is None or columns is None:
        return None
    numbers += entry.groups()[:3]
    parts = columns.groups()
    rows = _size(parts[0])
    steps = _narrow(parts, rows - 1)
    if steps:
        numbers += parts[1::3]
        return columns.end(), rows, steps, ()
    rests = _rests(parts, numbers)
    return None if rests is None else (columns.end(), rows, (), rests)


def _narrow(parts: Sequence[bytes], size: int) -> Sequence[bytes]:
    """Return the steps of columns whose values are all there, each but the first a single byte; most are so.

    Where there are steps there is something before them: a value, or nulls, which no value is greater than.
    """
    steps = parts[2::3]
    if size and {*map(len, steps)} == {size} and not any(parts[3::3]) and max(parts[1::3]) < NULL:
        return steps
    return ()


def _rests(parts: Sequence[bytes], numbers: list[bytes]) -> list[_Rest] | None:
    """Return columns without the first values of those that are packed, whose bytes are added to `numbers`."""
    found: list[_Rest] = []
    size = _size(parts[0]) - 1
    for first, steps, more in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        nulls = 0
        if more or first[:1] == NULL:
            value = first.lstrip(NULL)
            if more or not value:
                column = _list(parts[0] + first + steps + more)
                if column is None:
                    return None
                found.append(column)
                continue
            nulls = len(first) - len(value)
            first = value  # noqa: PLW2901
        if len(steps) != size - nulls or not first:
            return None
        numbers.append(first)
        found.append((nulls, steps))
    return found


def _list(data: bytes) -> list[int | None] | None:
    """Return an array of numbers whose bytes are good, or None when it is longer or shorter than it says."""
    try:
        # cbor2 ignores what follows an item. An `undefined`, which the data cannot hold, shows where the array ended.
        column, end = cbor2.loads(b"\x82%b\xf7" % data)
    except cbor2.CBORDecodeError:
        return None
    return column if end is cbor2.undefined else None


@lru_cache(_PATTERNS_MAX)
def _columns(count: int) -> Any:
    """Return what matches that many columns of the same size."""
    return re.compile(_ARRAY + _COLUMN + (rb"\1" + _COLUMN) * (count - 1), re.DOTALL).match


def _size(head: bytes) -> int:
    return head[-1] if len(head) > 1 else head[0] - 0x80
