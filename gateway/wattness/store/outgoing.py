"""What the outbox holds for one network, read beside whoever writes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from wattness.errors import StoreError

from .outbox import WAITING
from .schema import connect_to_read


class Outgoing:
    """Synchronous queries over one read-only connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Use `open_outgoing`."""
        self._connection = connection

    def signed_unsent(self, network: str) -> int:
        """Return how many reports are signed and not yet taken or refused."""
        query = f"SELECT count(*) FROM job WHERE network = ? AND {WAITING} AND body IS NOT NULL"  # noqa: S608
        return int(self._rows(query, network)[0][0])

    def _rows(self, query: str, *bindings: Any) -> list[Any]:
        try:
            return list(self._connection.execute(query, bindings))
        except apsw.Error as error:
            raise StoreError(f"The database cannot be read: {error}") from error


@contextmanager
def open_outgoing(path: Path) -> Iterator[Outgoing]:
    """Open a read-only connection to the database at `path`. Raises StoreError when there is none."""
    connection = connect_to_read(path)
    try:
        yield Outgoing(connection)
    finally:
        connection.close()
