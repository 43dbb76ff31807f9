"""Jobs of the networks: which report each final interval belongs to, and the tables behind it."""

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from wattness.quality import QUARANTINED, UNPROVABLE

from .board import BoardState
from .schema import write_rows
from .settings import Wants
from .tally import Tally

_INSERT = "INSERT OR IGNORE INTO job (network, key, interval_id, board_id, created_ms) VALUES {rows}"
_INSERT_SLOT = (
    "INSERT OR IGNORE INTO job (network, key, interval_id, board_id, created_ms, stream, begin_ms, end_ms, turn)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_PART = (
    "INSERT INTO part (job_id, interval_id) SELECT id, ? FROM job WHERE network = ? AND key = ?"
    " AND body IS NULL AND state IN ('available', 'retryable')"
)


class Final(msgspec.Struct, frozen=True, gc=False):
    """An interval that has become final, as far as networks look at it before they take it."""

    id: int
    stream_id: int
    device: str
    role: str
    a: int
    b: int
    verdict: str
    reasons: Sequence[str]


class Claims:
    """Makes jobs within the writer's transaction: one per interval, or one per window and what is in it."""

    def __init__(self, connection: apsw.Connection, tally: Tally, networks: Sequence[Wants]) -> None:
        self._connection = connection
        self._tally = tally
        self._simple = [one for one in networks if one.is_simple()]
        self._others = [one for one in networks if not one.is_simple()]
        self._jobs: list[tuple[Any, ...]] = []
        self._slots: list[tuple[Any, ...]] = []

    def forget(self) -> None:
        """Drop what is not written."""
        self._jobs.clear()
        self._slots.clear()

    def add(self, state: BoardState, final: Final, now_ms: int) -> None:
        """Give an interval to every network that takes it, if it may be claimed."""
        if final.verdict == QUARANTINED or not UNPROVABLE.isdisjoint(final.reasons):
            return
        key = f"{state.key.hex()}/{final.device}/{final.a}"
        self._jobs += [
            (one.network, key, final.id, state.id, now_ms)
            for one in self._simple
            if one.takes(final.role, final.device, state.key)
        ]
        for one in self._others:
            if one.takes(final.role, final.device, state.key):
                self._slots.append(_slot(one, state, final, now_ms))

    def flush(self) -> None:
        """Write the jobs that are still in memory."""
        write_rows(self._connection, _INSERT, self._jobs)
        for slot in self._slots:
            self._connection.execute(_INSERT_SLOT, slot)
            network, key, interval_id = slot[:3]
            self._connection.execute(_INSERT_PART, (interval_id, network, key))
            if not self._connection.changes():
                self._tally.add("dropped", "interval_after_its_report")
        self.forget()


def _slot(wants: Wants, state: BoardState, final: Final, now_ms: int) -> tuple[Any, ...]:
    """Return the row of the job that an interval belongs to."""
    begin, end = final.a, final.b
    if wants.window_ms:
        begin -= begin % wants.window_ms
        end = begin + wants.window_ms
    stream, device = (None, "*") if wants.scope == "board" else (final.stream_id, final.device)
    place = f"{state.key.hex()}/{device}"
    turn = {"none": None, "stream": place, "network": ""}[wants.serial]
    return (wants.network, key_of(wants, place, begin), final.id, state.id, now_ms, stream, begin, end, turn)


def key_of(wants: Wants, place: str, begin: int) -> str:
    """Return the key of a slot's job; windows of other lengths, from before the settings changed, have other ones."""
    return f"{place}/{begin}/{wants.window_ms // 1000}" if wants.window_ms else f"{place}/{begin}"
