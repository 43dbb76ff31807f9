"""Frames from any source to the store: bounded queue, batches, verified beside us, acknowledged after the commit."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence

from .errors import StoreError
from .model import Ack, Arrival
from .store.sqlite import SqliteStore
from .verifiers import Checked, Verifiers

log = logging.getLogger(__name__)

QUEUE_FRAMES_MAX = 4096
BATCH_FRAMES_MAX = 256
BATCHES_IN_FLIGHT_MAX = 6  # being verified or stored: verifiers go on while a transaction takes long
RETRY_S = (0.25, 0.5, 1.0, 2.0, 5.0)


class Intake:
    """Takes arrivals, never blocks its callers, and tells the boards what is on disk."""

    def __init__(
        self, store: SqliteStore, verifiers: Verifiers, acknowledge: Callable[[Sequence[Ack]], Awaitable[None]]
    ) -> None:
        """`acknowledge` publishes acks; it is called after the commit, and again for duplicates."""
        self._store = store
        self._verifiers = verifiers
        self._acknowledge = acknowledge
        self._queue: deque[Arrival] = deque()
        self._some = asyncio.Event()
        self._room = asyncio.Semaphore(BATCHES_IN_FLIGHT_MAX)
        self._counts: Counter[tuple[str, str]] = Counter()

    def offer(self, arrival: Arrival) -> bool:
        """Queue one frame; False when the queue is full: counted as dropped, the board sends it again."""
        if len(self._queue) >= QUEUE_FRAMES_MAX:
            self._counts["dropped", "queue_full"] += 1
            return False
        self._queue.append(arrival)
        self._some.set()
        return True

    async def run(self) -> None:
        """Verify, store and acknowledge until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            before = asyncio.Event()
            before.set()
            while True:
                batch = await self._next_batch()
                await self._room.acquire()
                handed_over = asyncio.Event()
                tasks.create_task(self._take(batch, before, handed_over), name="intake-batch")
                before = handed_over

    async def _next_batch(self) -> list[Arrival]:
        await self._some.wait()
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_FRAMES_MAX))]
        if not self._queue:
            self._some.clear()
        return batch

    async def _take(self, batch: list[Arrival], before: asyncio.Event, handed_over: asyncio.Event) -> None:
        """Verify a batch beside others, but hand it to the store after the one that came before it."""
        try:
            checked = await self._verifiers.check(batch)
            self._count_rejected(checked.rejected)
            await before.wait()
            if checked.frames:
                put = asyncio.create_task(self._put(checked))
                await asyncio.sleep(0)  # by now it stands in the writer's queue
                handed_over.set()
                await self._acknowledge(await put)
            await self._save_counts()
        finally:
            handed_over.set()
            self._room.release()

    async def _put(self, checked: Checked) -> list[Ack]:
        """Store frames, again and again until the disk takes them: the queue fills meanwhile, and boards send again."""
        attempt = 0
        while True:
            try:
                return await self._store.put_read(checked.read, checked.frames)
            except StoreError:
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
                attempt += 1
            except Exception:
                parts = checked.parts()
                if len(parts) > 1:  # a defect of ours: find the frame that shows it, and go on with the others
                    return [ack for part in parts for ack in await self._put(part)]
                log.exception("frame not stored raw=%s", checked.read()[0].raw.hex())
                self._counts["dropped", "internal_error"] += 1
                return []

    def _count_rejected(self, reasons: dict[str, int]) -> None:
        self._counts.update({("rejected", reason): n for reason, n in reasons.items()})

    async def _save_counts(self) -> None:
        counts, self._counts = self._counts, Counter()
        if counts:
            try:
                await self._store.count(counts)
            except StoreError:
                self._counts.update(counts)
