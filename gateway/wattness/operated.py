"""Loads that work for compute networks: their energy, how much of it was the site's own, its cost, and their pay."""

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

import msgspec

from wattness import accounts
from wattness.accounts import EXACT, Asked, Pay, worth
from wattness.money import Money, Operates, Tariff
from wattness.store.accounts import Measured
from wattness.store.history import day_bounds
from wattness.store.payouts import plain
from wattness.store.reader import Reader
from wattness.store.views import StreamView

DAY_MS = 86_400_000
COVERED = 0.95  # of an interval, from which on its energy is known
MWH_PER_KWH = Decimal(1_000_000)
ROLES = frozenset({"pv", "grid", "battery"})
ENERGIES = ("energy_import", "energy_export")

Slot = tuple[int, int]  # a, b
Known = dict[Slot, int]  # energy in mWh


class LoadDay(msgspec.Struct, frozen=True):
    """One load's day. Where the site's own meters are silent, nobody knows whose energy it was."""

    device: str
    account: str
    metered: bool  # there is such a stream
    energy_wh: float | None  # null: nothing was metered in this day
    own_wh: float  # of the site's own: from panels, or from the battery
    grid_wh: float
    unknown_wh: float
    cost: str | None  # of what is known, by the owner's tariff; null without one


class OperatorDay(msgspec.Struct, frozen=True):
    """One operator's day: what the loads took, what that cost, and what was paid."""

    day: str
    operator: str
    loads: list[LoadDay]
    energy_wh: float | None  # of the loads that were metered
    own_share: float | None  # of what is known, 0 … 1
    cost: str | None
    pay: list[Pay]
    value: str | None  # of all that was paid; null when nothing was, or something has no price
    margin: str | None  # value − cost
    currency: str | None


class _Energy(NamedTuple):
    own: int  # mWh
    grid: int
    unknown: int


class _Part(NamedTuple):
    """What one stream says of a flow, and while it was there at all."""

    known: Known
    begin: int
    end: int


class _Flow(NamedTuple):
    """What all streams of one kind say; a kind of which there is none flows nothing."""

    parts: list[_Part]

    def at(self, slot: Slot) -> int | None:
        """Return the energy in an interval, in mWh; None when a stream that was there does not know."""
        there = [part.known.get(slot) for part in self.parts if part.begin < slot[1] and slot[0] < part.end]
        known = [energy for energy in there if energy is not None]
        return sum(known) if len(known) == len(there) else None


class _Site(NamedTuple):
    """The flows into and out of the site."""

    generated: _Flow
    charged: _Flow
    discharged: _Flow
    imported: _Flow
    exported: _Flow

    def own_share(self, slot: Slot) -> tuple[int, int] | None:
        """Return the site's own part of what it used in an interval, as a fraction; None when nobody knows."""
        if not self.generated.parts and not self.charged.parts:
            return 0, 1
        if not self.imported.parts:
            return None
        flows = [flow.at(slot) for flow in self]
        if None in flows:
            return None
        made, charged, discharged, taken, given = (energy or 0 for energy in flows)
        used = made + taken + discharged - given - charged
        return (max(0, used - taken), used) if used > 0 else None


def days(reader: Reader, asked: Asked, money: Money | None, operates: Sequence[Operates]) -> list[OperatorDay]:
    """Return each day on which an operator's loads were metered, or it paid, ascending. Raises ConfigError."""
    bounds = day_bounds(asked.since, asked.until, asked.timezone)
    streams = reader.streams()
    site = _site(reader, streams, bounds)
    energies = {one.device: _by_day(reader, _stream_of(one.device, streams), site, bounds) for one in operates}
    pay = _pay(reader, asked, {one.operator for one in operates})
    found = []
    for number in range(len(bounds) - 1):
        day = asked.since + dt.timedelta(number)
        tariff = money.tariff_of(day) if money else None
        for operator in sorted({one.operator for one in operates}):
            loads = [_load(one, energies[one.device], number, tariff) for one in operates if one.operator == operator]
            account = _operator(day, operator, loads, pay.get((day.isoformat(), operator), []), asked.currency)
            if account.pay or account.energy_wh is not None:
                found.append(account)
    return found


