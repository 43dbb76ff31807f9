"""Frames into their logs: duplicates, holes, equivocation, and how far a log may be acknowledged."""

from collections.abc import Iterator, Sequence
from typing import Any

import apsw

from wattness.model import Ack, Verified
from wattwire import frame

from . import equivocation
from .board import BoardState, Held, Log
from .removal import is_gone
from .schema import ask, write_rows
from .tally import Tally

CONFLICTS_MAX = 100  # kept per board: two sides are proof enough, the rest is only counted

_INSERT = "INSERT INTO frame (board_id, log, seq, kind, boot, up, unix, received_ms, hash, raw) VALUES {rows}"
_LOG = ("head", "top", "frames", "folded", "boot", "up", "hash", "waiting", "since_ms", "moved_ms", "received_ms")
_UPSERT_LOG = (
    f"INSERT INTO log (board_id, log, {', '.join(_LOG)}) VALUES {{rows}}"  # noqa: S608
    f" ON CONFLICT (board_id, log) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _LOG)}"
)


class Ledger:
    """Stores frames within the writer's transaction."""

    def __init__(self, connection: apsw.Connection, tally: Tally) -> None:
        """`tally` counts what is left out."""
        self._connection = connection
        self._tally = tally
        self._rows: list[tuple[Any, ...]] = []

    def put(self, state: BoardState, verified: Verified, received_ms: int) -> Ack | None:
        """Keep one frame; returns what to acknowledge, once `flush` and the commit are done."""
        record = verified.record
        log = state.log(record.log)
        seq = record.seq
        digest = verified.digest[: frame.HASH_SIZE]
        if seq <= log.top and self._is_known(state, verified, received_ms):
            return Ack(state.id, log.log, log.head) if log.head else None
        if not seq > log.top > 0 or log.log != state.newest:
            self.flush()
        kind = equivocation.find(self._connection, state, log, verified)
        if kind is not None:
            self.quarantine(state, f"{kind} log {log.log} seq {seq}")
        self._rows.append(
            (
                state.id,
                log.log,
                seq,
                record.kind,
                record.boot,
                record.up,
                record.unix,
                received_ms,
                digest,
                verified.raw,
            )
        )
        state.recent[log.log, seq] = Held(verified.raw, record, received_ms, verified.leaf)
        if seq <= log.folded or log.log < (state.folding or 0):
            self._tally.add("late", "frame")  # intervals have passed over it for good
        log.dirty = True
        log.frames += 1
        log.received_ms = received_ms
        if seq > log.top:
            log.top, log.boot, log.up, log.hash = seq, record.boot, record.up, digest
            state.newest = max(state.newest, log.log)
        if record.lost is not None:
            query = "INSERT INTO hole (board_id, log, first, last, declared_by) VALUES (?, ?, ?, ?, ?)"
            self._connection.execute(query, (state.id, log.log, *record.lost, seq))
        self._advance(state, log, seq)
        return Ack(state.id, log.log, log.head) if log.head else None

    def flush(self) -> None:
        """Write the frames of `put` that are still in memory."""
        if self._rows:
            rows, self._rows = self._rows, []
            write_rows(self._connection, _INSERT, rows)

    def forget(self) -> None:
        """Drop what was not written, after a roll-back."""
        self._rows.clear()

    def save(self, states: Sequence[BoardState]) -> None:
        """Write how far the logs have come."""
        rows = [log.row(state.id) for state in states for log in state.logs.values() if log.dirty]
        write_rows(self._connection, _UPSERT_LOG, rows)
        for state in states:
            for log in state.logs.values():
                log.dirty = False
            state.forget_logs()

    def quarantine(self, state: BoardState, reason: str) -> None:
        """Take a board's word for nothing any more, and its claims back where they were not sent yet."""
        if state.quarantined:
            return
        state.quarantined = True
        self._tally.add("equivocation", reason.partition(" ")[0])
        query = "UPDATE board SET state = 'quarantined', reason = ? WHERE id = ? AND state <> 'removed'"
        self._connection.execute(query, (reason, state.id))
        self._connection.execute(
            "UPDATE job SET state = 'discarded', reason = 'board_quarantined'"
            " WHERE board_id = ? AND state IN ('available', 'running', 'retryable') AND body IS NULL",
            (state.id,),
        )

    def _advance(self, state: BoardState, log: Log, seq: int) -> None:
        """Move the acknowledged head over what has become contiguous."""
        if seq == log.head + 1:
            log.head = seq
        while log.head < log.top:
            self.flush()
            log.head = self._contiguous(state, log)
            if log.head == log.top:
                return
            hole = state.hole_at(log.log, log.head + 1)
            if hole is None:
                return
            log.head = hole[0]

    def _contiguous(self, state: BoardState, log: Log) -> int:
        """Return the last frame that is held without a hole from the head on."""
        head: int = log.head
        query = "SELECT seq FROM frame WHERE board_id = ? AND log = ? AND seq > ? ORDER BY seq"
        held: Iterator[Any] = self._connection.execute(query, (state.id, log.log, head))
        for (seq,) in held:
            if seq != head + 1:
                break
            head = seq
        return head

    def _is_known(self, state: BoardState, verified: Verified, received_ms: int) -> bool:
        """Tell whether the position is taken: by a duplicate, or by another payload, which is then kept as well."""
        self.flush()
        record = verified.record
        position = (state.id, record.log, record.seq)
        digest = verified.digest[: frame.HASH_SIZE]
        query = "SELECT hash FROM frame WHERE board_id = ? AND log = ? AND seq = ?"
        rows = ask(self._connection, query, position)
        if not rows:
            if not is_gone(self._connection, *position):
                return False
            self._tally.add("duplicate", "removed_frame")
            return True
        if rows[0][0] == digest:
            self._tally.add("duplicate", "frame")
            return True
        self.quarantine(state, f"conflict log {record.log} seq {record.seq}")
        kept = ask(self._connection, "SELECT count(*) FROM conflict WHERE board_id = ?", position[:1])
        if kept[0][0] < CONFLICTS_MAX:
            query = (
                "INSERT OR IGNORE INTO conflict (board_id, log, seq, hash, received_ms, raw) VALUES (?, ?, ?, ?, ?, ?)"
            )
            self._connection.execute(query, (*position, digest, received_ms, verified.raw))
        else:
            self._tally.add("dropped", "conflicts_full")
        return True
