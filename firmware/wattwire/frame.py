"""The records inside frames (wire.md §1): checked values from payload bytes, and back.

Both directions pass through the same checks: what cannot be decoded cannot be encoded either.
"""

import struct

from wattwire import cbor, records, shape
from wattwire.errors import WireError

try:
    from itertools import accumulate, chain
except ImportError:  # MicroPython, where struct does not refuse what does not fit either
    accumulate = chain = None

# What a board needs of this, under the names by which everybody else knows it.
KIND_STREAMS = records.KIND_STREAMS
KIND_ROWS = records.KIND_ROWS
KIND_HEALTH = records.KIND_HEALTH
PAYLOAD_SIZE_MAX = records.PAYLOAD_SIZE_MAX
HASH_SIZE = records.HASH_SIZE
EXPONENT_MAX = records.EXPONENT_MAX
Record = records.Record
Streams = records.Streams
Stream = records.Stream
Point = records.Point
Rows = records.Rows
Entry = records.Entry
Health = records.Health
prev_of = records.prev_of

ROLES = ("pv", "battery", "grid", "load", "vehicle", "charger")
GATEWAY_SIZE = 32
UNIT_MAX = 255
EXTRA_KEY_MIN = 32

_BODY_KEYS = {KIND_STREAMS: (10, 11, 15, 16), KIND_ROWS: (12, 13), KIND_HEALTH: (14,)}
_STREAM_KEYS = (0, 1, 2, 3, 4)
_STREAM_OPTIONS = (5, 6, 7)
_LIMIT = cbor.INT_LIMIT
_NO_PREV = bytes(HASH_SIZE)
_ONLY_INT = {int}


def encode(record) -> bytes:
    """Return the payload of a record; raises WireError for one that no receiver would take."""
    fields = records.to_fields(record)
    if _record(fields).extra != record.extra:
        raise WireError("unknown_key", "extra key below 32")
    return records.pack(fields)


def decode(payload: bytes, decode=cbor.decode):
    """Return the Record of a payload; raises WireError. `decode` is a strict CBOR decoder like ours."""
    if len(payload) > PAYLOAD_SIZE_MAX:
        raise WireError("too_long")
    return _record(decode(payload))


def row_count(entry) -> int:
    """Return how many rows an entry holds."""
    return len(entry.columns[0]) if entry.columns else 0


def times(entry, base: int = 0) -> list:
    """Return the time of each row in ms after `base`; with the default that is ms after the record's `up`."""
    at = base + entry.start
    dt = entry.dt
    size = row_count(entry)
    if type(dt) is int:
        return list(range(at, at + dt * size, dt)) if dt else [at] * size
    rows = [at] if size else []
    for step in dt:
        at += step
        rows.append(at)
    return rows


def undelta(column) -> list:
    """Return the values of a column that is in difference form."""
    if accumulate is not None and None not in column:
        return list(accumulate(column))
    value = 0
    values = []
    for step in column:
        if step is None:
            values.append(None)
        else:
            value += step
            values.append(value)
    return values


def delta(values) -> list:
    """Return the difference form of a column of values."""
    last = 0
    column = []
    for value in values:
        if value is None:
            column.append(None)
        else:
            column.append(value - last)
            last = value
    return column


def _record(fields):
    shape.typed(fields, dict, "record")
    kind = fields.get(0)
    if type(kind) is not int or kind not in _BODY_KEYS:
        raise WireError("bad_range", "kind")
    extra = shape.check_keys(fields, records.COMMON_KEYS + _BODY_KEYS[kind], (7,), EXTRA_KEY_MIN)
    log, seq, boot, up = shape.uints((fields[1], fields[2], fields[4], fields[5]), "log, seq, boot or up")
    prev = shape.octets(fields[3], HASH_SIZE, "prev")
    unix = fields[6]
    if unix is not None:
        shape.uint(unix, "unix")
    if seq == 0 or (seq == 1 and prev != _NO_PREV):
        raise WireError("bad_range", "seq or prev")
    if kind == KIND_ROWS:
        body = _rows(fields, max(up, unix or 0))
    elif kind == KIND_STREAMS:
        body = _streams(fields)
    else:
        body = Health(shape.texts(fields[14], (int, str, type(None)), "health"))
    return Record(kind, log, seq, prev, boot, up, unix, _lost(fields, seq), body, extra)


