"""What the API says of the past: history, days, verdicts and their rules."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from wattness import quality
from wattness.errors import ConfigError
from wattness.networks import REWARD_UNITS
from wattness.store.history import DayView, HistoryView, day_bounds
from wattness.store.reader import Reader
from wattness.store.views import IntervalView

from .answers import DailyReward, Reason, RuleNow, VerdictNow
from .flow import leading
from .queries import DailyQuery, DaysQuery, HistoryQuery, Nothing, VerdictsQuery
from .routes import NotFoundError, RefusalError, Route
from .sources import Sources

DAY_MS = 86_400_000
WEEK, MONTH = 7, 31


class Past:
    """The handlers; `routes` is all there is."""

    def __init__(self, sources: Sources) -> None:
        """`sources` is read at each request."""
        self._from = sources
        site = sources.config.site
        self._timezone = "UTC" if site is None else site.timezone
        one = "/api/v1/streams/{stream}"
        past, days = "A point's aggregates; gaps have no rows.", "Energy, coverage and verdicts of each day."
        judged = "Final intervals that were not simply accepted, newest first."
        self.routes = (
            Route("GET", one + "/history", past, HistoryView, self.history, HistoryQuery),
            Route("GET", one + "/days", days, list[DayView], self.days, DaysQuery),
            Route(
                "GET", "/api/v1/rewards/daily", "What each day brought.", list[DailyReward], self.rewards, DailyQuery
            ),
            Route("GET", "/api/v1/verdicts", judged, list[VerdictNow], self.verdicts, VerdictsQuery),
            Route("GET", "/api/v1/rules", "The rules of quality, in plain words.", list[RuleNow], self.rules),
        )

    async def history(self, query: HistoryQuery) -> HistoryView:
        """Return a point's aggregates."""
        until = self._from.clock.now_ms() if query.until is None else query.until
        since = max(0, until - DAY_MS) if query.since is None else query.since
        point = query.point

        def ask(reader: Reader) -> HistoryView:
            name = point or _leading(reader, query.stream)
            found = reader.history(query.stream, name, since, until, query.step)
            if found is None:
                raise NotFoundError(f"There is no stream {query.stream} with a point {name!r}.")
            return found

        with _asked_badly():
            return await self._from.store.read(ask)

    async def days(self, query: DaysQuery) -> list[DayView]:
        """Return a stream's days."""
        since, until = self._reach(query.since, query.until, WEEK)
        with _asked_badly():
            found = await self._from.store.read(lambda reader: reader.days(query.stream, since, until, self._timezone))
        if found is None:
            raise NotFoundError(f"There is no stream {query.stream}.")
        return found

    async def rewards(self, query: DailyQuery) -> list[DailyReward]:
        """Return what each day brought."""
        since, until = self._reach(query.since, query.until, MONTH)
        known = {network.name: network.kind for network in self._from.config.network}
        if query.network is not None and query.network not in known:
            raise NotFoundError(f"There is no network {query.network!r} in the settings.")

        def ask(reader: Reader) -> list[DailyReward]:
            bounds = day_bounds(since, until, self._timezone)
            days = [(since + dt.timedelta(number)).isoformat() for number in range(len(bounds) - 1)]
            return [
                DailyReward(day, name, amount, REWARD_UNITS.get(kind, "units"))
                for name, kind in known.items()
                if query.network in {None, name}
                for day, amount in zip(days, reader.received(name, bounds), strict=True)
                if amount is not None
            ]

        with _asked_badly():
            return await self._from.store.read(ask)

    async def verdicts(self, query: VerdictsQuery) -> list[VerdictNow]:
        """Return intervals that were flagged or quarantined."""
        found = await self._from.store.read(
            lambda reader: reader.verdicts(stream_id=query.stream, before=query.before, limit=query.limit)
        )
        texts = {rule.code: Reason(rule.code, rule.title, rule.text) for rule in quality.rules()}
        return [_verdict(interval, texts) for interval in found]

    async def rules(self, _: Nothing) -> list[RuleNow]:
        """Return every rule, with how often it has spoken."""
        counters = await self._from.store.read(lambda reader: reader.counters())
        left_out = quality.unapplied(self._from.config.site)
        return [
            RuleNow(*rule, _count(counters, *rule.counter), left_out.get(rule.code, "")) for rule in quality.rules()
        ]

    def _reach(self, since: dt.date | None, until: dt.date | None, days: int) -> tuple[dt.date, dt.date]:
        """Return from which day to which, up to today unless it is said."""
        now = dt.datetime.fromtimestamp(self._from.clock.now_ms() / 1000, ZoneInfo(self._timezone))
        until = until or now.date()
        return since or until - dt.timedelta(min(days - 1, until.toordinal() - 1)), until


@contextmanager
def _asked_badly() -> Iterator[None]:
    """Say to the asker what the store says of the question."""
    try:
        yield
    except ConfigError as error:
        raise RefusalError(400, str(error)) from None


def _count(counters: dict[str, dict[str, int]], name: str, reason: str) -> int:
    return counters.get(name, {}).get(reason, 0)


def _leading(reader: Reader, stream_id: int) -> str:
    stream = next((one for one in reader.streams() if one.id == stream_id), None)
    point = None if stream is None else leading(stream)
    return "power" if point is None else point.name


def _verdict(interval: IntervalView, texts: dict[str, Reason]) -> VerdictNow:
    return VerdictNow(
        id=interval.id,
        stream=interval.stream_id,
        device=interval.device,
        role=interval.role,
        board_key=interval.board_key,
        a=interval.a,
        b=interval.b,
        verdict=interval.verdict,
        reasons=[texts.get(code, Reason(code, code.replace("_", " "), "")) for code in interval.reasons],
    )
