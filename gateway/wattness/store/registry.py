"""The boards that are enrolled: a synchronous registry over one connection, for the command line and the store."""

import builtins
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw

from wattness.clock import Clock
from wattness.errors import ConfigError, StoreError
from wattness.model import Board
from wattness.verify import load_key

from .schema import ask, connect, connect_to_read

KID_SIZE = 8
_COLUMNS = "id, name, public_key, kid, board_key, link_key, password, state, reason, enrolled_ms, provenance"


class BoardRegistry:
    """Enrolled boards; each call is its own transaction (the running gateway notices by `data_version`)."""

    def __init__(self, connection: apsw.Connection, clock: Clock) -> None:
        """Use a connection that can write."""
        self._connection = connection
        self._clock = clock

    def list(self, *, removed: bool = False) -> builtins.list[Board]:
        """All boards, oldest first; removed ones only when asked for."""
        where = "" if removed else "WHERE state <> 'removed'"
        return [Board(*row) for row in self._ask(f"SELECT {_COLUMNS} FROM board {where} ORDER BY id")]  # noqa: S608

    def get(self, which: str) -> Board:
        """Return the board with this name, kid (hex), board key (hex) or public key (hex); raises ConfigError."""
        try:
            key = bytes.fromhex(which)
        except ValueError:
            key = b""
        query = (
            f"SELECT {_COLUMNS} FROM board WHERE (name = ? AND state <> 'removed') OR ? IN (kid, board_key, public_key)"  # noqa: S608
        )
        rows = [Board(*row) for row in self._ask(query, which, key)]
        if not rows:
            raise ConfigError(f"No board is called {which!r}; see `wattness board list`.")
        return rows[0]

    def enrol(self, public_key: bytes, name: str, provenance: str = "board") -> Board:
        """Make a board known with a new link key and password; the same board again keeps both. Raises ConfigError.

        Its provenance is what it first was, for ever: what a gateway read is never turned into what a board saw.
        """
        load_key(public_key)
        if not name or not name.isprintable():
            raise ConfigError("A board needs a printable name.")
        board_key = sha256(public_key).digest()
        with self._transaction():
            taken = self._ask("SELECT board_key FROM board WHERE name = ? AND state <> 'removed'", name)
            if taken and taken[0][0] != board_key:
                raise ConfigError(f"Another board is already called {name!r}; choose another name.")
            self._ask(
                "INSERT INTO board (name, public_key, kid, board_key, link_key, password, enrolled_ms, provenance)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (public_key) DO UPDATE SET name = excluded.name,"
                " state = CASE state WHEN 'removed' THEN 'active' ELSE state END",
                name,
                public_key,
                board_key[:KID_SIZE],
                board_key,
                secrets.token_bytes(32),
                secrets.token_urlsafe(24),
                self._clock.now_ms(),
                provenance,
            )
        return self.get(public_key.hex())

    def remove(self, which: str) -> Board:
        """Forget a board: its frames stay, its key is no longer accepted. Raises ConfigError."""
        return self._set_state(which, "removed", "")

    def release(self, which: str) -> Board:
        """Take a board out of quarantine by the owner's word. Raises ConfigError."""
        if self.get(which).state != "quarantined":
            raise ConfigError(f"The board {which!r} is not in quarantine.")
        return self._set_state(which, "active", "")

    def next_counter(self, board_id: int) -> int:
        """Return the counter of the next command to a board: max(the last sent or reported + 1, now)."""
        query = "UPDATE board SET command = max(command + 1, ?) WHERE id = ? RETURNING command"
        counter: int = self._ask(query, self._clock.now_ms(), board_id)[0][0]
        return counter

    def _set_state(self, which: str, state: str, reason: str) -> Board:
        board = self.get(which)
        self._ask("UPDATE board SET state = ?, reason = ? WHERE id = ?", state, reason, board.id)
        return self.get(board.public_key.hex())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._connection:
                yield
        except apsw.Error as error:
            raise StoreError(f"The database cannot be written: {error}") from error

    def _ask(self, query: str, *bindings: Any) -> builtins.list[Any]:
        try:
            return ask(self._connection, query, bindings)
        except apsw.Error as error:
            raise StoreError(f"The database cannot be used: {error}") from error


@contextmanager
def open_registry(path: Path, clock: Clock | None = None) -> Iterator[BoardRegistry]:
    """Open the registry of the database at `path`, which is created when missing. Raises StoreError."""
    connection = connect(path)
    try:
        yield BoardRegistry(connection, clock or Clock())
    finally:
        connection.close()


def read_boards(path: Path) -> list[Board]:
    """Return the boards of a database that is there, and write nothing. Raises StoreError."""
    connection = connect_to_read(path)
    try:
        return BoardRegistry(connection, Clock()).list()
    finally:
        connection.close()
