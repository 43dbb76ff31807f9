"""Which frames make which interval (wire.md §4): pure bookkeeping of one stream; the figures are wattwire's."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from wattwire import frame
from wattwire.interval import JOIN_MS_MAX

from .digest import Block

BLOCKS_MAX = 256  # that a window keeps summed up; the others are read again
SPANS_MAX = 4096  # frames that one interval may need; beyond that it is not made


class Span(msgspec.Struct, frozen=True, gc=False):
    """Neighbouring rows of a stream in one frame that all join, and the frames of its log needed to read them."""

    log: int
    seq: int
    first: int  # UTC ms of the first and of the last row
    last: int
    needs: tuple[int, ...]  # the streams record in force, and the frame that dates this one
    block: Block | None = None  # when these are all rows of its entry


class Skip(NamedTuple):
    """Frames that are not there, and the frame that declares them lost, if any does."""

    log: int
    first: int
    last: int
    declared_by: int | None


class Window:
    """The spans of one stream that its open interval, and those after it, need."""

    __slots__ = ("first", "length", "open", "overflow", "spans")

    def __init__(self, length_ms: int, open_ms: int | None = None) -> None:
        """`open_ms` is where the first interval that is not final begins; None before the first row."""
        self.length = length_ms
        self.open = None if open_ms is None else -(-open_ms // length_ms) * length_ms
        self.first: int | None = None  # UTC ms of the first row that was added
        self.spans: list[Span] = []
        self.overflow = False

    @property
    def last(self) -> int | None:
        """UTC ms of the stream's last row."""
        return self.spans[-1].last if self.spans else None

    @property
    def due(self) -> int | None:
        """The end of the open interval, when it has rows."""
        if self.open is None or not self.spans or self.spans[-1].last < self.open:
            return None
        return self.open + self.length

    def extend(self, spans: Iterable[Span]) -> None:
        """Take rows that are later than all before."""
        for span in spans:
            self._add(span if len(self.spans) < BLOCKS_MAX else replace(span, block=None))

    def _add(self, span: Span) -> None:
        if self.first is None:
            self.first = span.first
        if self.open is None:
            self.open = self._floor(span.first)
        self.spans.append(span)
        if self.spans[0].last < self.open:
            self._advance(self.open)
        if len(self.spans) > SPANS_MAX:
            del self.spans[: SPANS_MAX // 2]
            self.overflow = True

    def closable(self) -> bool:
        """Tell whether the open interval's evidence is closed: a row at or after its end has come."""
        return bool(self.spans) and self.spans[-1].last >= (self.open or 0) + self.length

    def evidence(self) -> list[Span]:
        """Return the spans from the stream's last row ≤ a to its first row ≥ b, a and b being the open interval's."""
        a = self.open or 0
        last = bisect_left(self.spans, a + self.length, key=attrgetter("last"))
        return self.spans[self._start(a) : last + 1]

    def close(self) -> None:
        """Go on to the next interval that has rows or covered time."""
        self.overflow = False
        self._advance((self.open or 0) + self.length)

    def _advance(self, a: int) -> None:
        """Open the first interval from `a` on that may hold something, and forget the spans before it."""
        for at, span in enumerate(self.spans):
            if span.last >= a:
                joins = at > 0 and span.first - self.spans[at - 1].last <= JOIN_MS_MAX
                if span.first >= a + self.length and not joins:
                    a = self._floor(span.first)
                break
        self.open = a
        del self.spans[: self._start(a)]

    def _start(self, a: int) -> int:
        """Return the index of the span with the stream's last row ≤ a, or 0."""
        return max(0, bisect_right(self.spans, a, key=attrgetter("first")) - 1)

    def _floor(self, unix_ms: int) -> int:
        return unix_ms - unix_ms % self.length


def runs(block: Block, after: int | None) -> tuple[list[tuple[int, int]], int]:
    """Return (first, last) of each run of joining rows of a block later than `after`, and how many rows were not."""
    entry = block.entry
    if (after is None or block.first > after) and type(entry.dt) is int and 0 < entry.dt <= JOIN_MS_MAX:
        return [(block.first, block.last)], 0
    found: list[tuple[int, int]] = []
    left_out = 0
    for at in frame.times(entry, block.first - entry.start):
        if after is not None and at <= after:
            left_out += 1
            continue
        if found and at - found[-1][1] <= JOIN_MS_MAX:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
        after = at
    return found, left_out


def ranges(spans: Sequence[Span], skips: Sequence[Skip]) -> list[list[int]]:
    """Return the evidence [[log, first, last], …], ascending and without overlap.

    It is all frames from the first to the last span of each log but the missing ones, and those needed to read them.
    """
    first_span, last_span = spans[0], spans[-1]
    if first_span.log == last_span.log and not skips and len({span.needs for span in spans}) == 1:
        whole = (first_span.log, first_span.seq, last_span.seq)
        return _merge({whole, *((first_span.log, seq, seq) for seq in first_span.needs)})
    reach: dict[int, tuple[int, int]] = {}
    found: set[tuple[int, int, int]] = set()
    for span in spans:
        first, _ = reach.get(span.log, (span.seq, span.seq))
        reach[span.log] = (first, span.seq)
        found.update((span.log, seq, seq) for seq in span.needs)
    for skip in sorted(skips):
        first, last = reach.get(skip.log, (1, 0))
        if first < skip.first and skip.last < last:
            found.add((skip.log, first, skip.first - 1))
            reach[skip.log] = (skip.last + 1, last)
            if skip.declared_by is not None:
                found.add((skip.log, skip.declared_by, skip.declared_by))
    found.update((log, first, last) for log, (first, last) in reach.items())
    return _merge(found)


def ranges_of(spans: Sequence[Span]) -> list[list[int]]:
    """Return the evidence of these spans' own frames only, for rows that are too far apart to name all in between."""
    found = {(span.log, span.seq, span.seq) for span in spans}
    return _merge(found | {(span.log, seq, seq) for span in spans for seq in span.needs})


def _merge(found: Iterable[tuple[int, int, int]]) -> list[list[int]]:
    merged: list[list[int]] = []
    for log, first, last in sorted(found):
        if merged and merged[-1][0] == log and first <= merged[-1][2] + 1:
            merged[-1][2] = max(merged[-1][2], last)
        else:
            merged.append([log, first, last])
    return merged
