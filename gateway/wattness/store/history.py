"""What the page asks of the past: aggregates of a point, and a stream's days."""

import datetime as dt
import zoneinfo
from collections.abc import Iterator, Sequence
from operator import add
from typing import Any

import apsw
import msgspec

from wattness.errors import ConfigError

from .chunks import unpack
from .corrections import Corrections, read_entry, read_fixes
from .removal import Removable
from .schema import ask

STEPS_MS = {"1m": 60_000, "5m": 300_000, "1h": 3_600_000, "1d": 86_400_000}
AUTO_ROWS_MAX = 1500
ROWS_MAX = 50_000
DAYS_MAX = 3660
CHUNKS_MAX = 100  # that one question may read
AREA_PER_WH = 7_200_000_000  # power is summed at both ends of a pair, in mW ms

VERDICTS = ("accepted", "flagged", "quarantined")
Energies = list[int | None]
Values = list[list[int | float | None]]
IMPORT, EXPORT, POWER = "energy_import", "energy_export", "power"

_ROWS = (
    "SELECT at * ?5, CASE WHEN first IS NULL THEN sum / (n * 1000.0) ELSE last / 1000.0 END,"
    " coalesce(low, first) / 1000.0, coalesce(high, last) / 1000.0 FROM bucket"
    " WHERE series = ?1 AND step = ?2 AND at >= ?3 AND at < ?4"
)
_ENERGY = (
    "SELECT at, rise, coalesce(fall, 0) FROM bucket"
    " WHERE series = ? AND step = ? AND at >= ? AND at < ? AND rise IS NOT NULL"
)
_COVERED = "SELECT at, coalesce(covered, step * 1000) FROM bucket WHERE series = ? AND step = ? AND at >= ? AND at < ?"
_JUDGED = "SELECT at, accepted, flagged, quarantined FROM judged WHERE stream = ? AND step = ? AND at >= ? AND at < ?"


class HistoryView(msgspec.Struct, frozen=True):
    """A point's aggregates, ascending; where nothing was measured there is no row.

    A row is [UTC ms of its beginning, mean, lowest, highest] in the unit; of a counter [ms, last, first, last].
    """

    stream: int
    point: str
    unit: str
    step_ms: int
    rows: list[list[int | float | None]]


class DayView(msgspec.Struct, frozen=True):
    """One day of a stream; an energy that nobody measured is null."""

    day: str  # YYYY-MM-DD in the site's time zone
    import_wh: int | None
    export_wh: int | None
    covered_s: int
    day_s: int
    verdicts: dict[str, int]  # final intervals that begin in it


