"""Which job of a window, or of an order, is next: when all in it is final, and what came before it is settled."""

import json
from collections.abc import Iterator
from typing import Any

import apsw

from .schema import ask
from .settings import Wants

LATE_MS = 3_600_000  # a stream that is silent is waited for so much longer than its intervals would be

_WAITING = "state IN ('available', 'running', 'retryable')"  # as the indices have it
_OF_TURN = f"network = :network AND turn = :turn AND turn IS NOT NULL AND {_WAITING}"
_CONCERNED = """
stream.board_id = job.board_id AND (job.stream = stream.id OR job.stream IS NULL
  AND (:roles IS NULL OR role IN (SELECT value FROM json_each(:roles)))
  AND (:devices IS NULL OR EXISTS (SELECT 1 FROM json_each(:devices) JOIN board ON board.id = stream.board_id
                                    WHERE value IN (device, substr(lower(hex(board_key)), 1, 16) || '/' || device))))
"""
_READY = f"""
(body IS NOT NULL OR end_ms <= :civil AND (
  EXISTS (SELECT 1 FROM stream WHERE open_ms >= end_ms AND {_CONCERNED})
    AND NOT EXISTS (SELECT 1 FROM stream WHERE open_ms < end_ms AND due_ms IS NOT NULL AND {_CONCERNED})
  OR end_ms <= :late AND (SELECT max(final_ms) FROM part JOIN interval ON interval.id = interval_id
                           WHERE job_id = job.id) <= :quiet))
"""  # noqa: S608 - constants
_CHOSEN = "SELECT id, due_ms FROM job WHERE "
_IN_WINDOWS = f"{_CHOSEN} network = :network AND {_WAITING} AND {_READY} ORDER BY due_ms, id LIMIT :n"
_BEGUN = f"{_CHOSEN} {_OF_TURN} AND (state = 'running' OR body IS NOT NULL) ORDER BY begin_ms, id LIMIT 1"
_FIRST = f"{_CHOSEN} {_OF_TURN} AND {_READY} ORDER BY begin_ms, id LIMIT 1"
_TURNS = f"SELECT min(turn) FROM job WHERE network = ? AND turn {{}} ? AND turn IS NOT NULL AND {_WAITING}"  # noqa: S608


class Turns:
    """Finds the next jobs of one network that wants windows or an order."""

    def __init__(self, connection: apsw.Connection, wants: Wants, final_after_ms: int) -> None:
        """`final_after_ms` after its end an interval waits no longer."""
        self._connection = connection
        self._is_serial = wants.serial != "none"
        self._final_after_ms = final_after_ms
        self._values: dict[str, Any] = {
            "network": wants.network,
            "roles": json.dumps(sorted(wants.roles)) if wants.roles else None,
            "devices": json.dumps(sorted(wants.devices)) if wants.devices else None,
        }

    def due(self, now_ms: int, civil_ms: int, limit: int) -> list[int]:
        """Return up to `limit` jobs that may be leased at a real time."""
        due = []
        for job_id, due_ms in self._next(civil_ms, limit):
            if due_ms <= now_ms:
                due.append(job_id)
            if len(due) == limit:
                break
        return due

    def next_due(self, civil_ms: int) -> int | None:
        """Return the real time at which the next of them may be leased."""
        return min((due_ms for _, due_ms in self._next(civil_ms, 1)), default=None)

    def _next(self, civil_ms: int, limit: int) -> Iterator[tuple[int, int]]:
        late = civil_ms - self._final_after_ms - LATE_MS
        values = {**self._values, "civil": civil_ms, "late": late, "quiet": civil_ms - LATE_MS, "n": limit}
        if not self._is_serial:
            yield from ask(self._connection, _IN_WINDOWS, values)
            return
        for turn in self._waiting():
            one = {**values, "turn": turn}
            yield from ask(self._connection, _BEGUN, one) or ask(self._connection, _FIRST, one)

    def _waiting(self) -> Iterator[str]:
        """Yield the turns that have jobs, by one look at the index for each."""
        network = self._values["network"]
        turn = ask(self._connection, _TURNS.format(">="), (network, ""))[0][0]
        while turn is not None:
            yield turn
            turn = ask(self._connection, _TURNS.format(">"), (network, turn))[0][0]
