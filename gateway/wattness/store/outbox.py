"""The outbox: one job per report and network, a state machine in SQL that forgets nothing."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import apsw
import msgspec

from wattness.errors import RefusedError
from wattness.model import Job, Receipt, Report, Reward

from .refit import forget_removed, refit
from .schema import ask
from .settings import Settings, Wants
from .turns import Turns
from .writer import Writer

T = TypeVar("T")

REMOVED_AGE_MS = 30 * 86_400_000

WAITING = "state IN ('available', 'running', 'retryable')"  # as the index job_due has it
_LEASE = f"""
UPDATE job SET state = 'running', attempt = attempt + 1, due_ms = :now + :lease
 WHERE id IN (SELECT id FROM job WHERE network = :network AND due_ms <= :now AND {WAITING}
               ORDER BY due_ms, id LIMIT :n)
RETURNING id
"""  # noqa: S608 — a running job is due again when its lease ends
_JOB = """
SELECT id, network, key, attempt, body, end_ms, turn,
       (SELECT value FROM memory WHERE memory.network = job.network AND memory.turn = job.turn)
  FROM job WHERE id = ?
"""
_REPORTS = """
SELECT board_key, device, interval.role, interval.profile, a, b, figures, evidence, root, verdict, reasons,
       interval.rated_w, provenance
  FROM interval JOIN stream ON stream.id = stream_id JOIN board ON board.id = stream.board_id
 WHERE interval.id IN ({})
 ORDER BY a, stream_id
