"""The embedded store: SQLite, one writer thread, one transaction from the raw frame to the outbox."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from wattness.clock import Clock
from wattness.config import Interval
from wattness.model import Ack, Board, Verified

from .outbox import Outbox
from .reader import Reader

T = TypeVar("T")


class Settings(msgspec.Struct, frozen=True):
    """What the store needs to know of the gateway."""

    gateway: bytes  # 32 bytes: SHA-256 of the gateway's public key, as streams records name it
    networks: tuple[str, ...] = ()  # each final interval makes one job per name
    interval: Interval = Interval()
    clock: Clock = Clock()
    window_ms: int = 30  # two commits are at least this far apart; what comes in between shares the next one
    frames_max: int = 512  # … or this many frames


class SqliteStore:
    """The store of one gateway process. All calls raise StoreError when the disk does not take it; nothing is kept then."""

    outbox: Outbox

    async def put(self, frames: Sequence[Verified]) -> list[Ack]:
        """Store frames with all that follows from them; returns, after the commit, what to acknowledge."""
        raise NotImplementedError

    async def tick(self) -> int:
        """Finalise what is due by the clock; the app calls it about once a real second. Returns how many became final."""
        raise NotImplementedError

    async def count(self, reasons: Mapping[tuple[str, str], int]) -> None:
        """Add to the counters {(name, reason): n}; names in use: rejected, dropped."""
        raise NotImplementedError

    async def boards(self) -> list[Board]:
        """Boards whose frames are accepted: active and quarantined ones."""
        raise NotImplementedError

    async def data_version(self) -> int:
        """Return a number that changes when another process has written, e.g. enrolled a board."""
        raise NotImplementedError

    async def next_counter(self, board_id: int) -> int:
        """Return the counter of the next command to a board: max(last + 1, now); strictly rising, durable."""
        raise NotImplementedError

    async def read(self, query: Callable[[Reader], T]) -> T:
        """Run a query in the reading thread: `await store.read(Reader.boards)`."""
        raise NotImplementedError


@asynccontextmanager
async def open_store(path: Path, settings: Settings) -> AsyncIterator[SqliteStore]:
    """Open or create the database at `path`; on the way out everything queued is committed. Raises StoreError."""
    raise NotImplementedError
    yield SqliteStore()
