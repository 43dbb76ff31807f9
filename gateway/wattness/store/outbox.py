"""The outbox: one job per report and network, a state machine in SQL that forgets nothing."""

from collections.abc import Sequence

from wattness.model import Job, Receipt, Reward


class Outbox:
    """Jobs of all networks. Due times and leases are real unix ms; every call is durable when it returns.

    available → running (lease) → completed | retryable (at `due_ms` it is leased again) | discarded.
    A lease that ran out makes its job available again. All calls raise StoreError when the disk does not take it.
    """

    async def lease(self, network: str, limit: int, lease_ms: int) -> list[Job]:
        """Take up to `limit` due jobs, oldest interval first; each is ours for `lease_ms`."""
        raise NotImplementedError

    async def set_body(self, job_id: int, body: bytes) -> bytes:
        """Persist the signed bytes before they are sent; returns the bytes to send: the first ever set."""
        raise NotImplementedError

    async def complete(self, job_id: int, receipt: Receipt) -> None:
        """The network has answered: keep its receipt."""
        raise NotImplementedError

    async def retry(self, job_id: int, due_ms: int, reason: str) -> None:
        """Send the same bytes again at `due_ms`."""
        raise NotImplementedError

    async def discard(self, job_id: int, reason: str) -> None:
        """Never send this again."""
        raise NotImplementedError

    async def next_due(self, network: str) -> int | None:
        """Real unix ms at which the next job is due or a lease ends; None when nothing waits."""
        raise NotImplementedError

    async def wait(self, timeout_s: float) -> bool:
        """Sleep until new jobs were committed, or the time is over; True for new jobs."""
        raise NotImplementedError

    async def add_rewards(self, network: str, rewards: Sequence[Reward]) -> int:
        """Keep what a network paid; one row per (network, epoch, board key, device). Returns how many were new."""
        raise NotImplementedError