"""
_OF_JOB = """
SELECT interval_id FROM job WHERE id = ?1 AND end_ms IS NULL UNION ALL SELECT interval_id FROM part WHERE job_id = ?1
"""


class Outbox:
    """Jobs of all networks. Due times and leases are real unix ms; every call is durable when it returns.

    available → running (lease) → completed | retryable (at `due_ms` it is leased again) | discarded.
    A lease that ran out makes its job available again. A job of a window is leased once all in it is final, one of a
    turn once those before it are settled. All calls raise StoreError when the disk does not take it.
    """

    def __init__(self, connection: apsw.Connection, writer: Writer, settings: Settings) -> None:
        """Write through the store's writer."""
        self._connection = connection
        self._writer = writer
        self._clock = settings.clock
        self._changed = asyncio.Event()
        final_after_ms = settings.interval.final_after_h * 3_600_000
        self._wants = {wants.network: wants for wants in settings.networks}
        self._turns = {
            wants.network: Turns(connection, wants, final_after_ms)
            for wants in settings.networks
            if not wants.is_simple()
        }

    async def lease(self, network: str, limit: int, lease_ms: int) -> list[Job]:
        """Take up to `limit` due jobs, the longest due first; each is ours for `lease_ms`."""
        values = {"network": network, "n": limit, "lease": lease_ms, "now": self._clock.real_ms_now()}
        turns = self._turns.get(network)
        return await self._writer.run(lambda: self._lease(values) if turns is None else self._take(turns, values))

    async def release(self, network: str) -> None:
        """Make jobs due again that an earlier life of this process had leased; called before the first lease.

        Reports that were begun for other settings, and are not signed, are given up.
        """
        await self._writer.run(lambda: self._release(self._wants.get(network, Wants(network))))

    async def set_body(self, job_id: int, body: bytes, memory: Mapping[str, int | str] | None = None) -> bytes:
        """Persist the signed bytes, and what the adapter must remember with them, before they are sent.

        Returns the bytes to send: the first ever set. Raises RefusedError when the report was given up meanwhile.
        """
        kept, reason = await self._writer.run(lambda: self._set_body(job_id, body, memory))
        if kept is None:
            raise RefusedError(reason)
        return kept

    async def redo(self, job_id: int, memory: Mapping[str, int | str], due_ms: int, reason: str) -> None:
        """Drop signed bytes that the network never took, to make them anew with another memory."""
        await self._writer.run(lambda: self._redo(job_id, memory, due_ms, reason))

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
        turns = self._turns.get(network)
        if turns is not None:
            return await self._writer.run(lambda: turns.next_due(self._clock.now_ms()))
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

    async def forget_removed(self) -> int:
        """Give up what waits for a network that is configured no more, a month after; returns how many reports.

        Until then it would go on where it stopped. What waits keeps its evidence on the disk.
        """
        before_ms = self._clock.now_ms() - REMOVED_AGE_MS
        return await self._writer.run(lambda: forget_removed(self._connection, list(self._wants), before_ms))

    def announce(self) -> None:
        """Wake those who wait for jobs; called in the loop's thread after a commit."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _lease(self, values: dict[str, Any]) -> list[Job]:
        found = sorted(row[0] for row in self._connection.execute(_LEASE, values))
        return [job_of(self._connection, job_id) for job_id in found]

    def _take(self, turns: Turns, values: dict[str, Any]) -> list[Job]:
        query = "UPDATE job SET state = 'running', attempt = attempt + 1, due_ms = ? WHERE id = ?"
        found = turns.due(values["now"], self._clock.now_ms(), values["n"])
        for job_id in found:
            self._connection.execute(query, (values["now"] + values["lease"], job_id))
        return [job_of(self._connection, job_id) for job_id in found]

    def _release(self, wants: Wants) -> None:
        query = "UPDATE job SET state = 'retryable', due_ms = 0 WHERE network = ? AND state = 'running'"
        self._connection.execute(query, (wants.network,))
        refit(self._connection, wants)

    def _set_body(self, job_id: int, body: bytes, memory: Mapping[str, int | str] | None) -> tuple[bytes | None, str]:
        query = "SELECT body, network, turn, state, reason FROM job WHERE id = ?"
        found, network, turn, state, reason = ask(self._connection, query, (job_id,))[0]
        if found is not None:
            return bytes(found), ""
        if state == "discarded":
            return None, reason
        self._connection.execute("UPDATE job SET body = ? WHERE id = ?", (body, job_id))
        if memory is not None and turn is not None:
            self._remember(network, turn, memory)
        return body, ""

    def _redo(self, job_id: int, memory: Mapping[str, int | str], due_ms: int, reason: str) -> None:
        query = (
            "UPDATE job SET body = NULL, state = 'retryable', due_ms = ?, reason = ? WHERE id = ? AND state = 'running'"
            " RETURNING network, turn"
        )
        for network, turn in ask(self._connection, query, (due_ms, reason, job_id)):
            if turn is not None:
                self._remember(network, turn, memory)

    def _remember(self, network: str, turn: str, memory: Mapping[str, int | str]) -> None:
        query = "INSERT OR REPLACE INTO memory (network, turn, value) VALUES (?, ?, ?)"
        self._connection.execute(query, (network, turn, msgspec.json.encode(dict(memory)).decode()))

    def _insert(self, query: str, rows: list[tuple[Any, ...]]) -> int:
        new = 0
        for row in rows:
            self._connection.execute(query, row)
            new += self._connection.changes()
        return new

    async def _run(self, query: str, bindings: tuple[Any, ...], result: Callable[[list[Any]], T] = len) -> T:  # type: ignore[assignment]
        return await self._writer.run(lambda: result(ask(self._connection, query, bindings)))


def job_of(connection: apsw.Connection, job_id: int) -> Job:
    """Return one job with the intervals that it speaks of, and what its adapter remembers."""
    *head, end_ms, turn, memory = ask(connection, _JOB, (job_id,))[0]
    job_id, network, key, attempt, body = head
    reports = reports_of(connection, _OF_JOB, (job_id,))
    remembered = {} if memory is None else msgspec.json.decode(memory)
    return Job(job_id, network, key, reports, end_ms or reports[-1].b, attempt, body, remembered, turn)


def reports_of(connection: apsw.Connection, ids: str, bindings: Sequence[Any]) -> tuple[Report, ...]:
    """Return the intervals that a query of `ids` names, ascending."""
    return tuple(_report(*row) for row in ask(connection, _REPORTS.format(ids), bindings))


def _report(  # noqa: PLR0913, PLR0917 — a row
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
) -> Report:
    return Report(
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
