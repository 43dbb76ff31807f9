"""Does a new frame fit what its board said before: boot and up rise, the chain holds, old logs rest (wire.md §1)."""

from typing import Any, NamedTuple

import apsw

from wattness.model import Verified
from wattwire import frame

from .board import BoardState, Log, read
from .schema import ask


class _Neighbour(NamedTuple):
    log: int
    seq: int
    boot: int
    up: int
    hash: bytes
    raw: bytes

    @property
    def when(self) -> tuple[int, int]:
        return self.boot, self.up


def find(connection: apsw.Connection, state: BoardState, log: Log, verified: Verified) -> str | None:
    """Return the kind of equivocation that a new frame proves: order, fork or late_growth; None for none."""
    record = verified.record
    digest = verified.digest[: frame.HASH_SIZE]
    if record.seq > log.top > 0 and log.log == state.newest:  # the usual case needs no query
        rises = (record.boot, record.up) > (log.boot, log.up)
        follows = record.seq != log.top + 1 or record.prev == log.hash or not log.hash  # lost with a damaged file
    else:
        before = _neighbour(connection, state.id, record, "<", "DESC")
        after = _neighbour(connection, state.id, record, ">", "ASC")
        rises = _rises(before, record, after)
        follows = _follows(before, record, digest, after)
        if _grows_late(state, record, log, after):
            return "late_growth"
    if not rises:
        return "order"
    if not follows:
        return "fork"
    if record.seq == 1 and record.kind == frame.KIND_STREAMS and record.body.previous is not None:
        return _belies(state, record.log - 1, *record.body.previous)
    return None


def _rises(before: _Neighbour | None, record: Any, after: _Neighbour | None) -> bool:
    when = (record.boot, record.up)
    return (before is None or before.when < when) and (after is None or when < after.when)


def _follows(before: _Neighbour | None, record: Any, digest: bytes, after: _Neighbour | None) -> bool:
    if before is not None and (before.log, before.seq) == (record.log, record.seq - 1) and before.hash != record.prev:
        return False
    is_next = after is not None and (after.log, after.seq) == (record.log, record.seq + 1)
    return after is None or not is_next or read(after.raw).prev == digest


def _grows_late(state: BoardState, record: Any, log: Log, after: _Neighbour | None) -> bool:
    """Tell whether a log goes on behind the end that a later log has named."""
    if after is None or after.log == record.log:
        return False
    first = state.get(after.log, 1)
    if first is None or first.record.kind != frame.KIND_STREAMS:
        return False
    previous = first.record.body.previous
    end: int = log.top if previous is None or after.log != record.log + 1 else previous[0]
    return bool(record.seq > end)


def _belies(state: BoardState, log: int, seq: int, last: bytes) -> str | None:
    """Return what a new log's word about the end of the one before it contradicts."""
    before = state.log(log)
    if before.top > seq:
        return "late_growth"
    held = state.get(log, seq) if seq else None
    if held is None or last in {held.record.prev, before.hash}:
        return None
    return "fork"


def _neighbour(connection: apsw.Connection, board_id: int, record: Any, side: str, direction: str) -> _Neighbour | None:
    query = (
        "SELECT log, seq, boot, up, hash, raw FROM frame"  # noqa: S608 — side and direction are ours
        f" WHERE board_id = ? AND (log, seq) {side} (?, ?) ORDER BY log {direction}, seq {direction} LIMIT 1"
    )
    rows = ask(connection, query, (board_id, record.log, record.seq))
    return _Neighbour(*rows[0]) if rows else None
