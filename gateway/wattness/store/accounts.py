"""What became of reports, and what was paid for them, by network and day."""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

import apsw

from wattness.errors import StoreError

from .payouts import PRICES, PayoutEntry, PriceEntry, price_of
from .schema import ask

PAGE = 500  # intervals that are read at a time

_SIMPLE = """
SELECT network, state, CASE state WHEN 'discarded' THEN job.reason ELSE '' END, count(*)
  FROM interval JOIN job ON interval_id = interval.id
 WHERE stream_id = ? AND a >= ? AND a < ? AND begin_ms IS NULL GROUP BY 1, 2, 3
"""
_WINDOWS = """
SELECT network, state, CASE state WHEN 'discarded' THEN reason ELSE '' END, count(*)
  FROM job WHERE begin_ms >= ? AND begin_ms < ? GROUP BY 1, 2, 3
"""
_NETWORKS = "SELECT network FROM total WHERE name = 'paid' ORDER BY 1"
_TOLD = """
SELECT network, received_ms, epoch, sum(amount) FROM reward INDEXED BY reward_received
 WHERE network = ? AND received_ms >= ? AND received_ms < ? GROUP BY epoch, received_ms ORDER BY received_ms, epoch
"""
_UNDATED = "SELECT network, sum(amount) FROM reward WHERE received_ms IS NULL GROUP BY network ORDER BY network"
_WHY = """
SELECT one.value ->> '$.a' FROM reward INDEXED BY reward_received, json_each(detail, '$.why') AS one
 WHERE network = ? AND received_ms >= ?
"""
_EXPLAINS = "SELECT json_type(detail, '$.why') FROM reward WHERE network = ? ORDER BY epoch DESC LIMIT 1"


class Told(NamedTuple):
    """What a network itself told of an epoch's pay, and when we learnt of it."""

    network: str
    at_ms: int
    epoch: int
    amount: int


class Measured(NamedTuple):
    """A final interval that may be told of."""

    a: int
    b: int
    figures: dict[str, Any]
    verdict: str


class Accounts:
    """Queries over the reader's connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Use a connection that reads."""
        self._connection = connection

    def reports(self, bounds: Sequence[int]) -> list[Counter[tuple[str, str, str]]]:
        """Return for each two of these times how many reports there are by (network, state, reason if given up)."""
        streams = [row[0] for row in self._ask("SELECT id FROM stream")]
        found = []
        for since, until in pairwise(bounds):
            day: Counter[tuple[str, str, str]] = Counter()
            for stream in streams:
                for *key, count in self._ask(_SIMPLE, stream, since, until):
                    day[tuple(key)] += count
            for *key, count in self._ask(_WINDOWS, since, until):
                day[tuple(key)] += count
            found.append(day)
        return found

    def paid(self, bounds: Sequence[int]) -> dict[str, list[int]]:
        """Return how many reports of each two of these times were paid, for networks that say for which they pay."""
        found = {}
        for (network,) in self._ask(_NETWORKS):
            if self._ask(_EXPLAINS, network) == [("array",)]:
                counts = found[network] = [0] * (len(bounds) - 1)
                for (at_ms,) in self._ask(_WHY, network, bounds[0]):
                    if type(at_ms) is int and bounds[0] <= at_ms < bounds[-1]:
                        counts[bisect_right(bounds, at_ms) - 1] += 1
        return found

    def told(self, since_ms: int, until_ms: int) -> list[Told]:
        """Return what networks told between two times."""
        networks = [row[0] for row in self._ask(_NETWORKS)]
        return [Told(*row) for network in networks for row in self._ask(_TOLD, network, since_ms, until_ms)]

    def undated(self) -> dict[str, int]:
        """Return what was told by network before times were kept."""
        return dict(self._ask(_UNDATED))

    def entered(self, since_ms: int, until_ms: int) -> list[PayoutEntry]:
        """Return what the owner entered for between two times."""
        query = (
            "SELECT network, at_ms, unit, amount, reference FROM payout WHERE at_ms >= ? AND at_ms < ?"
            " ORDER BY at_ms, network, unit, reference, amount"
        )
        return [
            PayoutEntry(network, at_ms, unit, Decimal(amount), reference)
            for network, at_ms, unit, amount, reference in self._ask(query, since_ms, until_ms)
        ]

    def measured(self, stream_id: int, since_ms: int, until_ms: int) -> Iterator[Measured]:
        """Yield a stream's intervals that begin between two times, ascending; quarantined ones are left out."""
        query = (
            "SELECT a, b, figures, verdict FROM interval WHERE stream_id = ? AND a >= ? AND a < ?"
            " AND verdict <> 'quarantined' ORDER BY a LIMIT ?"
        )
        while rows := self._ask(query, stream_id, since_ms, until_ms, PAGE):
            yield from (Measured(a, b, json.loads(figures), verdict) for a, b, figures, verdict in rows)
            since_ms = rows[-1][0] + 1

    def prices(self) -> list[PriceEntry]:
        """Return all prices, ascending."""
        return [price_of(*row) for row in self._ask(PRICES)]

    def _ask(self, query: str, *bindings: Any) -> list[Any]:
        try:
            return ask(self._connection, query, bindings)
        except apsw.Error as error:
            raise StoreError(f"The database cannot be read: {error}; see `wattness db check`.") from error
