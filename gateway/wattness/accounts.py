"""Accounts per network and day: what became of the reports, what was paid, and what that was worth to the owner."""

import datetime as dt
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from wattness.store.history import day_bounds
from wattness.store.payouts import PayoutEntry, PriceEntry, plain
from wattness.store.reader import Reader

UNKNOWN_UNIT = "units"
NEVER_SENT = frozenset({"expired", "settings_changed"})  # given up by ourselves: the network was not heard
EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
VALUE_STEP = Decimal("0.00000001")


class Pay(msgspec.Struct, frozen=True):
    """What was paid in one unit; without a price nobody knows what it is worth."""

    unit: str
    amount: str  # decimal
    price: str | None = None  # of one unit, in the owner's currency
    value: str | None = None


class DayAccount(msgspec.Struct, frozen=True):
    """One network's day. Reports belong to the day of what they report, pay to the day on which it came."""

    day: str  # YYYY-MM-DD in the site's time zone
    network: str
    reports: int  # all that were made
    accepted: int
    refused: int
    missing: int  # still waiting, or given up without the network's answer
    paid: int | None  # reports that were paid; null: the network does not say for which it pays
    reasons: dict[str, int]  # why reports were given up
    pay: list[Pay]
    currency: str | None


class Payment(msgspec.Struct, frozen=True):
    """One payout."""

    at_unix_ms: int
    day: str
    network: str
    reference: str  # the epoch, or what the owner entered
    source: str  # network | owner
    unit: str
    amount: str
    price: str | None
    value: str | None
    currency: str | None


class Asked(NamedTuple):
    """Which days, and what is known of networks without asking the store."""

    since: dt.date
    until: dt.date
    timezone: str
    currency: str | None
    units: Mapping[str, str]  # of networks' own rewards
    network: str | None = None  # only this one

    def takes(self, network: str) -> bool:
        """Tell whether a network is asked for."""
        return self.network in {None, network}


class Prices:
    """What units were worth."""

    def __init__(self, entries: Iterable[PriceEntry], currency: str | None) -> None:
        self._found: dict[tuple[str, str], list[PriceEntry]] = {}
        for entry in entries:  # ascending
            if entry.currency == currency:
                self._found.setdefault((entry.unit, entry.network), []).append(entry)

    def of(self, unit: str, network: str, day: dt.date) -> Decimal | None:
        """Return the price in force on a day, the network's own before everybody's."""
        for key in ((unit, network), (unit, "")):
            known = [entry for entry in self._found.get(key, ()) if entry.day <= day]
            if known:
                return known[-1].price
        return None

    def pay(self, amount: Decimal, unit: str, network: str, day: dt.date) -> Pay:
        """Return an amount with what it is worth."""
        price = self.of(unit, network, day)
        value = None if price is None else plain(worth(amount, price))
        return Pay(unit, plain(amount), None if price is None else plain(price), value)


def worth(amount: Decimal, price: Decimal) -> Decimal:
    """Return amount times price, to eight decimals."""
    return EXACT.quantize(EXACT.multiply(amount, price), VALUE_STEP)


def days(reader: Reader, asked: Asked) -> list[DayAccount]:
    """Return each day's account of each network that had any, ascending. Raises ConfigError for impossible days."""
    bounds = day_bounds(asked.since, asked.until, asked.timezone)
    books = reader.accounts()
    paid, prices = books.paid(bounds), Prices(books.prices(), asked.currency)
    sums = _sums(payments(reader, asked))
    found = []
    for number, reports in enumerate(books.reports(bounds)):
        day = asked.since + dt.timedelta(number)
        per = _by_network(reports)
        for network in sorted(filter(asked.takes, {*per, *(name for at, name in sums if at == day)})):
            amounts = sums.get((day, network), {})
            pay = [prices.pay(amount, unit, network, day) for unit, amount in sorted(amounts.items())]
            count = paid[network][number] if network in paid else None
            found.append(_account(asked, day, network, per.get(network, Counter()), count, pay))
    return found


def payments(reader: Reader, asked: Asked) -> list[Payment]:
    """Return every payout, ascending by time. Raises ConfigError for impossible days."""
    bounds = day_bounds(asked.since, asked.until, asked.timezone)
    books = reader.accounts()
    prices = Prices(books.prices(), asked.currency)
    told = [
        PayoutEntry(*one[:2], asked.units.get(one.network, UNKNOWN_UNIT), Decimal(one.amount), f"epoch {one.epoch}")
        for one in books.told(bounds[0], bounds[-1])
    ]
    lines = [(one, "network") for one in told] + [(one, "owner") for one in books.entered(bounds[0], bounds[-1])]
    found = []
    for one, source in sorted(lines, key=lambda line: (line[0].at_ms, line[0].network)):
        if asked.takes(one.network):
            day = asked.since + dt.timedelta(bisect_right(bounds, one.at_ms) - 1)
            pay = prices.pay(one.amount, one.unit, one.network, day)
            head = (one.at_ms, day.isoformat(), one.network, one.reference, source)
            found.append(Payment(*head, pay.unit, pay.amount, pay.price, pay.value, asked.currency))
    return found


def today(now_ms: int, timezone: str) -> dt.date:
    """Return the site's day."""
    return dt.datetime.fromtimestamp(now_ms / 1000, ZoneInfo(timezone)).date()


def _sums(paid: Sequence[Payment]) -> dict[tuple[dt.date, str], dict[str, Decimal]]:
    """Return the amounts of each day and network by unit."""
    found: dict[tuple[dt.date, str], dict[str, Decimal]] = {}
    for one in paid:
        sums = found.setdefault((dt.date.fromisoformat(one.day), one.network), {})
        sums[one.unit] = EXACT.add(sums.get(one.unit, Decimal(0)), Decimal(one.amount))
    return found


def _by_network(reports: Mapping[tuple[str, str, str], int]) -> dict[str, Counter[tuple[str, str]]]:
    found: dict[str, Counter[tuple[str, str]]] = {}
    for (network, state, reason), count in reports.items():
        found.setdefault(network, Counter())[state, reason] += count
    return found


def _account(  # noqa: PLR0913, PLR0917 - what a day's account is made of
    asked: Asked, day: dt.date, network: str, reports: Counter[tuple[str, str]], paid: int | None, pay: list[Pay]
) -> DayAccount:
    accepted = sum(count for (state, _), count in reports.items() if state == "completed")
    reasons = {reason: count for (state, reason), count in sorted(reports.items()) if state == "discarded"}
    refused = sum(count for reason, count in reasons.items() if reason not in NEVER_SENT)
    return DayAccount(
        day=day.isoformat(),
        network=network,
        reports=reports.total(),
        accepted=accepted,
        refused=refused,
        missing=reports.total() - accepted - refused,
        paid=paid,
        reasons=reasons,
        pay=pay,
        currency=asked.currency,
    )
