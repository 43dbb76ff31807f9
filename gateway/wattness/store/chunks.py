"""Rows of a stream in few bytes: each column's differences, their bytes sorted by weight, then zstd.

Values stay the integers that the board signed, beside the stream as its streams record has it; nothing is converted.
"""

import sys
from array import array
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import zstandard

from wattness import strictcbor
from wattwire import cbor, frame

LEVEL = 12
SIZE_MAX = 64 << 20  # of a chunk once it is unpacked
_WORD = 8
_MASK = (1 << 64) - 1
_SIGN = 1 << 63
_STREAM = ("role", "profile", "profile_hash", "unit", "points", "serial", "rated_w", "inverted")


class Chunk(NamedTuple):
    """A stream in force and its rows; the entry's times count from `first_ms`."""

    first_ms: int
    stream: Any  # wattwire.frame.Stream
    entry: Any  # wattwire.frame.Entry


def pack(stream: Any, times: Sequence[int], columns: Sequence[Sequence[int | None]]) -> tuple[bytes, bytes]:
    """Return (described, data) of rows at `times` with the signed integers of the stream's points."""
    parts = [_column(times), *map(_column, columns)]
    body = cbor.encode([len(times), parts])
    described = [
        list(map(list, value)) if name == "points" else value for name, value in zip(_STREAM, stream, strict=True)
    ]
    described[-1] = int(stream.inverted)
    return cbor.encode(described), zstandard.ZstdCompressor(level=LEVEL).compress(body)


def unpack(first_ms: int, described: bytes, data: bytes) -> Chunk:
    """Return what was packed."""
    count, parts = cbor.decode(zstandard.ZstdDecompressor().decompress(data, max_output_size=SIZE_MAX))
    times, *columns = (_values(part, count) for part in parts)
    spacings = [after - before for before, after in pairwise(times) if after is not None and before is not None]
    return Chunk(
        first_ms, unpack_stream(described), frame.Entry(0, 0, spacings, [frame.delta(column) for column in columns])
    )


def unpack_stream(described: bytes) -> Any:
    """Return the stream (`wattwire.frame.Stream`) of a chunk."""
    fields = strictcbor.decode(described)
    points = tuple(frame.Point(*point) for point in fields[4])
    return frame.Stream(*(*fields[:4], points, *fields[5:7], bool(fields[7])))


def _column(values: Sequence[int | None]) -> list[Any]:
    """Return [nulls as [place, count] …, planes]: bytes of the zigzag of second or first differences, lowest first."""
    known = [value for value in values if value is not None]
    steps = _differences(known)
    twice = _differences(steps)
    is_straight = len(known) > 2 and sum(map(abs, twice[2:])) * 4 < sum(map(abs, steps[2:]))
    words = array("Q", [_zigzag(step) for step in (twice if is_straight else steps)])
    if sys.byteorder == "big":
        words.byteswap()
    data = words.tobytes()
    planes = [data[place::_WORD] for place in range(_WORD)]
    while planes and not any(planes[-1]):
        planes.pop()
    return [_nulls(values), int(is_straight), planes]


def _values(part: Sequence[Any], count: int) -> list[int | None]:
    nulls, is_straight, planes = part
    missing = sum(length for _, length in nulls)
    data = bytearray(_WORD * (count - missing))
    for place, plane in enumerate(planes):
        data[place::_WORD] = plane
    words = array("Q")
    words.frombytes(data)
    if sys.byteorder == "big":
        words.byteswap()
    known = [_unzigzag(word) for word in words]
    for _ in range(1 + is_straight):
        known = _sums(known)
    values: list[int | None] = []
    at = 0
    for place, length in nulls:
        end = at + place - len(values)
        values += known[at:end]
        values += [None] * length
        at = end
    return values + known[at:]


def _differences(values: Sequence[int]) -> list[int]:
    """Return the first value and the differences after it, as 64-bit integers that wrap."""
    return [_signed(after - before) for before, after in zip([0, *values], values, strict=False)]


def _sums(steps: Sequence[int]) -> list[int]:
    total = 0
    found = []
    for step in steps:
        total = _signed(total + step)
        found.append(total)
    return found


def _signed(value: int) -> int:
    return ((value + _SIGN) & _MASK) - _SIGN


def _zigzag(value: int) -> int:
    return (value << 1) ^ (value >> 63) & _MASK if value >= 0 else (-value << 1) - 1


def _unzigzag(word: int) -> int:
    return word >> 1 if not word & 1 else -(word + 1 >> 1)


def _nulls(values: Sequence[int | None]) -> list[list[int]]:
    """Return the runs of nulls as [first, count]."""
    runs: list[list[int]] = []
    for at, value in enumerate(values):
        if value is None:
            if runs and sum(runs[-1]) == at:
                runs[-1][1] += 1
            else:
                runs.append([at, 1])
    return runs
