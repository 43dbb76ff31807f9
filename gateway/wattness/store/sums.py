"""Minutes of a stream into the history's tables, and from there into fives, hours and days."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apsw

from wattwire import evidence
from wattwire.interval import JOIN_MS_MAX, POWER

from . import buckets
from .buckets import MINUTE_MS, Bucket
from .recall import SLOT_MS, Known, Rows
from .schema import ask, write_rows

_BUCKET = (
    "INSERT OR REPLACE INTO bucket (series, step, at, n, covered, sum, low, high, first, last, rise, fall)"
    " VALUES {rows}"
)
_READ = (
    "SELECT at, n, coalesce(covered, step * 1000), sum, low, high, first, last, rise, fall FROM bucket"
    " WHERE series = ? AND step = ? AND at >= ? AND at < ? ORDER BY at"
)

_COUNTERS = ("energy_import", "energy_export")
_MINUTES = SLOT_MS // MINUTE_MS

Minutes = dict[tuple[str, str], list[Bucket]]  # by the point's name and unit


class Sums:
    """Writes within the caller's transaction."""

    def __init__(self, history: apsw.Connection) -> None:
        """Use a connection that writes."""
        self._history = history
        self._hours: set[tuple[int, int]] = set()

    def write(self, known: Known, slot: int, found: dict[tuple[str, str], list[Bucket]]) -> None:
        """Replace a quarter of an hour's minutes and fives by what was found."""
        begin = max(slot * SLOT_MS, -(-(known.floor_ms + 1) // MINUTE_MS) * MINUTE_MS)
        names = {point for point, _ in found}
        series = self._series(known.id, found)
        for (point, _), minutes in found.items():
            key = series[point]
            kept = [bucket for bucket in minutes if bucket.at * MINUTE_MS >= begin]
            self._clear(key, 60, begin // MINUTE_MS, (slot + 1) * _MINUTES)
            self._put(key, 60, kept)
            self._clear(key, 300, slot * 3, (slot + 1) * 3)
            self._put(key, 300, buckets.merge(self._read(key, 60, slot * _MINUTES, (slot + 1) * _MINUTES), 5))
        for point, key in series.items():
            if point not in names:
                self._clear(key, 60, begin // MINUTE_MS, (slot + 1) * _MINUTES)
                self._clear(key, 300, slot * 3, (slot + 1) * 3)
                self._put(key, 300, buckets.merge(self._read(key, 60, slot * _MINUTES, (slot + 1) * _MINUTES), 5))
        self._hours.update((key, slot // 4) for key in series.values())

    def finish(self) -> None:
        """Sum up the hours and days of all that was written since."""
        days = {(key, hour // 24) for key, hour in self._hours}
        for finer, step, marked in ((300, 3600, self._hours), (3600, 86_400, days)):
            size = step // finer
            for key, at in marked:
                self._clear(key, step, at, at + 1)
                self._put(key, step, buckets.merge(self._read(key, finer, at * size, (at + 1) * size), size))
        self._hours.clear()

    def _series(self, stream: int, found: Iterable[tuple[str, str]]) -> dict[str, int]:
        query = "SELECT point, unit, id FROM series WHERE stream_id = ?"
        known = {(point, unit): key for point, unit, key in ask(self._history, query, (stream,))}
        for name in found:
            if name not in known:
                self._history.execute(
                    "INSERT INTO series (stream_id, point, unit) VALUES (?, ?, ?)"
                    " ON CONFLICT (stream_id, point) DO UPDATE SET unit = excluded.unit",
                    (stream, *name),
                )
        return {point: key for point, _, key in ask(self._history, query, (stream,))}

    def _read(self, series: int, step: int, first: int, end: int) -> Iterator[Bucket]:
        return (Bucket(*row) for row in ask(self._history, _READ, (series, step, first, end)))

    def _clear(self, series: int, step: int, first: int, end: int) -> None:
        query = "DELETE FROM bucket WHERE series = ? AND step = ? AND at >= ? AND at < ?"
        self._history.execute(query, (series, step, first, end))

    def _put(self, series: int, step: int, found: Iterable[Bucket]) -> None:
        rows = [
            (series, step, at, n, None if covered == step * 1000 else covered, *rest) for at, n, covered, *rest in found
        ]
        write_rows(self._history, _BUCKET, rows)


def minutes_of(rows: Sequence[Rows], slot: int) -> Minutes:
    """Return the minutes of a quarter of an hour from its rows and those of the quarters before and after it."""
    begin, end = slot * SLOT_MS, (slot + 1) * SLOT_MS
    near = [_within(part, begin - JOIN_MS_MAX, end + JOIN_MS_MAX) for part in rows]
    stream = next((part.stream for part in (rows[1], rows[0], rows[2]) if part.stream is not None), None)
    if stream is None:
        return {}
    times = [at for part_times, _ in near for at in part_times]
    points = _points(stream)
    has_counters = any(evidence.counters(stream))
    found: Minutes = {}
    for name in {name for _, columns in near for name in columns}:
        values: list[int | None] = []
        for part_times, columns in near:
            values += columns.get(name) or [None] * len(part_times)
        unit, modulus = points.get(name, ("", None))
        kind = buckets.COUNTER if name.startswith(_COUNTERS) else buckets.PLAIN
        if name == POWER and not has_counters:
            kind = buckets.ENERGY
        minutes = list(buckets.minutes(times, values, (begin, end), kind, modulus))
        if minutes:
            found[name, unit] = minutes
    return found


def _within(rows: Rows, begin: int, end: int) -> tuple[list[int], dict[str, list[int | None]]]:
    if not rows.times or (rows.times[0] >= begin and rows.times[-1] < end):
        return rows.times, rows.columns
    kept = [row for row, at in enumerate(rows.times) if begin <= at < end]
    if not kept:
        return [], {}
    first, last = kept[0], kept[-1] + 1
    return rows.times[first:last], {name: column[first:last] for name, column in rows.columns.items()}


def _points(stream: Any) -> dict[str, tuple[str, int | None]]:
    """Return the unit and the modulus in milli-units of each point, by the name it is read under."""
    found = {}
    for point in stream.points:
        name = evidence.read_name(point.name) if stream.inverted else point.name
        modulus = None if point.modulus is None else evidence.to_milli(point.modulus, point.exponent)
        found[name] = (point.unit, modulus or None)
    return found


def leading_point(stream: Any) -> str:
    """Return the point that tells how much of the time is covered: the first counter, else power, else the first."""
    counters = evidence.counters(stream)
    if counters:
        return str(counters[0][0])
    names = [point.name for point in stream.points]
    return POWER if POWER in names or not names else str(names[0])
