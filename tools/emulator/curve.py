"""Power over time as recorded, and its exact integral: what an ideal meter counts.

A curve is a cycle of days; a day is segments on which power is linear and keeps its sign. Everything is an integer:
power in mW, time in ms, energy in half mW·ms (so that the trapezium's area needs no division), floored once to mWh.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

DAY_MS = 86_400_000
HALF_MWMS_PER_MWH = 7_200_000


class Segment(NamedTuple):
    """Power from `left_mw` at `start_ms` to `right_mw` at the next segment's start."""

    start_ms: int
    left_mw: int
    right_mw: int


@dataclass(frozen=True)
class Day:
    """The segments of one day and what each adds to the positive and to the negative counter."""

    segments: tuple[Segment, ...]
    starts: tuple[int, ...]
    positive: tuple[int, ...]  # counted before each segment, and after the last one
    negative: tuple[int, ...]

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> "Day":
        """Build a day of segments that begin at 0 and cover it."""
        starts = tuple(segment.start_ms for segment in segments)
        ends = (*starts[1:], DAY_MS)
        areas = [(s.left_mw + s.right_mw) * (end - s.start_ms) for s, end in zip(segments, ends, strict=True)]
        return cls(
            tuple(segments),
            starts,
            tuple(accumulate((max(area, 0) for area in areas), initial=0)),
            tuple(accumulate((max(-area, 0) for area in areas), initial=0)),
        )

    def at(self, ms: int) -> tuple[int, int, int]:
        """Return (power, positive, negative energy since midnight) at `ms` of the day."""
        index = bisect_right(self.starts, ms) - 1
        start, left, right = self.segments[index]
        end = self.starts[index + 1] if index + 1 < len(self.starts) else DAY_MS
        length, into = end - start, ms - start
        power = left + (right - left) * into // length
        area = 2 * left * into + (right - left) * into * into // length
        return power, self.positive[index] + max(area, 0), self.negative[index] + max(-area, 0)


@dataclass(frozen=True)
class Curve:
    """Days that repeat for ever, counted from `first_ms` (a local midnight), when both counters were zero."""

    days: tuple[Day, ...]
    first_ms: int

    def at(self, unix_ms: int) -> tuple[int, int, int]:
        """Return (mW, positive mWh, negative mWh) at `unix_ms`; before the first midnight nothing was counted yet."""
        number, ms = divmod(max(unix_ms, self.first_ms) - self.first_ms, DAY_MS)
        cycles, index = divmod(number, len(self.days))
        power, positive, negative = self.days[index].at(ms)
        before = self.days[:index]
        positive += cycles * sum(day.positive[-1] for day in self.days) + sum(day.positive[-1] for day in before)
        negative += cycles * sum(day.negative[-1] for day in self.days) + sum(day.negative[-1] for day in before)
        return power, positive // HALF_MWMS_PER_MWH, negative // HALF_MWMS_PER_MWH


def linear_day(samples_mw: Sequence[int]) -> Day:
    """A day of evenly spaced samples, joined by straight lines; the last is joined to the first of the next day."""
    step = DAY_MS // len(samples_mw)
    segments: list[Segment] = []
    for index, left in enumerate(samples_mw):
        right = samples_mw[(index + 1) % len(samples_mw)]
        start = index * step
        crossing = step * abs(left) // (abs(left) + abs(right)) if left * right < 0 else 0
        if 0 < crossing < step:
            segments += [Segment(start, left, 0), Segment(start + crossing, 0, right)]
        elif left * right < 0:  # it crosses at the very edge
            segments.append(Segment(start, 0, right) if abs(left) < abs(right) else Segment(start, left, 0))
        else:
            segments.append(Segment(start, left, right))
    return Day.of(segments)


def step_day(samples_mw: Sequence[int]) -> Day:
    """A day of evenly spaced samples, each held until the next."""
    step = DAY_MS // len(samples_mw)
    return Day.of([Segment(index * step, power, power) for index, power in enumerate(samples_mw)])
