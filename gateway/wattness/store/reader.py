"""Everything that is read from the store, over a read-only connection that never blocks the writer."""

import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from wattness.errors import StoreError
from wattness.model import LogEnd

from .accounts import Accounts
from .board import INT_MAX, read
from .corrections import Corrections
from .history import DayView, History, HistoryView
from .history_schema import history_to_read
from .outbox import WAITING
from .readings import Part, readings
from .rows import Held, newest_row, newest_values
from .schema import connect_to_read
from .views import (
    BoardView,
    Depth,
    FrameView,
    Hole,
    IntervalView,
    JobView,
    LogView,
    PointView,
    RewardView,
    StreamView,
)

T = TypeVar("T")

PAGE = 500  # rows that an export reads at a time

_INTERVALS = """
SELECT interval.id, stream_id, lower(hex(board_key)), device, interval.role, interval.profile, a, b, figures, evidence,
       lower(hex(root)), verdict, reasons, interval.rated_w
  FROM interval JOIN stream ON stream.id = stream_id JOIN board ON board.id = board_id
"""
_BOARDS = """
SELECT board.id, name, lower(hex(kid)), lower(hex(board_key)), state, reason, enrolled_ms,
       (SELECT max(received_ms) FROM log WHERE board_id = board.id),
       (SELECT max(log) FROM log WHERE board_id = board.id), provenance
  FROM board WHERE state <> 'removed' ORDER BY board.id
"""
_STREAMS = """
SELECT stream.id, board_id, name, lower(hex(board_key)), device, role, profile, unit, rated_w, points, first_ms,
       stream.last_ms, open_ms, provenance
  FROM stream JOIN board ON board.id = board_id WHERE state <> 'removed' ORDER BY board_id, stream.id
"""
_HOLES = """
SELECT board_id, log, head + 1,
       (SELECT min(seq) FROM frame WHERE frame.board_id = log.board_id AND frame.log = log.log AND seq > head)
  FROM log JOIN board ON board.id = board_id WHERE head < top AND folded <= head AND state <> 'removed' LIMIT 1000
"""


