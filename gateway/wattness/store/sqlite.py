"""The embedded store: SQLite, one writer thread, one transaction from the raw frame to the outbox."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import apsw

from wattness.errors import DamagedError
from wattness.model import Ack, Board, Verified

from .history import History
from .history_schema import history_path
from .integrity import damage, problem_of
from .outbox import Outbox
from .pipeline import Pipeline
from .reader import Reader, open_reader
from .registry import BoardRegistry
from .removal import forget_removable
from .schema import connect, connect_to_read
from .settings import Settings
from .writer import Writer

__all__ = ["Settings", "SqliteStore", "open_store"]

log = logging.getLogger(__name__)
T = TypeVar("T")

EXAMINED_AT_START_BYTES = 64 << 20  # larger ones are examined while the gateway works already


class SqliteStore:
    """The store of one gateway process. Calls raise StoreError when the disk does not take it; nothing is kept then."""

    def __init__(self, path: Path, connection: apsw.Connection, settings: Settings) -> None:
        """Use `open_store`."""
        self._path = path
        self._connection = connection
        self._pipeline = Pipeline(connection, settings)
        self._registry = BoardRegistry(connection, settings.clock)
        self._writer = Writer(connection, self._pipeline.forget, settings.window_ms, settings.frames_max)
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._reading = ExitStack()
        self._reader: Reader | None = None
        self._enrolments = 0
        self.outbox = Outbox(connection, self._writer, settings)

    async def put(self, frames: Sequence[Verified]) -> list[Ack]:
        """Store frames with all that follows from them; returns, after the commit, what to acknowledge."""
        return await self.put_read(lambda: frames, len(frames))

    async def put_read(self, read: Callable[[], Sequence[Verified]], count: int) -> list[Ack]:
        """Store about `count` frames that `read` returns; it is called in the writer's thread, perhaps repeatedly."""
        made = self._pipeline.made
        acks = await self._writer.run(lambda: self._pipeline.put(read()), count)
        if self._pipeline.made != made:
            self.outbox.announce()
        return acks

    async def tick(self) -> int:
        """Finalise what is due by the clock; the app calls it about once a real second. Returns how many were."""
        troubles = Counter(self._writer.troubles)
        if troubles and not self.failing:
            await self.count(troubles)
            self._writer.troubles.subtract(troubles)
        made = await self._writer.run(self._pipeline.tick)
        if made:
            self.outbox.announce()
        return made

    async def count(self, reasons: Mapping[tuple[str, str], int]) -> None:
        """Add to the counters {(name, reason): n}; names in use: rejected, dropped."""

        def add() -> None:
            self._pipeline.tally.update(reasons)
            self._pipeline.tally.save()

        await self._writer.run(add)

    async def remove_old(self) -> int:
        """Remove frames that the history keeps in chunks, little by little; returns how many."""
        await self.outbox.forget_removed()
        removed = 0
        for wanted in await self.read(lambda reader: reader.past(History.removable)):
            after: int | None = 0
            while after is not None:
                some, after = await self._writer.run(partial(self._pipeline.remove, wanted, after))
                removed += some
            await asyncio.to_thread(forget_removable, history_path(self._path), wanted)
        return removed

    async def boards(self) -> list[Board]:
        """Boards whose frames are accepted: active and quarantined ones."""
        return await self._writer.run(self._registry.list)

    async def enrol(self, public_key: bytes, name: str, provenance: str = "board") -> Board:
        """Make a board known. Raises ConfigError."""
        return await self._writer.run(self._enrolment(lambda: self._registry.enrol(public_key, name, provenance)))

    async def remove(self, board: Board) -> None:
        """Forget a board; what it sent stays."""
        await self._writer.run(self._enrolment(lambda: self._registry.remove(board.public_key.hex())))

    async def release(self, board: Board) -> None:
        """Take a board out of quarantine, by the owner's word. Raises ConfigError."""
        await self._writer.run(self._enrolment(lambda: self._registry.release(board.public_key.hex())))

    async def data_version(self) -> tuple[int, int]:
        """Return what changes when a board was enrolled or removed, or when another process has written anything."""
        pragma = await self._writer.run(lambda: int(self._connection.pragma("data_version")))
        return pragma, self._enrolments

    def _enrolment(self, change: Callable[[], Board]) -> Callable[[], Board]:
        """Return a command that is counted in the writer's own order, whether or not its caller still waits."""

        def act() -> Board:
            self._enrolments += 1
            return change()

        return act

    async def next_counter(self, board_id: int) -> int:
        """Return the counter of the next command: max(the last sent or reported + 1, now); strictly rising, durable."""
        return await self._writer.run(lambda: self._registry.next_counter(board_id))

    @property
    def failing(self) -> bool:
        """Whether the disk did not take the last thing that was to be written."""
        return bool(self._writer.trouble)

    @property
    def trouble(self) -> str:
        """Why nothing can be stored, in a sentence with the remedy; empty when all is well."""
        return self._writer.trouble

    async def examine(self) -> None:
        """Read a database from end to end that was too large to be examined at the start. Raises DamagedError."""
        if not _is_small(self._path):
            connection = connect_to_read(self._path)
            try:
                await _examine(connection, self._path)
            finally:
                connection.interrupt()

    async def read(self, query: Callable[[Reader], T]) -> T:
        """Run a query in the reading thread: `await store.read(Reader.boards)`."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)

    async def start(self) -> None:
        """Start the threads."""
        self._writer.start()

    async def close(self) -> None:
        """Commit what is queued and end the threads."""
        await self._writer.close()
        await asyncio.get_running_loop().run_in_executor(self._readers, self._reading.close)
        self._readers.shutdown()
        try:
            self._connection.close()
        except apsw.Error as error:  # what was committed is in the log that SQLite reads at the next start
            log.warning("store not closed cleanly error=%s", error)

    def _read(self, query: Callable[[Reader], T]) -> T:
        if self._reader is None:
            self._reader = self._reading.enter_context(open_reader(self._path))
        return query(self._reader)


@asynccontextmanager
async def open_store(path: Path, settings: Settings) -> AsyncIterator[SqliteStore]:
    """Open or create the database at `path`; on the way out everything queued is committed. Raises StoreError."""
    connection = connect(path)
    if _is_small(path):
        await _examine(connection, path)
    store = SqliteStore(path, connection, settings)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


def _is_small(path: Path) -> bool:
    return path.stat().st_size <= EXAMINED_AT_START_BYTES


async def _examine(connection: apsw.Connection, path: Path) -> None:
    problem = await asyncio.to_thread(problem_of, connection)
    if problem:
        raise DamagedError(damage(path, problem))
