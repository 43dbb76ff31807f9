"""What the outbox holds for one network, read beside whoever writes it."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import apsw
import msgspec

from wattness.errors import StoreError
from wattness.model import Job, Report
from wattness.quality import QUARANTINED, UNPROVABLE

from .claims import key_of
from .outbox import WAITING, job_of, reports_of
from .schema import connect_to_read
from .settings import Wants

T = TypeVar("T")

SLOT_JOBS_MAX = 1000  # reports of one slot; a network gets one of each stream or board
LOOK_BACK_MAX = 10_000  # intervals among which the newest that a network takes is looked for

_SLOTS = """
SELECT job.id, coalesce(begin_ms, a), coalesce(end_ms, b), state, reason, receipt
  FROM job JOIN interval ON interval.id = interval_id
"""
_SLOT = f"{_SLOTS} WHERE network = ?1 AND coalesce(begin_ms, a) = ?2 ORDER BY job.id LIMIT {SLOT_JOBS_MAX}"
_NEWEST = """
SELECT coalesce(begin_ms, a) FROM job JOIN interval ON interval.id = interval_id
 WHERE network = ?1 AND coalesce(end_ms, b) <= ?2 ORDER BY 1 DESC LIMIT 1
"""
_AT = """
SELECT coalesce(begin_ms, a) FROM job JOIN interval ON interval.id = interval_id
 WHERE network = ?1 AND coalesce(begin_ms, a) <= ?2 AND coalesce(end_ms, b) > ?2 LIMIT 1
"""
_INTERVALS = f"""
SELECT interval.id, stream_id, device, board_key, a, b, interval.role, verdict, reasons
  FROM interval JOIN stream ON stream.id = stream_id JOIN board ON board.id = stream.board_id
 WHERE ?1 IS NULL OR a <= ?1 AND b > ?1 ORDER BY a DESC LIMIT {LOOK_BACK_MAX}
"""  # noqa: S608
_WITHIN = """
SELECT interval.id, stream_id, device, board_key, a, b, interval.role, verdict, reasons
  FROM interval JOIN stream ON stream.id = stream_id JOIN board ON board.id = stream.board_id
 WHERE a >= ?1 AND a < ?2 ORDER BY a
"""


class Slot(NamedTuple):
    """A report that is made, or could be."""

    begin: int  # UTC unix ms
    end: int
    state: str  # of its job; "" while there is none
    reason: str
    receipt: str | None
    job: Job  # number 0 while there is none


class Found(NamedTuple):
    """A final interval, as the networks' settings look at it."""

    id: int
    stream_id: int
    device: str
    board_key: bytes
    a: int
    b: int
    role: str
    verdict: str
    reasons: str


class Last(NamedTuple):
    """What became of reports."""

    receipt: str | None  # of the newest that was taken
    end: int | None  # where its slot ended, UTC unix ms
    refused: dict[str, int]  # by reason


class Outgoing:
    """Synchronous queries over one read-only connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Use `open_outgoing`."""
        self._connection = connection

    def signed_unsent(self, network: str) -> int:
        """Return how many reports are signed and not yet taken or refused."""
        query = f"SELECT count(*) FROM job WHERE network = ? AND {WAITING} AND body IS NOT NULL"  # noqa: S608
        return int(self._rows(query, network)[0][0])

    def last(self, network: str) -> Last:
        """Return what was taken last, and why reports were given up."""
        query = (
            "SELECT receipt, coalesce(end_ms, b) FROM job JOIN interval ON interval.id = interval_id"
            " WHERE network = ? AND state = 'completed' ORDER BY job.id DESC LIMIT 1"
        )
        receipt, end = next(iter(self._rows(query, network)), (None, None))
        query = "SELECT reason, count(*) FROM job WHERE network = ? AND state = 'discarded' GROUP BY 1 ORDER BY 1"
        return Last(receipt, end, dict(self._rows(query, network)))

    def slots(self, wants: Wants, now_ms: int, at_ms: int | None = None) -> list[Slot]:
        """Return the reports of the newest slot that is over, or of that around `at_ms`: jobs, else what would be."""
        query = (_NEWEST, now_ms) if at_ms is None else (_AT, at_ms)
        newest = self._rows(query[0], wants.network, query[1])
        if not newest:
            return self._would_be(wants, at_ms)
        return [
            Slot(begin, end, state, reason, receipt, self._job(job_id))
            for job_id, begin, end, state, reason, receipt in self._rows(_SLOT, wants.network, newest[0][0])
        ]

    def _would_be(self, wants: Wants, at_ms: int | None) -> list[Slot]:
        """Return what a network that has no jobs yet would have got, had it been there."""
        newest = next((found for found in self._intervals(wants, _INTERVALS, at_ms)), None)
        if newest is None:
            return []
        begin, end = newest.a, newest.b
        if wants.window_ms:
            begin -= begin % wants.window_ms
            end = begin + wants.window_ms
        slots: dict[object, list[int]] = {}
        for found in self._intervals(wants, _WITHIN, begin, end):
            slots.setdefault(found.board_key if wants.scope == "board" else found.stream_id, []).append(found.id)
        return [self._unmade(wants, begin, end, ids) for ids in slots.values()]

    def _unmade(self, wants: Wants, begin: int, end: int, ids: Sequence[int]) -> Slot:
        reports = self._reports(ids)
        first = reports[0]
        place = f"{first.board_key.hex()}/{'*' if wants.scope == 'board' else first.device}"
        turn = {"none": None, "stream": place, "network": ""}[wants.serial]
        job = Job(
            0,
            wants.network,
            key_of(wants, place, begin),
            reports,
            end,
            0,
            None,
            self._memory(wants.network, turn),
            turn,
        )
        return Slot(begin, end, "", "", None, job)

    def _memory(self, network: str, turn: str | None) -> dict[str, int | str]:
        rows = self._rows("SELECT value FROM memory WHERE network = ? AND turn = ?", network, turn)
        return msgspec.json.decode(rows[0][0], type=dict[str, int | str]) if rows else {}

    def _intervals(self, wants: Wants, query: str, *bindings: Any) -> Iterator[Found]:
        for found in map(Found._make, self._rows(query, *bindings)):
            is_claimable = found.verdict != QUARANTINED and UNPROVABLE.isdisjoint(json.loads(found.reasons))
            if is_claimable and wants.takes(found.role, found.device, found.board_key):
                yield found

    def _job(self, job_id: int) -> Job:
        return self._guarded(lambda: job_of(self._connection, job_id))

    def _reports(self, ids: Sequence[int]) -> tuple[Report, ...]:
        bindings = (json.dumps(list(ids)),)
        return self._guarded(lambda: reports_of(self._connection, "SELECT value FROM json_each(?)", bindings))

    def _rows(self, query: str, *bindings: Any) -> list[Any]:
        return self._guarded(lambda: list(self._connection.execute(query, bindings)))

    @staticmethod
    def _guarded(query: Callable[[], T]) -> T:
        try:
            return query()
        except apsw.Error as error:
            raise StoreError(f"The database cannot be read: {error}; see `wattness db check`.") from error


@contextmanager
def open_outgoing(path: Path) -> Iterator[Outgoing]:
    """Open a read-only connection to the database at `path`. Raises StoreError when there is none."""
    connection = connect_to_read(path)
    try:
        yield Outgoing(connection)
    finally:
        connection.close()
