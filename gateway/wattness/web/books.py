"""What the API says of money: each day's account of every network, and every payout."""

import datetime as dt
from collections.abc import Callable, Iterator
from typing import TypeVar

from wattness import accounts, operated
from wattness.accounts import Asked, DayAccount, Payment
from wattness.errors import ConfigError
from wattness.networks import REWARD_UNITS
from wattness.operated import OperatorDay
from wattness.store.reader import Reader

from .queries import DailyQuery
from .routes import RefusalError, Route
from .sources import Sources

DAYS_MAX = 31
PIECE = 3  # days that are read at a time, so that the live page waits for no more

T = TypeVar("T")


class Books:
    """The handlers; `routes` is all there is."""

    def __init__(self, sources: Sources) -> None:
        """`sources` is read at each request."""
        self._from = sources
        days = "Each network's day: reports by what became of them, pay, and its worth."
        each = "Every payout that a network told of or the owner entered."
        loads = "Loads that work for compute networks: energy, cost and pay of each day."
        self.routes = (
            Route("GET", "/api/v1/rewards/accounts", days, list[DayAccount], self.accounts, DailyQuery),
            Route("GET", "/api/v1/rewards/payments", each, list[Payment], self.payments, DailyQuery),
            Route("GET", "/api/v1/operators", loads, list[OperatorDay], self.operators, DailyQuery),
        )

    async def accounts(self, query: DailyQuery) -> list[DayAccount]:
        """Return the days' accounts."""
        return await self._read(query, accounts.days)

    async def payments(self, query: DailyQuery) -> list[Payment]:
        """Return the payouts."""
        return await self._read(query, accounts.payments)

    async def operators(self, query: DailyQuery) -> list[OperatorDay]:
        """Return the operators' days."""
        config = self._from.config
        operates = [one for one in config.operates if query.network in {None, one.operator}]
        return await self._read(query, lambda reader, asked: operated.days(reader, asked, config.money, operates))

    async def _read(self, query: DailyQuery, ask: Callable[[Reader, Asked], list[T]]) -> list[T]:
        found: list[T] = []
        try:
            for asked in self._pieces(query):
                found += await self._from.store.read(_asking(ask, asked))
        except ConfigError as error:
            raise RefusalError(400, str(error)) from None
        return found

    def _pieces(self, query: DailyQuery) -> Iterator[Asked]:
        config = self._from.config
        timezone = config.site.timezone if config.site else "UTC"
        until = query.until or accounts.today(self._from.clock.now_ms(), timezone)
        since = query.since or until - dt.timedelta(min(DAYS_MAX - 1, until.toordinal() - 1))
        if not 0 <= (until - since).days < DAYS_MAX:
            raise RefusalError(400, f"Ask for at most {DAYS_MAX} days; `wattness rewards export` writes any number.")
        currency = config.money.currency if config.money else None
        units = {network.name: REWARD_UNITS[network.kind] for network in config.network if network.kind in REWARD_UNITS}
        asked = Asked(since, until, timezone, currency, units, query.network)
        for first in range(since.toordinal(), until.toordinal() + 1, PIECE):
            last = min(first + PIECE - 1, until.toordinal())
            yield asked._replace(since=dt.date.fromordinal(first), until=dt.date.fromordinal(last))


def _asking(ask: Callable[[Reader, Asked], list[T]], asked: Asked) -> Callable[[Reader], list[T]]:
    return lambda reader: ask(reader, asked)
