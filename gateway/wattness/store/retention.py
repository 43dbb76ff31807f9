"""Raw frames that are old enough into chunks, a board's day at a time, and which of them may then be removed.

A frame stays while it is unacknowledged, undated, its board's newest, evidence of an open interval or of one that a
network may still challenge, or needed to read another one; a board in quarantine keeps everything.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import apsw
import msgspec

from wattwire import frame

from . import chunks
from .recall import KNOWN, SLOT_MS, Kept, Known, Recall
from .schema import ask

DAY_MS = 86_400_000
DAY_SLOTS = DAY_MS // SLOT_MS

Position = tuple[int, int]
_NOWHERE: Position = (-1, 0)

_CLAIMED = (
    "SELECT evidence FROM interval WHERE stream_id = ? AND b > ? AND a > ?"
    " AND (EXISTS (SELECT 1 FROM job WHERE interval_id = interval.id AND state <> 'discarded')"
    " OR EXISTS (SELECT 1 FROM part JOIN job ON job.id = job_id"
    " WHERE part.interval_id = interval.id AND state <> 'discarded')) ORDER BY a LIMIT 1"
)
_OUTSTANDING = (
    "SELECT evidence FROM job JOIN interval ON interval.id = interval_id"
    " WHERE stream_id = ? AND state IN ('available', 'running', 'retryable') ORDER BY a LIMIT 1"
)
_OUTSTANDING_PARTS = (
    "SELECT evidence FROM job JOIN part ON job_id = job.id JOIN interval ON interval.id = part.interval_id"
    " WHERE stream_id = ? AND state IN ('available', 'running', 'retryable') ORDER BY a LIMIT 1"
)


class Retention:
    """Makes chunks of what is older than `raw_ms`; what it writes is one transaction of the history."""

    def __init__(
        self, store: apsw.Connection, history: apsw.Connection, recall: Recall, *, raw_ms: int, proof_ms: int
    ) -> None:
        """`proof_ms` is how long after its end an interval may be challenged."""
        self._store, self._history, self._recall = store, history, recall
        self._raw_ms, self._proof_ms = raw_ms, proof_ms

    def step(self, now_ms: int) -> bool:
        """Make chunks of one board's day, if one is old enough; tells whether there may be another one."""
        self._history.pragma("synchronous", "full")  # on the disk before the frames may go
        try:
            with self._history, self._store:
                for board_id, board_key, state in ask(self._store, "SELECT id, board_key, state FROM board"):
                    if state != "quarantined" and self._compact(board_id, board_key, now_ms):
                        return True
        finally:
            self._history.pragma("synchronous", "normal")
        return False

    def _compact(self, board_id: int, board_key: bytes, now_ms: int) -> bool:
        streams = [Known(*row) for row in ask(self._history, KNOWN + "WHERE board_key = ?", (board_key,))]
        first = min((slot for known in streams for slot in self._first_slot(known)), default=None)
        if first is None:
            return False
        day = first // DAY_SLOTS
        end = (day + 1) * DAY_MS
        if end > now_ms - self._raw_ms or self._is_marked(streams, day):
            return False
        last = {log: seq for known in streams for log, seq in self._last_frames(known, day)}
        if max(last.items(), default=_NOWHERE) >= self._floor(board_id, now_ms):
            return False
        for known in streams:
            self._write(known, day)
            self._history.execute("UPDATE stream SET compacted_ms = max(compacted_ms, ?) WHERE id = ?", (end, known.id))
        self._release(board_id, streams, last)
        return True

    def _write(self, known: Known, day: int) -> None:
        """Replace a stream's day by chunks of all its rows, one for each descriptor in force."""
        rows = [
            kept for slot in range(day * DAY_SLOTS, (day + 1) * DAY_SLOTS) for kept in self._recall.kept(known, slot)
        ]
        self._history.execute("DELETE FROM chunk WHERE stream = ? AND day = ?", (known.id, day))
        for part, (stream, times, columns) in enumerate(_joined(rows)):
            described, data = chunks.pack(stream, times, columns)
            query = (
                "INSERT INTO chunk (stream, day, part, first_ms, last_ms, rows, described, data)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            )
            values = (known.id, day, part, times[0], times[-1], len(times), described, data)
            self._history.execute(query, values)
            self._count("rows", len(times))
            self._count("bytes", len(data))
        self._history.execute(
            "DELETE FROM span WHERE stream = ? AND slot >= ? AND slot < ?",
            (known.id, day * DAY_SLOTS, (day + 1) * DAY_SLOTS),
        )

    def _release(self, board_id: int, streams: Sequence[Known], last: dict[int, int]) -> None:
        """Let the store remove frames up to the last one of this day that has no later rows."""
        name: Any = self._store.pragma("application_id")
        mark = ask(self._history, "SELECT frame FROM source WHERE store = ?", (name,))[0][0]
        for log, seq in last.items():
            later = [
                found
                for known in streams
                for (found,) in ask(
                    self._history, "SELECT min(first) FROM span WHERE stream = ? AND log = ?", (known.id, log)
                )
                if found is not None
            ]
            end = min([seq, *(found - 1 for found in later)])
            if end > 0:
                self._history.execute(
                    "INSERT INTO removable (store, board_id, log, first, last, frame) VALUES (?, ?, ?, 1, ?, ?)",
                    (name, board_id, log, end, mark),
                )

    def _floor(self, board_id: int, now_ms: int) -> Position:
        """Return the first position from which on every frame of a board stays."""
        found = ask(self._store, "SELECT log, top FROM log WHERE board_id = ? ORDER BY log DESC LIMIT 1", (board_id,))
        query = "SELECT log, folded + 1 FROM log WHERE board_id = ? AND folded < top ORDER BY log LIMIT 1"
        found += ask(self._store, query, (board_id,))
        query = "SELECT id, start_log, start_seq FROM stream WHERE board_id = ?"
        since = now_ms - self._proof_ms
        for stream, log, seq in ask(self._store, query, (board_id,)):
            found += [] if log is None else [(log, seq)]
            evidence = ask(self._store, _CLAIMED, (stream, since, since - DAY_MS))
            evidence += ask(self._store, _OUTSTANDING, (stream,)) + ask(self._store, _OUTSTANDING_PARTS, (stream,))
            found += [first for (ranges,) in evidence for first in self._first_rows(board_id, ranges)]
        return min(found, default=_NOWHERE)

    def _first_rows(self, board_id: int, ranges: str) -> Iterator[Position]:
        """Yield the position of the first rows frame of an interval's evidence; later intervals begin no earlier."""
        query = "SELECT min(seq) FROM frame WHERE board_id = ? AND log = ? AND seq BETWEEN ? AND ? AND kind = 2"
        for log, first, last in msgspec.json.decode(ranges):
            seq = ask(self._store, query, (board_id, log, first, last))[0][0]
            if seq is not None:
                yield log, seq
                return

    def _first_slot(self, known: Known) -> list[int]:
        query = "SELECT slot FROM span WHERE stream = ? ORDER BY slot LIMIT 1"
        return [slot for (slot,) in ask(self._history, query, (known.id,))]

    def _last_frames(self, known: Known, day: int) -> list[Position]:
        query = "SELECT log, max(last) FROM span WHERE stream = ? AND slot >= ? AND slot < ? GROUP BY log"
        return ask(self._history, query, (known.id, day * DAY_SLOTS, (day + 1) * DAY_SLOTS))

    def _is_marked(self, streams: Sequence[Known], day: int) -> bool:
        """Tell whether a part of the day has still to be summed up."""
        query = "SELECT 1 FROM dirty WHERE stream = ? AND slot >= ? AND slot <= ? LIMIT 1"
        reach = (day * DAY_SLOTS - 1, (day + 1) * DAY_SLOTS)
        return any(ask(self._history, query, (known.id, *reach)) for known in streams)

    def _count(self, reason: str, n: int) -> None:
        query = (
            "INSERT INTO counter (name, reason, n) VALUES ('compacted', ?, ?)"
            " ON CONFLICT (name, reason) DO UPDATE SET n = n + excluded.n"
        )
        self._history.execute(query, (reason, n))


def _joined(rows: Sequence[Kept]) -> Iterator[tuple[Any, list[int], list[list[int | None]]]]:
    """Yield (stream, times, columns of signed integers) of runs of rows that are read alike, in the order of time."""
    values = {id(kept.part): list(map(frame.undelta, kept.part.entry.columns)) for kept in rows}
    single = sorted((kept.part.times[row], at, row) for at, kept in enumerate(rows) for row in kept.rows)
    stream: Any = None
    times: list[int] = []
    columns: list[list[int | None]] = []
    for time, at, row in single:
        part = rows[at].part
        if part.stream != stream:
            if times:
                yield stream, times, columns
            stream, times, columns = part.stream, [], [[] for _ in part.stream.points]
        times.append(time)
        for column, found in zip(columns, values[id(part)], strict=True):
            column.append(found[row])
    if times:
        yield stream, times, columns
