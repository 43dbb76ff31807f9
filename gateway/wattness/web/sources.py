"""What the web room is given: the store, and what only the running gateway knows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from wattness.clock import Clock
from wattness.config import Config
from wattness.model import Board
from wattness.store.reader import Reader

from .answers import BrokerNow

T = TypeVar("T")


class Store(Protocol):
    """The part of the store that the page needs."""

    @property
    def failing(self) -> bool:
        """Whether the disk takes nothing."""
        ...

    @property
    def trouble(self) -> str:
        """Why nothing can be stored; empty when all is well."""
        ...

    async def read(self, query: Callable[[Reader], T]) -> T:
        """Run a query in the reading thread."""
        ...

    async def boards(self) -> list[Board]:
        """Boards whose frames are accepted."""
        ...

    async def enrol(self, public_key: bytes, name: str) -> Board:
        """Make a board known. Raises ConfigError."""
        ...

    async def remove(self, board: Board) -> None:
        """Forget a board."""
        ...

    async def release(self, board: Board) -> None:
        """Take a board out of quarantine. Raises ConfigError."""
        ...


class ProxyNow(NamedTuple):
    """A proxy: who is connected, and what became of requests and connections since the start."""

    device: str
    listen: str
    clients: int
    counts: Mapping[tuple[str, str], int]  # (answered | declined | ended, how or why)


class Sources(NamedTuple):
    """Where the answers come from."""

    store: Store
    clock: Clock
    config: Config  # as the gateway runs with it
    version: str
    gateway: str
    started_unix_ms: int
    broker: Callable[[], BrokerNow]
    states: Mapping[bytes, str]  # kid → online | offline
    board_settings: Callable[[Board, str], dict[str, Any]]  # a board's part of its configuration, and its broker's host
    proxies: Callable[[], Sequence[ProxyNow]] = tuple
    meters: Callable[[], Sequence[Mapping[str, str]]] = tuple  # name, state and detail of each device that we read
