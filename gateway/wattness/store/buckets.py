"""Rows of one point into minutes, and minutes into longer steps: pure, in integers of milli-units."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from wattwire import interval

MINUTE_MS = 60_000
STEPS_S = (60, 300, 3600, 86_400)
VALUE_MAX = 1 << 53  # what is further from zero is no measurement; it is counted and left out
_INT_MAX = (1 << 63) - 1

PLAIN, COUNTER, ENERGY = range(3)  # what is kept of a point: mean and extremes; its levels; both and the areas


class Bucket(NamedTuple):
    """A row of the table `bucket`, without its key; `at` counts steps since 1970."""

    at: int
    n: int
    covered: int
    total: int | None = None
    low: int | None = None
    high: int | None = None
    first: int | None = None
    last: int | None = None
    rise: int | None = None
    fall: int | None = None


def minutes(
    times: Sequence[int], values: Sequence[int | None], reach: tuple[int, int], kind: int, modulus: int | None = None
) -> Iterator[Bucket]:
    """Yield the minutes in `reach` (UTC ms) of a point whose rows are at `times`, with those around it that join."""
    own_times, own_values = _own(times, values)
    if not own_times:
        return
    begin = max(reach[0], own_times[0] // MINUTE_MS * MINUTE_MS)
    for a in range(begin, min(reach[1], own_times[-1] + 1), MINUTE_MS):
        b = a + MINUTE_MS
        first = bisect_left(own_times, a)
        last = bisect_left(own_times, b, first)
        near = slice(max(0, first - 1), last + 1)
        near_times = own_times[near]
        covered = interval.covered(near_times, a, b)
        if kind == COUNTER:
            rise, fall = interval.counter(near_times, own_values[near], modulus, a, b)[0], None
        elif kind == ENERGY:
            rise, fall = interval.areas(near_times, own_values[near], a, b)
        else:
            rise = fall = None
        if last == first and not covered:
            continue
        bucket = Bucket(a // MINUTE_MS, last - first, covered, rise=_total([rise]), fall=_total([fall]))
        yield _with_rows(bucket, own_values[first:last], kind) if last > first else bucket


def _own(times: Sequence[int], values: Sequence[int | None]) -> tuple[Sequence[int], Sequence[int]]:
    """Return the rows that have a value."""
    if None not in values:
        return times, values  # type: ignore[return-value]
    own = [row for row, value in enumerate(values) if value is not None]
    return [times[row] for row in own], [values[row] for row in own]  # type: ignore[misc]


def _with_rows(bucket: Bucket, values: Sequence[int], kind: int) -> Bucket:
    if kind == COUNTER:
        return bucket._replace(first=values[0], last=values[-1])
    return bucket._replace(total=sum(values), low=min(values), high=max(values))


def merge(buckets: Iterable[Bucket], size: int) -> Iterator[Bucket]:
    """Yield what buckets in ascending order amount to in steps that are `size` times as long."""
    group: list[Bucket] = []
    for bucket in buckets:
        if group and group[0].at // size != bucket.at // size:
            yield _merged(group, size)
            group = []
        group.append(bucket)
    if group:
        yield _merged(group, size)


def _merged(group: Sequence[Bucket], size: int) -> Bucket:
    low = [bucket.low for bucket in group if bucket.low is not None]
    high = [bucket.high for bucket in group if bucket.high is not None]
    levels = [(bucket.first, bucket.last) for bucket in group if bucket.first is not None]
    return Bucket(
        group[0].at // size,
        sum(bucket.n for bucket in group),
        sum(bucket.covered for bucket in group),
        _total([bucket.total for bucket in group if bucket.n]),
        min(low) if low else None,
        max(high) if high else None,
        levels[0][0] if levels else None,
        levels[-1][1] if levels else None,
        _total([bucket.rise for bucket in group]),
        _total([bucket.fall for bucket in group]),
    )


def _total(parts: Sequence[int | None]) -> int | None:
    """Return the sum of parts that all are known, None when SQLite cannot hold it."""
    known = [part for part in parts if part is not None]
    total = sum(known)
    return total if known and len(known) == len(parts) and abs(total) <= _INT_MAX else None