def _operator(day: dt.date, operator: str, loads: list[LoadDay], pay: list[Pay], currency: str | None) -> OperatorDay:
    metered = [one.energy_wh for one in loads if one.energy_wh is not None]
    known = sum(one.own_wh + one.grid_wh for one in loads)
    costs = [Decimal(one.cost) for one in loads if one.cost is not None]
    values = [Decimal(one.value) for one in pay if one.value is not None]
    value = sum(values, Decimal(0)) if pay and len(values) == len(pay) else None
    cost = sum(costs, Decimal(0)) if costs else None
    return OperatorDay(
        day=day.isoformat(),
        operator=operator,
        loads=loads,
        energy_wh=round(sum(metered), 3) if metered else None,
        own_share=round(sum(one.own_wh for one in loads) / known, 4) if known else None,
        cost=None if cost is None else plain(cost),
        pay=pay,
        value=None if value is None else plain(value),
        margin=None if value is None or cost is None else plain(EXACT.subtract(value, cost)),
        currency=currency,
    )


def _load(one: Operates, energies: list[_Energy | None] | None, number: int, tariff: Tariff | None) -> LoadDay:
    measured = energies[number] if energies else None
    energy = measured or _Energy(0, 0, 0)
    is_known = measured is not None and (energy.own + energy.grid > 0 or energy.unknown == 0)
    return LoadDay(
        device=one.device,
        account=one.account,
        metered=energies is not None,
        energy_wh=None if measured is None else sum(energy) / 1000,
        own_wh=energy.own / 1000,
        grid_wh=energy.grid / 1000,
        unknown_wh=energy.unknown / 1000,
        cost=_cost(energy, tariff) if tariff is not None and is_known else None,
    )


def _cost(energy: _Energy, tariff: Tariff) -> str:
    own = worth(EXACT.divide(Decimal(energy.own), MWH_PER_KWH), tariff.own_per_kwh)
    return plain(own + worth(EXACT.divide(Decimal(energy.grid), MWH_PER_KWH), tariff.grid_per_kwh))


def _pay(reader: Reader, asked: Asked, operators: Iterable[str]) -> dict[tuple[str, str], list[Pay]]:
    found = {}
    for operator in operators:
        for account in accounts.days(reader, asked._replace(network=operator)):
            found[account.day, operator] = account.pay
    return found


def _stream_of(device: str, streams: Iterable[StreamView]) -> StreamView | None:
    """Return the stream that [[operates]] names, as <device> or <board's kid>/<device>."""
    return next((one for one in streams if device in {one.device, f"{one.board_key[:16]}/{one.device}"}), None)


def _by_day(
    reader: Reader, stream: StreamView | None, site: _Site, bounds: Sequence[int]
) -> list[_Energy | None] | None:
    """Return a load's energy of each day, None for one without any interval; None when no such stream is metered."""
    if stream is None:
        return None
    sums: list[_Energy | None] = [None] * (len(bounds) - 1)
    for measured in reader.accounts().measured(stream.id, bounds[0], bounds[-1]):
        energy = measured.figures["energy"].get("energy_import", 0)
        share = site.own_share((measured.a, measured.b))
        own = 0 if share is None else energy * share[0] // share[1]
        parts = (0, 0, energy) if share is None else (own, energy - own, 0)
        day = bisect_right(bounds, measured.a) - 1
        sums[day] = _Energy(*(a + b for a, b in zip(sums[day] or (0, 0, 0), parts, strict=True)))
    return sums


def _site(reader: Reader, streams: Sequence[StreamView], bounds: Sequence[int]) -> _Site:
    reach = (bounds[0] - DAY_MS, bounds[-1] + DAY_MS)  # a panel's night is known from the morning after it
    books = reader.accounts()
    metered = [(one, list(books.measured(one.id, *reach))) for one in streams if one.role in ROLES]

    def flow(role: str, name: str) -> _Flow:
        found = []
        for stream, intervals in metered:
            if stream.role == role and stream.first_unix_ms is not None and stream.last_unix_ms is not None:
                known = _known(intervals, name, sleeps=role == "pv" and any(one.name == name for one in stream.points))
                found.append(_Part(known, stream.first_unix_ms, stream.last_unix_ms + DAY_MS))
        return _Flow(found)

    battery, grid = (flow("battery", name) for name in ENERGIES), (flow("grid", name) for name in ENERGIES)
    return _Site(flow("pv", "energy_export"), *battery, *grid)


def _known(intervals: Sequence[Measured], name: str, *, sleeps: bool) -> Known:
    """Return the energy of each interval that was metered nearly whole.

    A panel's inverter sleeps at night: when its counter has not moved meanwhile, nothing was made.
    """
    found = {}
    for one in intervals:
        if name in one.figures["energy"] and one.figures["covered_ms"] >= COVERED * (one.b - one.a):
            found[one.a, one.b] = one.figures["energy"][name]
    if sleeps:
        for before, after in pairwise(intervals):
            if after.figures["gap_energy"].get(name) == 0:
                length = before.b - before.a
                found |= dict.fromkeys(((a, a + length) for a in range(before.b, after.a, length)), 0)
    return found
