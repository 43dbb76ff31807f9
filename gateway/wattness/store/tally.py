"""Counters: what was left out, refused or seen twice, and how often."""

from collections import Counter
from collections.abc import Mapping

import apsw


class Tally:
    """Counts in memory until the transaction's end."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Use the writer's connection."""
        self._connection = connection
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, name: str, reason: str, n: int = 1) -> None:
        """Count `n` more."""
        self._counts[name, reason] += n

    def update(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Count many."""
        self._counts.update(counts)

    def save(self) -> None:
        """Write the counters."""
        if self._counts:
            rows = [(*key, n) for key, n in self._counts.items()]
            self._counts.clear()
            query = (
                "INSERT INTO counter (name, reason, n) VALUES (?, ?, ?)"
                " ON CONFLICT (name, reason) DO UPDATE SET n = n + excluded.n"
            )
            self._connection.executemany(query, rows)

    def forget(self) -> None:
        """Drop what was not written, after a roll-back."""
        self._counts.clear()