class Reader:
    """Synchronous queries over one read-only connection; use it from one thread at a time."""

    def __init__(self, connection: apsw.Connection, path: Path | None = None) -> None:
        """Use `open_reader`; `path` is the database's, beside which its history lies."""
        self._connection = connection
        self._path = path
        self._history: apsw.Connection | None = None

    def close(self) -> None:
        """Close what was opened."""
        self._connection.close()
        if self._history is not None:
            self._history.close()

    def boards(self) -> list[BoardView]:
        """All boards that are not removed, with their newest log and health."""
        found = []
        for *row, last_ms, log, provenance in self._rows(_BOARDS):
            view = None if log is None else self._log(row[0], log)
            found.append(BoardView(*(*row, last_ms, view, self._health(row[0]), provenance)))
        return found

    def streams(self) -> list[StreamView]:
        """All streams of all boards."""
        return [
            StreamView(*(*row[:9], [PointView(*point) for point in msgspec.json.decode(row[9])], *row[10:]))
            for row in self._rows(_STREAMS)
        ]

    def values(self, stream_id: int, point: str, since_ms: int, limit: int = 5000) -> list[list[int | float | None]]:
        """Rows of one point since `since_ms` as [t, value], ascending; the newest `limit` of them."""
        rows = self._rows("SELECT board_id, device FROM stream WHERE id = ?", stream_id)
        if not rows:
            return []
        found = newest_values(self._held(), rows[0][0], rows[0][1], point, since_ms, limit)
        with suppress(StoreError):
            found = self.past(lambda past: past.with_old_values(found, stream_id, point, since_ms, limit))
        return found

    def newest_row(self, stream_id: int) -> tuple[int, dict[str, int | float]] | None:
        """A stream's newest row as (unix ms, {point: value}); what has no value is not there."""
        rows = self._rows("SELECT board_id, device FROM stream WHERE id = ?", stream_id)
        return newest_row(self._held(), rows[0][0], rows[0][1]) if rows else None

    def readings(self, stream_id: int, since_ms: int, until_ms: int, *, is_claim: bool = False) -> Iterator[Part]:
        """Every point's rows between two times as far as their frames are held, in bounded memory.

        For a claim without the points that nothing may be claimed of.
        """
        try:
            yield from readings(self._connection, stream_id, since_ms, until_ms, is_claim=is_claim)
        except apsw.Error as error:
            raise StoreError(f"The database cannot be read: {error}; see `wattness db check`.") from error

    def history(self, stream_id: int, point: str, from_ms: int, to_ms: int, step: str = "auto") -> HistoryView | None:
        """Aggregates of one point that begin in [from_ms, to_ms); None without such a point. Raises ConfigError.

        `step` is 1m, 5m, 1h, 1d, or auto: the finest with at most 1500 rows.
        """
        return self.past(lambda past: past.view(stream_id, point, (from_ms, to_ms), step))

    def days(self, stream_id: int, from_day: dt.date, to_day: dt.date, timezone: str = "UTC") -> list[DayView] | None:
        """Energy, coverage and verdicts of each day from `from_day` to `to_day`; None without such a stream.

        Raises ConfigError.
        """
        return self.past(lambda past: past.days(stream_id, from_day, to_day, timezone))

    def intervals(
        self, *, stream_id: int | None = None, before: int | None = None, limit: int = 100
    ) -> list[IntervalView]:
        """Final intervals with their jobs, newest first; `before` is the id to page on from."""
        where = "WHERE interval.id < ?1 AND (?2 IS NULL OR stream_id = ?2) ORDER BY interval.id DESC LIMIT ?3"
        return [self._interval(row) for row in self._rows(_INTERVALS + where, before or INT_MAX, stream_id, limit)]

    def verdicts(
        self, *, stream_id: int | None = None, before: int | None = None, limit: int = 100
    ) -> list[IntervalView]:
        """Final intervals that were not simply accepted, newest first."""
        where = (
            "WHERE interval.id < ?1 AND verdict <> 'accepted' AND (?2 IS NULL OR stream_id = ?2)"
            " ORDER BY interval.id DESC LIMIT ?3"
        )
        return [self._interval(row) for row in self._rows(_INTERVALS + where, before or INT_MAX, stream_id, limit)]

    def interval(self, board_key: bytes, device: str, a: int) -> IntervalView | None:
        """Return the final interval of a slot."""
        rows = self._rows(_INTERVALS + "WHERE board_key = ? AND device = ? AND a = ?", board_key, device, a)
        return self._interval(rows[0]) if rows else None

    def evidence(self, board_key: bytes, ranges: Sequence[Sequence[int]]) -> Iterator[bytes]:
        """Raw frames of [[log, first, last], …] in ascending (log, seq)."""
        query = (
            "SELECT raw FROM frame WHERE board_id = (SELECT id FROM board WHERE board_key = ?)"
            " AND log = ? AND seq BETWEEN ? AND ? ORDER BY seq"
        )
        for log, first, last in sorted(tuple(position) for position in ranges):
            for (raw,) in self._execute(query, board_key, log, first, last):
                yield raw

    def acknowledged(self) -> dict[int, int]:
        """How many frames each board need not keep any longer."""
        return dict(self._rows("SELECT board_id, sum(head) FROM log GROUP BY 1"))

    def depths(self) -> list[Depth]:
        """Jobs per network and state."""
        query = f"SELECT network, state, min(created_ms) FROM job WHERE {WAITING} GROUP BY 1, 2"  # noqa: S608
        oldest = {(network, state): created for network, state, created in self._rows(query)}
        query = "SELECT network, name, n FROM total WHERE name <> 'paid' AND n > 0 ORDER BY 1, 2"
        return [Depth(network, state, n, oldest.get((network, state))) for network, state, n in self._rows(query)]

    def rewards(self, *, network: str | None = None, limit: int = 1000) -> list[RewardView]:
        """What was paid, newest epoch first."""
        query = (
            "SELECT network, epoch, lower(hex(board_key)), device, amount, detail FROM reward"
            " WHERE network = ? ORDER BY epoch DESC, board_key, device LIMIT ?"
        )
        names = [row[0] for row in self._rows("SELECT network FROM total WHERE name = 'paid' ORDER BY 1")]
        rows = [row for name in names if network in {None, name} for row in self._rows(query, name, limit)]
        rows.sort(key=lambda row: -row[1])  # a stable sort: networks and boards stay in order
        return [RewardView(*(*row[:5], msgspec.json.decode(row[5]))) for row in rows[:limit]]

    def received(self, network: str, bounds: Sequence[int]) -> list[int | None]:
        """What a network paid between each two of these civil times, by when we learnt of it; None: nothing."""
        query = (
            "SELECT sum(amount) FROM reward INDEXED BY reward_received"
            " WHERE network = ? AND received_ms >= ? AND received_ms < ?"
        )
        return [self._rows(query, network, *pair)[0][0] for pair in pairwise(bounds)]

    def paid(self, network: str) -> int:
        """All that a network has paid."""
        rows = self._rows("SELECT n FROM total WHERE network = ? AND name = 'paid'", network)
        return rows[0][0] if rows else 0

    def last_epoch(self, network: str) -> int | None:
        """The newest epoch of which a reward of this network is known."""
        epoch: int | None = self._rows("SELECT max(epoch) FROM reward WHERE network = ?", network)[0][0]
        return epoch

    def counters(self) -> dict[str, dict[str, int]]:
        """All counters as {name: {reason: n}}, e.g. {"rejected": {"bad_signature": 3}}."""
        found: dict[str, dict[str, int]] = {}
        query = "SELECT name, reason, n FROM counter ORDER BY name, reason"
        rows = self._rows(query)
        with suppress(StoreError):  # a damaged history is told of elsewhere
            rows += self.past(History.counters)
        for name, reason, n in rows:
            found.setdefault(name, {})[reason] = n
        return found

    def holes(self) -> list[Hole]:
        """Undeclared holes: what a `resend` command should ask for."""
        query = "SELECT received_ms FROM frame WHERE board_id = ? AND log = ? AND seq = ?"
        return [
            Hole(board_id, log, first, behind - 1, self._rows(query, board_id, log, behind)[0][0])
            for board_id, log, first, behind in self._rows(_HOLES)
        ]

    def log_end(self, board_id: int) -> LogEnd | None:
        """Where a board's newest log ends, if it has one."""
        query = "SELECT log, top, hash, boot, head = top FROM log WHERE board_id = ? ORDER BY log DESC LIMIT 1"
        rows = self._rows(query, board_id)
        return LogEnd(*rows[0]) if rows else None

    def export_frames(self, *, after: int = 0) -> Iterator[FrameView]:
        """Every raw frame in the order of arrival, in bounded memory."""
        query = (
            "SELECT frame.id, lower(hex(board_key)), log, seq, kind, received_ms, raw"
            " FROM frame JOIN board ON board.id = board_id WHERE frame.id > ? ORDER BY frame.id LIMIT ?"
        )
        while rows := self._rows(query, after, PAGE):
            yield from (FrameView(*row[1:]) for row in rows)
            after = rows[-1][0]

    def export_intervals(self, *, after: int = 0) -> Iterator[IntervalView]:
        """Every final interval in the order in which they became final, in bounded memory."""
        query = _INTERVALS + "WHERE interval.id > ? ORDER BY interval.id LIMIT ?"
        while rows := self._rows(query, after, PAGE):
            yield from map(self._interval, rows)
            after = rows[-1][0]

    def _held(self) -> Held:
        corrections = Corrections()
        with suppress(StoreError):  # what came newest is shown whatever the history's state
            corrections = self.past(History.corrections)
        return Held(self._connection, corrections)

    def past(self, query: Callable[[History], T]) -> T:
        """Ask the history, which may not be there yet: `reader.past(History.removable)`."""
        try:
            if self._history is None and self._path is not None:
                self._history = history_to_read(self._path)
            return query(History(self._connection, self._history))
        except apsw.Error as error:
            raise StoreError(f"The history cannot be read: {error}; see `wattness db check`.") from error

    def accounts(self) -> Accounts:
        """What became of reports and what was paid."""
        return Accounts(self._connection)

    def _log(self, board_id: int, log: int) -> LogView:
        query = "SELECT log, head, top, frames, received_ms FROM log WHERE board_id = ? AND log = ?"
        return LogView(*self._rows(query, board_id, log)[0])

    def _health(self, board_id: int) -> dict[str, Any] | None:
        query = "SELECT raw FROM frame WHERE board_id = ? AND kind = 3 ORDER BY log DESC, seq DESC LIMIT 1"
        rows = self._rows(query, board_id)
        return dict(read(rows[0][0]).body.values) if rows else None

    def _interval(self, row: Sequence[Any]) -> IntervalView:
        query = (
            "SELECT id, network, key, state, attempt, due_ms, reason, receipt, receipt_detail FROM job WHERE"
            " interval_id = ?1 OR id IN (SELECT job_id FROM part WHERE interval_id = ?1) ORDER BY id"
        )
        jobs = [
            JobView(*(*job, None if detail is None else msgspec.json.decode(detail)))
            for *job, detail in self._rows(query, row[0])
        ]
        figures, ranges, root, verdict, reasons, rated_w = row[8:]
        decode = json.loads  # takes integers of any size
        return IntervalView(*(*row[:8], decode(figures), decode(ranges), root, verdict, decode(reasons), rated_w, jobs))

    def _rows(self, query: str, *bindings: Any) -> list[Any]:
        return list(self._execute(query, *bindings))

    def _execute(self, query: str, *bindings: Any) -> Iterator[Any]:
        try:
            return self._connection.execute(query, bindings)
        except apsw.Error as error:
            raise StoreError(f"The database cannot be read: {error}; see `wattness db check`.") from error


@contextmanager
def open_reader(path: Path) -> Iterator[Reader]:
    """Open a read-only connection to the database at `path`. Raises StoreError when there is none."""
    reader = Reader(connect_to_read(path), path)
    try:
        yield reader
    finally:
        reader.close()
