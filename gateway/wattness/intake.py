"""Frames from any source to the store: bounded queue, batches, verified on all cores, acknowledged after the commit."""

from collections.abc import Awaitable, Callable, Sequence

from wattness.model import Ack, Arrival
from wattness.store.sqlite import SqliteStore
from wattness.verify import Verifier

QUEUE_FRAMES_MAX = 4096


class Intake:
    """Takes arrivals, never blocks its callers, and tells the boards what is on disk."""

    def __init__(
        self, store: SqliteStore, verifier: Verifier, acknowledge: Callable[[Sequence[Ack]], Awaitable[None]]
    ) -> None:
        """`acknowledge` publishes acks; it is called after the commit, and again for duplicates."""

    def offer(self, arrival: Arrival) -> bool:
        """Queue one frame; False when the queue is full: counted as dropped, the board sends it again."""
        raise NotImplementedError

    async def run(self) -> None:
        """Verify, store and acknowledge until cancelled."""
        raise NotImplementedError
