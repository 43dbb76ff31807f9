"""Frames into history: a pass of its own that follows the store, in small steps, and corrects what late frames change.

Each step is one transaction that moves its own mark, so that it can end at any moment. What is written follows from the
frames (and chunks) that are held, whatever the order in which they came: a frame marks the quarters of an hour that it
touches, and those are summed up from all their rows.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import apsw

from wattwire.interval import JOIN_MS_MAX

from .corrections import Corrections, read_fixes
from .recall import FRAME_COLUMNS, KNOWN, SLOT_MS, Known, Part, Recall, Rows
from .retention import Retention
from .schema import ask
from .sums import Sums, leading_point, minutes_of

FRAMES_PER_STEP = 256
SLOTS_PER_STEP = 64
INTERVALS_PER_STEP = 2000
WAITING_PER_STEP = 256

_NEW = (
    f"SELECT frame.id, kind, {FRAME_COLUMNS.replace(', raw', '')}, CASE kind WHEN 2 THEN raw END, board_key"  # noqa: S608
    " FROM frame JOIN board ON board.id = board_id WHERE frame.id > ? ORDER BY frame.id LIMIT ?"
)
_WAITING = (
    f"SELECT {FRAME_COLUMNS}, board_key FROM frame JOIN board ON board.id = board_id"  # noqa: S608
    " WHERE board_id = ? AND log = ? AND seq = ?"
)
_SPAN = (
    "INSERT INTO span (stream, slot, log, first, last) VALUES (?1, ?2, ?3, ?4, ?4)"
    " ON CONFLICT (stream, slot, log) DO UPDATE SET first = min(first, ?4), last = max(last, ?4)"
)
_JUDGED = (
    "INSERT INTO judged (stream, step, at, accepted, flagged, quarantined) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (stream, step, at) DO UPDATE SET accepted = accepted + excluded.accepted,"
    " flagged = flagged + excluded.flagged, quarantined = quarantined + excluded.quarantined"
)
_INTERVALS = (
    "SELECT interval.id, board_key, device, a, verdict, stream.role FROM interval JOIN stream ON stream.id = stream_id"
    " JOIN board ON board.id = board_id WHERE interval.id > ? ORDER BY interval.id LIMIT ?"
)


class Historian:
    """Follows one store; several may work on one history, each step takes its turn to write."""

    def __init__(self, store: apsw.Connection, history: apsw.Connection, future_ms: int) -> None:
        """`store` is read only; `future_ms` is how far ahead of its arrival a row may be."""
        self._store, self._history = store, history
        self.recall = Recall(store, history, future_ms, Corrections())
        self._name: int = 0
        self._future_ms = future_ms
        self._sums = Sums(history)

    def step(self) -> bool:
        """Do a little of what there is to do; tells whether there may be more."""
        with self._history, self._store:  # one state of the store for the whole step
            self._begin()
            more = self._follow()
            more |= self._look_again()
            more |= self._sum_up()
            more |= self._count_verdicts()
        return more

    def retire(self, now_ms: int, *, raw_ms: int, proof_ms: int) -> bool:
        """Put a day that is old enough into chunks; tells whether there may be another one."""
        return Retention(self._store, self._history, self.recall, raw_ms=raw_ms, proof_ms=proof_ms).step(now_ms)

    def known(self, where: str = "", *bindings: Any) -> list[Known]:
        """Return streams of the history."""
        return [Known(*row) for row in ask(self._history, KNOWN + where, bindings)]

    def _begin(self) -> None:
        """Notice another store, and corrections that somebody has applied."""
        name: Any = self._store.pragma("application_id")
        if name != self._name:
            self.recall.forget()
            self._name = name
        if not ask(self._history, "SELECT 1 FROM source WHERE store = ?", (name,)):
            # Frames of a store that is gone cannot be summed up again: what is known of their time stays.
            self._history.execute("UPDATE stream SET floor_ms = max(floor_ms, last_ms)")
            self._history.execute("DELETE FROM waiting; DELETE FROM span; DELETE FROM dirty; DELETE FROM removable")
            self._history.execute("INSERT INTO source (store) VALUES (?)", (name,))
        fixes = read_fixes(self._history)
        if fixes != self.recall.corrections.fixes:
            self.recall = Recall(self._store, self._history, self._future_ms, Corrections(fixes))

    def _follow(self) -> bool:
        """Take frames that came since."""
        (after,) = ask(self._history, "SELECT frame FROM source WHERE store = ?", (self._name,))[0]
        rows = ask(self._store, _NEW, (after, FRAMES_PER_STEP))
        for frame_id, kind, *row, board_key in rows:
            after = frame_id
            if kind == 2:
                self._take(row, board_key)
        if rows:
            self._history.execute("UPDATE source SET frame = ? WHERE store = ?", (after, self._name))
        return len(rows) == FRAMES_PER_STEP

    def _take(self, row: Sequence[Any], board_key: bytes) -> bool:
        """Note what a rows frame touches, or that nobody can read it yet."""
        parts = self.recall.parts(row)
        board_id, log, seq, boot = row[:4]
        if parts is None:
            query = "INSERT OR IGNORE INTO waiting (board_id, log, boot, seq) VALUES (?, ?, ?, ?)"
            self._history.execute(query, (board_id, log, boot, seq))
            return False
        for part in parts:
            self._touch(self._know(board_key, part), part)
        return True

    def _touch(self, stream: int, part: Part) -> None:
        slots: set[int] = set()
        for slot, times in groupby(part.times, key=lambda at: at // SLOT_MS):
            self._history.execute(_SPAN, (stream, slot, part.log, part.seq))
            within = [at % SLOT_MS for at in times]
            slots.add(slot)
            if within[0] < JOIN_MS_MAX:
                slots.add(slot - 1)
            if within[-1] >= SLOT_MS - JOIN_MS_MAX:
                slots.add(slot + 1)
        self._history.executemany(
            "INSERT OR IGNORE INTO dirty (stream, slot) VALUES (?, ?)", [(stream, slot) for slot in slots if slot >= 0]
        )

    def _know(self, board_key: bytes, part: Part) -> int:
        """Return the number of a part's stream, and note where its frames stand."""
        first, last, position = part.times[0], part.times[-1], (part.log, part.seq)
        query = "SELECT id, last_ms, top_log, top_seq, leading FROM stream WHERE board_key = ? AND device = ?"
        found = ask(self._history, query, (board_key, part.device))
        leading = leading_point(part.read_as)
        if not found:
            query = (
                "INSERT INTO stream (board_key, device, role, leading, first_ms, last_ms, top_log, top_seq)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id"
            )
            values = (board_key, part.device, part.stream.role, leading, first, last, *position)
            stream: int = ask(self._history, query, values)[0][0]
            return stream
        stream, last_ms, *top, told = found[0]
        in_order = position > tuple(top) and first > last_ms
        if not in_order and position != tuple(top) and self._is_entangled(stream, part):
            self._history.execute("UPDATE stream SET is_tangled = 1 WHERE id = ?", (stream,))
            self._disturb(stream, part)
        self._history.execute(
            "UPDATE stream SET role = ?, leading = ?, first_ms = min(first_ms, ?), last_ms = max(last_ms, ?),"
            " top_log = ?, top_seq = ? WHERE id = ?",
            (part.stream.role, leading or told, first, last, *max(position, tuple(top)), stream),
        )
        return stream

    def _is_entangled(self, stream: int, part: Part) -> bool:
        """Tell whether earlier frames have later rows than this part, or later frames earlier ones."""
        slots = (part.times[0] // SLOT_MS, part.times[-1] // SLOT_MS)
        position = (part.log, part.seq)
        earlier = "SELECT 1 FROM span WHERE stream = ? AND slot > ? AND (log, first) < (?, ?) LIMIT 1"
        later = "SELECT 1 FROM span WHERE stream = ? AND slot < ? AND (log, last) > (?, ?) LIMIT 1"
        return bool(
            ask(self._history, earlier, (stream, slots[0], *position))
            or ask(self._history, later, (stream, slots[1], *position))
        )

    def _disturb(self, stream: int, part: Part) -> None:
        """Mark what later frames have written before the end of this part: those rows do not count any more."""
        self._history.execute(
            "INSERT OR IGNORE INTO dirty (stream, slot) SELECT stream, slot FROM span"
            " WHERE stream = ? AND slot <= ? AND (log, last) > (?, ?)",
            (stream, part.times[-1] // SLOT_MS, part.log, part.seq),
        )

    def _look_again(self) -> bool:
        """Take frames that could not be read when they came."""
        groups = ask(self._history, "SELECT DISTINCT board_id, log, boot FROM waiting LIMIT 1000")
        taken = 0
        for group in groups:
            query = "SELECT seq FROM waiting WHERE board_id = ? AND log = ? AND boot = ? ORDER BY seq LIMIT ?"
            for (seq,) in ask(self._history, query, (*group, WAITING_PER_STEP)):
                rows = ask(self._store, _WAITING, (*group[:2], seq))
                if rows and not self._take(rows[0][:-1], rows[0][-1]):
                    break
                query_gone = "DELETE FROM waiting WHERE board_id = ? AND log = ? AND boot = ? AND seq = ?"
                self._history.execute(query_gone, (*group, seq))
                taken += 1
            if taken >= WAITING_PER_STEP:
                return True
        return False

    def _sum_up(self) -> bool:
        """Sum up marked quarters of an hour, and the hours and days that hold them."""
        marked = ask(self._history, "SELECT stream, slot FROM dirty ORDER BY stream, slot LIMIT ?", (SLOTS_PER_STEP,))
        for stream, slots in groupby(marked, key=lambda row: row[0]):
            known = self.known("WHERE id = ?", stream)[0]
            remembered: dict[int, Rows] = {}
            for _, slot in slots:
                self._sum_slot(known, slot, remembered)
        if marked:
            self._history.execute("DELETE FROM dirty WHERE (stream, slot) <= (?, ?)", marked[-1])
        self._sums.finish()
        return len(marked) == SLOTS_PER_STEP

    def _sum_slot(self, known: Known, slot: int, remembered: dict[int, Rows]) -> None:
        for near in (slot - 1, slot, slot + 1):
            if near not in remembered:
                remembered[near] = self.recall.rows(known, near)
        for gone in [near for near in remembered if near < slot - 1]:
            del remembered[gone]
        rows = [remembered[near] for near in (slot - 1, slot, slot + 1)]
        self._sums.write(known, slot, minutes_of(rows, slot))

    def _count_verdicts(self) -> bool:
        """Count intervals that became final since."""
        (after,) = ask(self._history, "SELECT interval FROM source WHERE store = ?", (self._name,))[0]
        rows = ask(self._store, _INTERVALS, (after, INTERVALS_PER_STEP))
        for *_, board_key, device, a, verdict, role in rows:
            stream = self._know_by_name(board_key, device, role, a)
            counts = [int(verdict == name) for name in ("accepted", "flagged", "quarantined")]
            self._history.executemany(
                _JUDGED, [(stream, step, a // (step * 1000), *counts) for step in (300, 3600, 86_400)]
            )
        if rows:
            self._history.execute("UPDATE source SET interval = ? WHERE store = ?", (rows[-1][0], self._name))
        return len(rows) == INTERVALS_PER_STEP

    def _know_by_name(self, board_key: bytes, device: str, role: str, a: int) -> int:
        query = (
            "INSERT INTO stream (board_key, device, role, leading, first_ms, last_ms) VALUES (?, ?, ?, 'power', ?, ?)"
            " ON CONFLICT (board_key, device) DO UPDATE SET role = role RETURNING id"
        )
        stream: int = ask(self._history, query, (board_key, device, role, a, a))[0][0]
        return stream
