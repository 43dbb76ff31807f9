"""Payouts that the owner enters, and what a unit was worth: for networks that tell no gateway what they paid."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import apsw

from wattness.errors import StoreError

from .schema import ask, connect

PRICES = "SELECT unit, network, currency, day, price FROM price ORDER BY unit, network, currency, day"


class PayoutEntry(NamedTuple):
    """One payout as the owner knows it."""

    network: str
    at_ms: int
    unit: str
    amount: Decimal
    reference: str = ""


class PriceEntry(NamedTuple):
    """What one unit was worth from a day on."""

    unit: str
    network: str  # "": all
    currency: str
    day: dt.date
    price: Decimal


class Payouts:
    """Writes entries; each call is one transaction, whether or not the gateway runs."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Use a connection that can write."""
        self._connection = connection

    def add(self, entries: Sequence[PayoutEntry]) -> int:
        """Keep payouts, those that are there already once; returns how many were new."""
        query = "INSERT OR IGNORE INTO payout (network, at_ms, unit, amount, reference, nth) VALUES (?, ?, ?, ?, ?, ?)"
        seen: Counter[PayoutEntry] = Counter()
        new = 0
        with self._connection:
            for entry in entries:
                seen[entry] += 1
                row = (entry.network, entry.at_ms, entry.unit, plain(entry.amount), entry.reference, seen[entry])
                self._connection.execute(query, row)
                new += self._connection.changes()
        return new

    def set_prices(self, entries: Sequence[PriceEntry]) -> None:
        """Keep prices; one for the same day takes the place of what it was."""
        query = "INSERT OR REPLACE INTO price (unit, network, currency, day, price) VALUES (?, ?, ?, ?, ?)"
        with self._connection:
            for entry in entries:
                *head, day, price = entry
                self._connection.execute(query, (*head, day.isoformat(), plain(price)))

    def prices(self) -> list[PriceEntry]:
        """Return all prices, ascending."""
        return [price_of(*row) for row in ask(self._connection, PRICES)]


def price_of(unit: str, network: str, currency: str, day: str, price: str) -> PriceEntry:
    """Return a row of PRICES."""
    return PriceEntry(unit, network, currency, dt.date.fromisoformat(day), Decimal(price))


def plain(number: Decimal) -> str:
    """Return a decimal as digits, without an exponent and without zeros at its end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@contextmanager
def open_payouts(path: Path) -> Iterator[Payouts]:
    """Open the store at `path` to enter payouts and prices. Raises StoreError."""
    if not path.exists():
        raise StoreError(f"There is no {path}; run the gateway once, then enter what was paid.")
    connection = connect(path)
    try:
        yield Payouts(connection)
    except apsw.Error as error:
        raise StoreError(f"The database cannot be written: {error}") from error
    finally:
        connection.close()
