"""What a record is, and its payload from values that its maker vouches for: the half of `frame` that a board needs."""

import hashlib
from collections import namedtuple

from wattwire import cbor
from wattwire.errors import WireError

KIND_STREAMS = 1
KIND_ROWS = 2
KIND_HEALTH = 3
PAYLOAD_SIZE_MAX = 8192
HASH_SIZE = 16
EXPONENT_MAX = 18
VALUE_LIMIT = 1 << 62  # of a value's size: the difference of two has 63 bits

# `lost` is None or (from, to); `unix` may be None; `extra` keeps the keys from 32 on.
Record = namedtuple("Record", ("kind", "log", "seq", "prev", "boot", "up", "unix", "lost", "body", "extra"))
# `gateway` is SHA-256 of the gateway's public key; `previous` is None or (last seq, last prev) of log − 1.
Streams = namedtuple("Streams", ("streams", "about", "gateway", "previous"))
# `serial` and `rated_w` may be None; `points` is a tuple.
Stream = namedtuple("Stream", ("role", "profile", "profile_hash", "unit", "points", "serial", "rated_w", "inverted"))
Point = namedtuple("Point", ("name", "unit", "exponent", "modulus"))
Rows = namedtuple("Rows", ("streams_hash", "entries"))
# `dt` is an integer or a list of spacings; `columns` are in the wire's difference form.
Entry = namedtuple("Entry", ("stream", "start", "dt", "columns"))
Health = namedtuple("Health", ("values",))

COMMON_KEYS = (0, 1, 2, 3, 4, 5, 6)


def encode(record) -> bytes:
    """Return the payload of a record; raises WireError for what CBOR or the size refuses, and trusts the rest."""
    return pack(to_fields(record))


def pack(fields) -> bytes:
    """Return the payload of the map that a record is on the wire."""
    payload = cbor.encode(fields)
    if len(payload) > PAYLOAD_SIZE_MAX:
        raise WireError("too_long")
    return payload


def to_fields(record):
    """Return the map that a record is on the wire, unchecked."""
    fields = dict(record.extra)
    fields.update(zip(COMMON_KEYS, record))
    if record.lost is not None:
        fields[7] = list(record.lost)
    body = record.body
    if record.kind == KIND_STREAMS:
        fields[10] = [_stream_fields(stream) for stream in body.streams]
        fields[11] = body.about
        fields[15] = body.gateway
        fields[16] = None if body.previous is None else list(body.previous)
    elif record.kind == KIND_ROWS:
        fields[12] = body.streams_hash
        fields[13] = [list(entry) for entry in body.entries]
    elif record.kind == KIND_HEALTH:
        fields[14] = body.values
    return fields


def prev_of(payload: bytes) -> bytes:
    """Return what the next record's `prev`, or a rows record's `streams_hash`, says about this payload."""
    return hashlib.sha256(payload).digest()[:HASH_SIZE]


def _stream_fields(stream):
    fields = {
        0: stream.role,
        1: stream.profile,
        2: stream.profile_hash,
        3: stream.unit,
        4: [list(point)[: 3 if point.modulus is None else 4] for point in stream.points],
    }
    if stream.serial is not None:
        fields[5] = stream.serial
    if stream.rated_w is not None:
        fields[6] = stream.rated_w
    if stream.inverted:
        fields[7] = 1
    return fields
