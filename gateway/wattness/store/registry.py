"""The boards that are enrolled: a synchronous registry over one connection, for the command line and the store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wattness.clock import Clock
from wattness.model import Board


class BoardRegistry:
    """Enrolled boards; each call is its own transaction (the running gateway notices by `data_version`)."""

    def list(self, *, removed: bool = False) -> list[Board]:
        """All boards, oldest first; removed ones only when asked for."""
        raise NotImplementedError

    def get(self, which: str) -> Board:
        """Return the board with this name, kid (hex) or public key (hex); raises ConfigError."""
        raise NotImplementedError

    def enrol(self, public_key: bytes, name: str) -> Board:
        """Make a board known with a new link key and password; the same board again keeps both. Raises ConfigError."""
        raise NotImplementedError

    def remove(self, which: str) -> Board:
        """Forget a board: its frames stay, its key is no longer accepted. Raises ConfigError."""
        raise NotImplementedError

    def release(self, which: str) -> Board:
        """Take a board out of quarantine by the owner's word. Raises ConfigError."""
        raise NotImplementedError


@contextmanager
def open_registry(path: Path, clock: Clock) -> Iterator[BoardRegistry]:
    """Open the registry of the database at `path`, which is created when missing. Raises StoreError."""
    raise NotImplementedError
    yield BoardRegistry()
