"""Frames from any source to the store: bounded queue, batches, verified on all cores, acknowledged after the commit."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from .errors import StoreError
from .model import Ack, Arrival, Verified
from .store.sqlite import SqliteStore
from .verify import Signed, Verifier, read_all

log = logging.getLogger(__name__)

QUEUE_FRAMES_MAX = 4096
BATCH_FRAMES_MAX = 256
THREADS = 2
BATCHES_IN_FLIGHT_MAX = 4  # verified or being stored
RETRY_S = (0.25, 0.5, 1.0, 2.0, 5.0)


class _Reading:
    """Reads payloads in the thread that stores them, once: what they hold need not cross from core to core."""

    def __init__(self, frames: list[Signed]) -> None:
        """`frames` are signed well."""
        self._frames = frames
        self._verified: list[Verified] | None = None
        self.rejected: dict[str, int] = {}

    def read(self) -> list[Verified]:
        """Return the frames of good form."""
        if self._verified is None:
            self._verified, self.rejected = read_all(self._frames)
        return self._verified


class Intake:
    """Takes arrivals, never blocks its callers, and tells the boards what is on disk."""

    def __init__(
        self, store: SqliteStore, verifier: Verifier, acknowledge: Callable[[Sequence[Ack]], Awaitable[None]]
    ) -> None:
        """`acknowledge` publishes acks; it is called after the commit, and again for duplicates."""
        self._store = store
        self._verifier = verifier
        self._acknowledge = acknowledge
        self._queue: asyncio.Queue[Arrival] = asyncio.Queue(QUEUE_FRAMES_MAX)
        self._room = asyncio.Semaphore(BATCHES_IN_FLIGHT_MAX)
        self._counts: Counter[tuple[str, str]] = Counter()

    def offer(self, arrival: Arrival) -> bool:
        """Queue one frame; False when the queue is full: counted as dropped, the board sends it again."""
        try:
            self._queue.put_nowait(arrival)
        except asyncio.QueueFull:
            self._counts["dropped", "queue_full"] += 1
            return False
        return True

    async def run(self) -> None:
        """Verify, store and acknowledge until cancelled."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="verify") as pool:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    batch = await self._next_batch()
                    await self._room.acquire()
                    tasks.create_task(self._take(pool, batch), name="intake-batch")

    async def _next_batch(self) -> list[Arrival]:
        batch = [await self._queue.get()]
        while len(batch) < BATCH_FRAMES_MAX and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return batch

    async def _take(self, pool: ThreadPoolExecutor, batch: list[Arrival]) -> None:
        try:
            loop = asyncio.get_running_loop()
            signed, rejected = await loop.run_in_executor(pool, self._verifier.check_all, batch)
            self._count_rejected(rejected)
            if signed:
                await self._acknowledge(await self._put(signed))
            await self._save_counts()
        finally:
            self._room.release()

    async def _put(self, frames: list[Signed]) -> list[Ack]:
        """Store frames, again and again until the disk takes them: the queue fills meanwhile, and boards send again."""
        attempt = 0
        reading = _Reading(frames)
        while True:
            try:
                acks = await self._store.put_read(reading.read, len(frames))
            except StoreError:
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
                attempt += 1
            except Exception:
                if len(frames) > 1:  # a defect of ours: find the frame that shows it, and go on with the others
                    return [ack for one in frames for ack in await self._put([one])]
                log.exception("frame not stored board=%d payload=%s", frames[0].board_id, frames[0].payload.hex())
                self._counts["dropped", "internal_error"] += 1
                return []
            else:
                self._count_rejected(reading.rejected)
                return acks

    def _count_rejected(self, reasons: dict[str, int]) -> None:
        self._counts.update({("rejected", reason): n for reason, n in reasons.items()})

    async def _save_counts(self) -> None:
        counts, self._counts = self._counts, Counter()
        if counts:
            try:
                await self._store.count(counts)
            except StoreError:
                self._counts.update(counts)