class History:
    """Queries over the store's database, which names the streams, and the history's, which holds their past."""

    def __init__(self, store: apsw.Connection, history: apsw.Connection | None) -> None:
        """Use connections that read; without `history` nothing was summed up yet."""
        self._store = store
        self._history = history

    def view(self, stream_id: int, point: str, reach: tuple[int, int], step: str) -> HistoryView | None:
        """Return the aggregates of a point that begin in the `reach`; None without such a point."""
        step_ms = step_of(step, *reach)
        name = self._name(stream_id)
        stream = name and self._stream(*name)
        found = self._ask("SELECT id, unit FROM series WHERE stream_id = ? AND point = ?", stream, point)
        if not found:
            unit = self._told_unit(stream_id, point)
            return None if unit is None else HistoryView(stream_id, point, unit, step_ms, [])
        series, unit = found[0]
        reach = (-(-reach[0] // step_ms), -(-reach[1] // step_ms))
        rows = list(map(list, self._ask(_ROWS, series, step_ms // 1000, *reach, step_ms)))
        return HistoryView(stream_id, point, unit, step_ms, rows)

    def days(self, stream_id: int, from_day: dt.date, to_day: dt.date, timezone: str) -> list[DayView] | None:
        """Return the days of a stream, in order; None without such a stream."""
        bounds = day_bounds(from_day, to_day, timezone)
        name = self._name(stream_id)
        if name is None:
            return None
        stream = self._stream(*name)
        step = next((step for step in (86_400, 3600) if all(bound % (step * 1000) == 0 for bound in bounds)), 300)
        imported, exported = self._energies(stream, step, bounds)
        leading = self._ask("SELECT role, leading FROM stream WHERE id = ?", stream)
        covered = self._sums(_COVERED, self._series(stream, leading[0][1]) if leading else None, step, bounds)
        judged = self._sums(_JUDGED, stream, step, bounds)
        return [
            DayView(
                day=(from_day + dt.timedelta(at)).isoformat(),
                import_wh=imported[at],
                export_wh=exported[at],
                covered_s=(covered[at] or [0])[0] // 1000,
                day_s=(bounds[at + 1] - bounds[at]) // 1000,
                verdicts=dict(zip(VERDICTS, judged[at] or [0, 0, 0], strict=True)),
            )
            for at in range(len(bounds) - 1)
        ]

    def with_old_values(self, newest: Values, stream_id: int, point: str, since_ms: int, limit: int) -> Values:
        """Return the `newest` rows of a point, and before them those of which only chunks are left."""
        name = self._name(stream_id)
        rows = name and self._ask("SELECT id, compacted_ms FROM stream WHERE board_key = ? AND device = ?", *name)
        if not rows or since_ms >= rows[0][1]:
            return newest
        stream, compacted_ms = rows[0]
        found = [row for row in newest if row[0] is not None and row[0] >= compacted_ms]
        query = (
            "SELECT first_ms, described, data FROM chunk WHERE stream = ? AND last_ms >= ?"
            " ORDER BY day DESC, part DESC LIMIT ?"
        )
        corrections = self.corrections()
        for row in self._ask(query, stream, since_ms, CHUNKS_MAX):
            if len(found) >= limit:
                break
            first_ms, stream, entry = unpack(*row)
            times, columns = read_entry(entry, stream, first_ms, corrections, {point})
            values = columns.get(point) or [None] * len(times)
            old = [[at, decimal(value)] for at, value in zip(times, values, strict=True) if at >= since_ms]
            found = old + found
        return found[-limit:]

    def chunks(self) -> Iterator[tuple[Any, ...]]:
        """Yield every chunk in the order of stream and time, as (board key, device, compacted ms, *chunk)."""
        query = (
            "SELECT lower(hex(board_key)), device, compacted_ms, chunk.first_ms, described, data"
            " FROM stream JOIN chunk ON chunk.stream = stream.id ORDER BY stream.id, day, part"
        )
        return iter(()) if self._history is None else self._history.execute(query)

    def corrections(self) -> Corrections:
        """Return what was wrong in profiles and is put right on reading."""
        return Corrections() if self._history is None else Corrections(read_fixes(self._history))

    def removable(self) -> list[Removable]:
        """Return which frames of this store are in chunks."""
        name = self._store.pragma("application_id")
        query = "SELECT id, board_id, log, last, frame FROM removable WHERE store = ? ORDER BY id"
        return [Removable(*row) for row in self._ask(query, name)]

    def counters(self) -> list[tuple[str, str, int]]:
        """Return (name, reason, n) of what was counted."""
        return self._ask("SELECT name, reason, n FROM counter ORDER BY name, reason")

    def _energies(self, stream: int | None, step: int, bounds: Sequence[int]) -> tuple[Energies, Energies]:
        """Return import and export in Wh: from counters, or from power where the stream has none."""
        series = [self._series(stream, name) for name in (IMPORT, EXPORT)]
        if series != [None, None]:
            counted = [self._sums(_ENERGY, key, step, bounds) for key in series]
            imported, exported = ([None if sums is None else sums[0] // 1000 for sums in days] for days in counted)
            return imported, exported
        areas = self._sums(_ENERGY, self._series(stream, POWER), step, bounds)
        over, under = ([None if sums is None else sums[side] // AREA_PER_WH for sums in areas] for side in (0, 1))
        is_pv = bool(self._ask("SELECT 1 FROM stream WHERE id = ? AND role = 'pv'", stream))
        return (under, over) if is_pv else (over, under)

    def _sums(self, query: str, key: int | None, step: int, bounds: Sequence[int]) -> list[list[int] | None]:
        """Return the sums of the columns of a query in each day, None for a day without rows."""
        found: list[list[int] | None] = [None] * (len(bounds) - 1)
        day = 0
        for at, *values in self._ask(query, key, step, bounds[0] // (step * 1000), -(-bounds[-1] // (step * 1000))):
            while day < len(found) and at * step * 1000 >= bounds[day + 1]:
                day += 1
            if day == len(found):
                break
            sums = found[day]
            found[day] = values if sums is None else list(map(add, sums, values))
        return found

    def _name(self, stream_id: int) -> tuple[bytes, str] | None:
        query = "SELECT board_key, device FROM stream JOIN board ON board.id = board_id WHERE stream.id = ?"
        rows = ask(self._store, query, (stream_id,))
        return rows[0] if rows else None

    def _told_unit(self, stream_id: int, point: str) -> str | None:
        """Return the unit of a point that its stream has and the history does not know yet."""
        rows = ask(self._store, "SELECT points FROM stream WHERE id = ?", (stream_id,))
        points = msgspec.json.decode(rows[0][0]) if rows else []
        return next((unit for name, unit, _ in points if name == point), None)

    def _stream(self, board_key: bytes, device: str) -> int | None:
        rows = self._ask("SELECT id FROM stream WHERE board_key = ? AND device = ?", board_key, device)
        return rows[0][0] if rows else None

    def _series(self, stream: int | None, point: str) -> int | None:
        rows = self._ask("SELECT id FROM series WHERE stream_id = ? AND point = ?", stream, point)
        return rows[0][0] if rows else None

    def _ask(self, query: str, *bindings: Any) -> list[Any]:
        return [] if self._history is None else ask(self._history, query, bindings)


def step_of(step: str, from_ms: int, to_ms: int) -> int:
    """Return the step in ms that a query asks for; raises ConfigError."""
    if step == "auto":
        reach = max(0, to_ms - from_ms)
        return next((ms for ms in STEPS_MS.values() if reach <= AUTO_ROWS_MAX * ms), STEPS_MS["1d"])
    if step not in STEPS_MS:
        raise ConfigError(f"The step {step!r} is none of auto, {', '.join(STEPS_MS)}.")
    if to_ms - from_ms > ROWS_MAX * STEPS_MS[step]:
        raise ConfigError(f"A history of steps of {step} has at most {ROWS_MAX} rows: ask for less, or choose auto.")
    return STEPS_MS[step]


def day_bounds(from_day: dt.date, to_day: dt.date, timezone: str) -> list[int]:
    """Return the UTC ms at which each day begins, and at which the last one ends; raises ConfigError."""
    try:
        zone = zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"There is no time zone {timezone!r}; write it like Europe/Berlin or UTC.") from None
    count = (to_day - from_day).days + 1
    if not 0 < count <= DAYS_MAX or to_day >= dt.date.max - dt.timedelta(2) or from_day.year < 1970:
        raise ConfigError(f"Days go from an earlier to a later one, {DAYS_MAX} at most, from 1970 on.")
    return [_midnight(from_day + dt.timedelta(number), zone) for number in range(count + 1)]


def _midnight(day: dt.date, zone: zoneinfo.ZoneInfo) -> int:
    begin = dt.datetime.combine(day, dt.time(), zone)
    return round(begin.timestamp()) * 1000


def decimal(milli: int | None) -> int | float | None:
    """Return milli-units as a number in the unit."""
    if milli is None:
        return None
    return milli // 1000 if milli % 1000 == 0 else milli / 1000