def _lost(fields, seq):
    """Return (from, to) of key 7; the loss lies before the record that tells of it."""
    if 7 not in fields:
        return None
    first, last = shape.items(fields[7], 2, "lost")
    if not 0 < shape.uint(first, "lost") <= shape.uint(last, "lost") < seq:
        raise WireError("bad_range", "lost")
    return first, last


def _streams(fields):
    gateway = shape.octets(fields[15], GATEWAY_SIZE, "gateway")
    previous = fields[16]
    if previous is not None:
        seq, prev = shape.items(previous, 2, "previous log")
        previous = (shape.uint(seq, "previous log"), shape.octets(prev, HASH_SIZE, "previous log"))
    streams = tuple([_stream(stream) for stream in shape.typed(fields[10], list, "streams")])
    return Streams(streams, shape.texts(fields[11], (int, str), "about"), gateway, previous)


def _stream(fields):
    shape.check_keys(shape.typed(fields, dict, "stream"), _STREAM_KEYS, _STREAM_OPTIONS, None)
    if fields[0] not in ROLES:
        raise WireError("bad_range", "role")
    if shape.uint(fields[3], "unit") > UNIT_MAX or fields.get(7, 1) != 1:
        raise WireError("bad_range", "unit or inversion")
    points = tuple([_point(point) for point in shape.typed(fields[4], list, "points")])
    if len({point.name for point in points}) != len(points):
        raise WireError("bad_form", "point named twice")
    return Stream(
        fields[0],
        shape.name(fields[1], "profile"),
        shape.octets(fields[2], HASH_SIZE, "profile"),
        fields[3],
        points,
        shape.octets(fields[5], HASH_SIZE, "serial") if 5 in fields else None,
        shape.uint(fields[6], "rated watts") if 6 in fields else None,
        7 in fields,
    )


def _point(items):
    if len(shape.typed(items, list, "point")) not in (3, 4):
        raise WireError("bad_form", "point")
    exponent = shape.typed(items[2], int, "exponent")
    modulus = shape.uint(items[3], "modulus") if len(items) == 4 else None
    if not -EXPONENT_MAX <= exponent <= EXPONENT_MAX or modulus == 0:
        raise WireError("bad_range", "exponent or modulus")
    return Point(shape.name(items[0], "point"), shape.typed(items[1], str, "unit"), exponent, modulus)


def _rows(fields, base):
    entries = [_entry(entry, base) for entry in shape.typed(fields[13], list, "entries")]
    return Rows(shape.octets(fields[12], HASH_SIZE, "streams"), entries)


def _entry(items, base):
    """Check one entry; `base` is what its times are added to at most."""
    stream, start, dt, columns = shape.items(items, 4, "entry")
    shape.uint(stream, "stream")
    last = base + shape.uint(start, "start")
    rows = _check_columns(shape.typed(columns, list, "columns"))
    spacings = rows - 1 if rows else 0
    if type(dt) is list:
        if len(dt) != spacings or (dt and (set(map(type, dt)) != _ONLY_INT or min(dt) < 0)):
            raise WireError("bad_form", "spacings")
        last += sum(dt)
    else:
        last += shape.uint(dt, "spacing") * spacings
    if last >= _LIMIT:
        raise WireError("bad_range", "time of more than 63 bits")
    return Entry(stream, start, dt, columns)


def _check_columns(columns):
    """Return the number of rows of columns that are equally long and whose values stay in range."""
    if not columns:
        return 0
    rows = len(shape.typed(columns[0], list, "column"))
    for column in columns:
        if type(column) is not list or len(column) != rows:
            raise WireError("bad_form", "columns")
    if rows and not _are_small(columns, rows):
        for column in columns:
            if not _are_small((column,), rows) and _magnitude(column) * rows >= _LIMIT:
                _check_sums(column)
    return rows


def _are_small(columns, rows):
    """Tell, where that is quick, that columns hold only numbers of 32 bits: no sum of a frame's can be too large."""
    if chain is None:
        return False
    try:
        struct.pack("%di" % (rows * len(columns)), *chain.from_iterable(columns))
    except struct.error:
        return False
    return True


def _magnitude(column):
    """Return the largest |number|; the decoder has refused booleans and floats, so only integers compare and negate."""
    try:
        return max(max(column), -min(column))
    except TypeError:  # nulls, or worse
        numbers = [number for number in column if number is not None]
    try:
        return max(max(numbers), -min(numbers)) if numbers else 0
    except TypeError:
        raise WireError("bad_type", "column")


def _check_sums(column):
    for value in undelta(column):
        if value is not None and not -_LIMIT < value < _LIMIT:
            raise WireError("bad_range", "value of more than 63 bits")
