"""The outbox: one job per report and network, a state machine in SQL that forgets nothing."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apsw
import msgspec

from wattness.clock import Clock
from wattness.model import Job, Receipt, Report, Reward

from .schema import ask
from .writer import Writer

T = TypeVar("T")

WAITING = "state IN ('available', 'running', 'retryable')"  # as the index job_due has it
_LEASE = f"""
UPDATE job SET state = 'running', attempt = attempt + 1, due_ms = :now + :lease
 WHERE id IN (SELECT id FROM job WHERE network = :network AND due_ms <= :now AND {WAITING}
               ORDER BY due_ms, id LIMIT :n)
RETURNING id
"""  # noqa: S608 — a running job is due again when its lease ends
_JOBS = """
SELECT job.id, network, key, attempt, body, board_key, device, interval.role, interval.profile, a, b, figures, evidence,
       root, verdict, reasons, interval.rated_w, provenance
  FROM job JOIN interval ON interval.id = interval_id JOIN stream ON stream.id = stream_id
  JOIN board ON board.id = job.board_id WHERE job.id = ?
"""


class Outbox:
    """Jobs of all networks. Due times and leases are real unix ms; every call is durable when it returns.

    available → running (lease) → completed | retryable (at `due_ms` it is leased again) | discarded.
    A lease that ran out makes its job available again. All calls raise StoreError when the disk does not take it.
    """

    def __init__(self, connection: apsw.Connection, writer: Writer, clock: Clock) -> None:
        """Write through the store's writer."""
        self._connection = connection
        self._writer = writer
        self._clock = clock
        self._changed = asyncio.Event()

    async def lease(self, network: str, limit: int, lease_ms: int) -> list[Job]:
        """Take up to `limit` due jobs, the longest due first; each is ours for `lease_ms`."""
        values = {"network": network, "n": limit, "lease": lease_ms, "now": self._clock.real_ms_now()}
        return await self._writer.run(lambda: self._lease(values))

    async def release(self, network: str) -> None:
        """Make jobs due again that an earlier life of this process had leased; called before the first lease."""
        await self._run(
            "UPDATE job SET state = 'retryable', due_ms = 0 WHERE network = ? AND state = 'running'", (network,)
        )

    async def set_body(self, job_id: int, body: bytes) -> bytes:
        """Persist the signed bytes before they are sent; returns the bytes to send: the first ever set."""
        query = "UPDATE job SET body = coalesce(body, ?) WHERE id = ? RETURNING body"
        return await self._run(query, (body, job_id), lambda rows: bytes(rows[0][0]))

    async def complete(self, job_id: int, receipt: Receipt) -> None:
        """The network has answered: keep its receipt."""
        query = (
            "UPDATE job SET state = 'completed', reason = '', receipt = ?, receipt_detail = ?"
            " WHERE id = ? AND state <> 'completed'"
        )
        await self._run(query, (receipt.id, msgspec.json.encode(receipt.detail).decode(), job_id))

    async def retry(self, job_id: int, due_ms: int, reason: str) -> None:
        """Send the same bytes again at `due_ms`."""
        query = "UPDATE job SET state = 'retryable', due_ms = ?, reason = ? WHERE id = ? AND state = 'running'"
        await self._run(query, (due_ms, reason, job_id))

    async def discard(self, job_id: int, reason: str) -> None:
        """Never send this again."""
        query = "UPDATE job SET state = 'discarded', reason = ? WHERE id = ? AND state <> 'completed'"
        await self._run(query, (reason, job_id))

    async def next_due(self, network: str) -> int | None:
        """Real unix ms at which the next job is due or a lease ends; None when nothing waits."""
        query = f"SELECT min(due_ms) FROM job WHERE network = ? AND {WAITING}"  # noqa: S608
        return await self._run(query, (network,), lambda rows: rows[0][0])

    async def wait(self, timeout_s: float) -> bool:
        """Sleep until new jobs were committed, or the time is over; True for new jobs."""
        changed = self._changed
        try:
            await asyncio.wait_for(changed.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def add_rewards(self, network: str, rewards: Sequence[Reward]) -> int:
        """Keep what a network paid; one row per (network, epoch, board key, device). Returns how many were new."""
        query = (
            "INSERT OR IGNORE INTO reward (network, epoch, board_key, device, amount, detail, received_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        now = self._clock.now_ms()
        rows = [(network, *paid[:4], msgspec.json.encode(paid.detail).decode(), now) for paid in rewards]
        return await self._writer.run(lambda: self._insert(query, rows))

    def announce(self) -> None:
        """Wake those who wait for jobs; called in the loop's thread after a commit."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _lease(self, values: dict[str, Any]) -> list[Job]:
        ids = sorted(row[0] for row in self._connection.execute(_LEASE, values))
        return [_job(*ask(self._connection, _JOBS, (job_id,))[0]) for job_id in ids]

    def _insert(self, query: str, rows: list[tuple[Any, ...]]) -> int:
        new = 0
        for row in rows:
            self._connection.execute(query, row)
            new += self._connection.changes()
        return new

    async def _run(self, query: str, bindings: tuple[Any, ...], result: Callable[[list[Any]], T] = len) -> T:  # type: ignore[assignment]
        return await self._writer.run(lambda: result(ask(self._connection, query, bindings)))


def _job(  # noqa: PLR0913, PLR0917 — a row
    job_id: int,
    network: str,
    key: str,
    attempt: int,
    body: bytes | None,
    board_key: bytes,
    device: str,
    role: str,
    profile: str,
    a: int,
    b: int,
    figures: str,
    evidence: str,
    root: bytes,
    verdict: str,
    reasons: str,
    rated_w: int | None,
    provenance: str,
) -> Job:
    report = Report(
        board_key=board_key,
        device=device,
        role=role,
        profile=profile,
        a=a,
        b=b,
        figures=msgspec.json.decode(figures),
        evidence=msgspec.json.decode(evidence),
        root=root,
        verdict=verdict,
        reasons=msgspec.json.decode(reasons),
        rated_w=rated_w,
        provenance=provenance,
    )
    return Job(job_id, network, key, (report,), b, attempt, body)
