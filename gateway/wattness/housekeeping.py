"""What the running gateway looks after again and again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from .broker import Broker
from .errors import StoreError
from .model import Board, Login
from .post import Post, Resender
from .store.sqlite import SqliteStore
from .verifiers import Verifiers

log = logging.getLogger(__name__)


async def every(period_s: float, action: Callable[[], Awaitable[object]]) -> None:
    """Repeat an action, whatever comes of it: nothing that a frame or a disk does may end the gateway."""
    while True:
        try:
            await action()
        except StoreError as error:
            log.warning("put off period_s=%s error=%s", period_s, str(error))
        except Exception:
            log.exception("failed, goes on period_s=%s", period_s)
        await asyncio.sleep(period_s)


class BoardsWatch:
    """Notices boards that the command line has enrolled or removed."""

    def __init__(self, store: SqliteStore, verifiers: Verifiers, post: Post, broker: Broker | None) -> None:
        """Everyone who knows boards by heart is told of the change."""
        self._store, self._verifiers, self._post, self._broker = store, verifiers, post, broker
        self._version: tuple[int, int] | None = None

    async def refresh(self) -> None:
        """Look once."""
        found = await self._store.data_version()
        if found == self._version:
            return
        boards = await self._store.boards()
        self._verifiers.replace(boards)
        self._post.replace(boards)
        if self._broker is not None:
            self._broker.admit(logins(boards))
        self._version = found


class HolesWatch:
    """Has boards asked for what is missing."""

    def __init__(self, store: SqliteStore, resender: Resender) -> None:
        """Holes come from the store."""
        self._store, self._resender = store, resender

    async def look(self) -> None:
        """Look once."""
        await self._resender.look(await self._store.read(lambda reader: reader.holes()))


class CountsWatch:
    """Keeps what a source counts."""

    def __init__(self, store: SqliteStore, name: str, counts: Mapping[str, int]) -> None:
        """The source counts from zero in each life; the store adds up, under `name`."""
        self._store, self._name, self._counts = store, name, counts
        self._saved: dict[str, int] = {}

    async def save(self) -> None:
        """Add what is new."""
        counts = dict(self._counts)
        new = {(self._name, reason): n - self._saved.get(reason, 0) for reason, n in counts.items()}
        if any(new.values()):
            await self._store.count({key: n for key, n in new.items() if n})
        self._saved = counts


def logins(boards: Sequence[Board]) -> list[Login]:
    """Return the boards' logins at our own broker; our own logs need none."""
    return [Login(board.kid.hex(), board.password) for board in boards if board.provenance == "board"]
