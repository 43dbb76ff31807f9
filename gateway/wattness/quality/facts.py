"""What the rules look at: the facts of one stream in one interval, from summed-up frames or from rows.

Units are the wire's working units: mW, mWh, ms, and thousandths of every other point's unit.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec
from msgspec.structs import replace

from wattness import packed, smooth
from wattwire import evidence, interval
from wattwire.interval import EXPORT, IMPORT, JOIN_MS_MAX, POWER

from .journey import MOVING, Column, Move, moves_of

SAMPLED = {"frequency": "Hz", "voltage": "V", "voltage_l1": "V", "soc": "%"}  # a value or two tell enough
HOUR_MS = 3_600_000
LONE_RATIO = 8  # to both neighbours
LONE_ROWS_MIN = 20  # from so many rows on, the mean says enough of the neighbours
LONE_MEAN_RATIO = 12


class Fall(msgspec.Struct, frozen=True, gc=False):
    """A counter that was lower than before; `spacing_ms` is how far its rows usually are apart."""

    name: str
    elapsed_ms: int
    before: int
    after: int
    modulus: int | None
    spacing_ms: int


class Stat(msgspec.Struct, frozen=True, gc=False):
    """Values of a point within the interval; of rows that were only sampled, those of the sample."""

    n: int
    first: int
    last: int
    low: int
    high: int
    mean: int


class Facts(msgspec.Struct, frozen=True, gc=False):
    """One stream in [a, b). `energy` holds counters only; a stream without them has none."""

    device: str
    role: str
    rated_w: int | None
    a: int
    b: int
    covered_ms: int
    last_ms: int  # of the last row
    power: Stat | None
    power_mwh: float  # power over the covered time
    doubt_mwh: float  # by how much that may be wrong, where rows are far apart
    energy: Mapping[str, int]
    gap_energy: Mapping[str, int]
    falls: Sequence[Fall]
    levels: Mapping[str, int]  # of the counters, at the last row that is known
    samples: Mapping[str, Stat]
    moves: Sequence[Move] = ()
    lone_mw: int = 0  # the highest power that stands alone: a small part of it before and after

    @property
    def counted_mwh(self) -> int | None:
        """Return the counters' net energy in the direction of positive power; None when they do not tell."""
        ways = (EXPORT, IMPORT) if self.role == "pv" else (IMPORT, EXPORT)
        forward, backward = self.energy.get(ways[0]), self.energy.get(ways[1])
        if self.power is None or (forward is None and backward is None):
            return None
        if forward is None:
            return None if self.power.high > 0 else -(backward or 0)
        if backward is None:
            return None if self.power.low < 0 and self.role != "pv" else forward
        return forward - backward


class Place(msgspec.Struct, frozen=True, gc=False):
    """Which stream and interval facts are of."""

    device: str
    stream: Any  # wattwire.frame.Stream
    a: int
    b: int


def of_blocks(place: Place, blocks: Sequence[Any], figures: Mapping[str, Any]) -> Facts | None:
    """Return the facts of frames that were summed up, or None when their rows must be looked at.

    Whichever way is gone, the facts are the same: what is read of the rows is read of the evidence's ends.
    """
    if figures["counter_resets"] or place.stream.role == "vehicle":
        return None
    levels = smooth.levels(blocks) if smooth.is_smooth(blocks) else _levels(place, blocks)
    if levels is None:
        return None
    samples = {}
    for at, point in enumerate(place.stream.points):
        if SAMPLED.get(point.name) == point.unit:
            ends = _ends([block.entry.packed[at] for block in blocks])
            if ends is not None:
                first, last = ends
                samples[point.name] = _two(
                    evidence.to_milli(first, point.exponent), evidence.to_milli(last, point.exponent)
                )
    return _of_figures(place, figures, blocks[-1].last, samples, levels)


def _levels(place: Place, blocks: Sequence[Any]) -> dict[str, int] | None:
    """Return the counters behind the last row, or None when one of them falls between blocks."""
    levels: dict[str, int] = {}
    for digest in [part for block in blocks for part in block.cut(place.a, place.b)]:
        for name, found in digest.sums.items():
            if found is not None:
                if found[1] < levels.get(name, found[1]):
                    return None
                levels[name] = found[3]
    return levels


def of_evidence(place: Place, times: Sequence[int], columns: Mapping[str, Column], figures: Mapping[str, Any]) -> Facts:
    """Return the facts of an interval whose figures are known from the rows of its evidence."""
    first, last = interval.index(times, place.a), interval.index(times, place.b)
    counters = _counters(place.stream, times, columns, (first, last), JOIN_MS_MAX)
    samples = {name: _two(*ends) for name in SAMPLED if (ends := _first_last(columns.get(name, ()))) is not None}
    for name in MOVING:
        stat = _stat(columns.get(name, ())[first:last])
        if stat is not None:
            samples[name] = stat
    levels = {name: ends[1] for name in counters if (ends := _first_last(columns.get(name, ()))) is not None}
    return replace(
        _of_figures(place, figures, times[-1], samples, levels),
        falls=[fall for counter in counters.values() for fall in counter.falls],
        moves=moves_of(times, columns, (first, last), JOIN_MS_MAX),
    )


def of_rows(place: Place, times: Sequence[int], columns: Mapping[str, Column], join_ms: int) -> Facts:
    """Return the facts of recorded rows; each pair of neighbours counts where its later row lies."""
    first, last = interval.index(times, place.a), interval.index(times, place.b)
    counters = _counters(place.stream, times, columns, (first, last), join_ms)
    integral, doubt = _integral(*_near(times, columns.get(POWER, ()), (first, last)), join_ms)
    lead, _ = _near(times, columns.get(next(iter(counters), POWER), ()), (first, last))
    samples = {name: stat for name in columns if (stat := _stat(columns[name][first:last])) is not None}
    return Facts(
        place.device,
        place.stream.role,
        place.stream.rated_w,
        place.a,
        place.b,
        covered_ms=sum(t2 - t1 for t1, t2 in pairwise(lead) if t2 - t1 <= join_ms),
        last_ms=times[last - 1] if last else place.a,
        power=samples.get(POWER),
        power_mwh=integral,
        doubt_mwh=doubt,
        energy={name: counter.energy for name, counter in counters.items()},
        gap_energy={name: counter.gap_energy for name, counter in counters.items()},
        falls=[fall for counter in counters.values() for fall in counter.falls],
        levels={name: counter.level for name, counter in counters.items() if counter.level is not None},
        samples=samples,
        moves=moves_of(times, columns, (first, last), join_ms),
        lone_mw=_lone(_near(times, columns.get(POWER, ()), (first, min(last + 1, len(times))))[1]),
    )


def _lone(values: Sequence[int]) -> int:
    """Return the highest value that is far above both its neighbours."""
    found = 0
    for before, value, after in zip(values, values[1:], values[2:], strict=False):
        if value > found and value > LONE_RATIO * max(before, after, 1):
            found = value
    return found


def _of_figures(
    place: Place, figures: Mapping[str, Any], end_ms: int, samples: Mapping[str, Stat], levels: Mapping[str, int]
) -> Facts:
    power = figures.get("power")
    is_counted = bool(figures["gap_energy"])  # without counters it is empty, and the energy is power over time
    return Facts(
        place.device,
        place.stream.role,
        place.stream.rated_w,
        place.a,
        place.b,
        covered_ms=figures["covered_ms"],
        last_ms=min(end_ms, place.b),
        power=power and Stat(power["n"], power["mean"], power["mean"], power["min"], power["max"], power["mean"]),
        power_mwh=0.0 if power is None else power["mean"] * figures["covered_ms"] / HOUR_MS,
        doubt_mwh=0.0,
        energy=figures["energy"] if is_counted else {},
        gap_energy=figures["gap_energy"],
        falls=(),
        levels=levels,
        samples=samples,
        lone_mw=0 if power is None else _lone_of_mean(power),
    )


def _lone_of_mean(power: Mapping[str, int]) -> int:
    """Return the highest of many values when it is far above their mean."""
    high = power["max"]
    return high if power["n"] >= LONE_ROWS_MIN and high > LONE_MEAN_RATIO * max(power["mean"], 1) else 0


class _Counter:
    """One counter's rows within an interval, read pair by pair."""

    def __init__(self, name: str, modulus: int | None) -> None:
        self.name, self.modulus = name, modulus
        self.energy = self.gap_energy = 0
        self.level: int | None = None
        self.falls: list[Fall] = []

    def read(self, times: Sequence[int], values: Sequence[int], join_ms: int) -> None:
        """Take the rows: those of the interval, and the one before."""
        if values:
            self.level = values[-1]
        rises = [(t2 - t1, c1, c2) for (t1, c1), (t2, c2) in pairwise(zip(times, values, strict=True))]
        spacing = sorted(elapsed for elapsed, _, _ in rises)[len(rises) // 2] if rises else 0
        for elapsed, before, after in rises:
            if after < before:
                self.falls.append(Fall(self.name, elapsed, before, after, self.modulus, spacing))
            elif elapsed > join_ms:
                self.gap_energy += after - before
            else:
                self.energy += after - before


def _counters(
    stream: Any, times: Sequence[int], columns: Mapping[str, Column], rows: tuple[int, int], join_ms: int
) -> dict[str, _Counter]:
    found = {name: _Counter(name, modulus) for name, modulus in evidence.counters(stream)}
    for name, counter in found.items():
        counter.read(*_near(times, columns.get(name, ()), rows), join_ms)
    return found


def _near(times: Sequence[int], values: Column, rows: tuple[int, int]) -> tuple[list[int], list[int]]:
    """Return the rows of a range that have a value, and the one before them."""
    start, last = rows
    while start > 0 and values:
        start -= 1
        if values[start] is not None:
            break
    found = [(time, value) for time, value in zip(times[start:last], values[start:last], strict=False)]
    good = [(time, value) for time, value in found if value is not None]
    return [time for time, _ in good], [value for _, value in good]


def _integral(times: Sequence[int], values: Sequence[int], join_ms: int) -> tuple[float, float]:
    """Return power over time, and how far another reading of rows that are far apart could be from it."""
    integral = doubt = 0
    for (t1, p1), (t2, p2) in pairwise(zip(times, values, strict=True)):
        if t2 - t1 <= join_ms:
            integral += (p1 + p2) * (t2 - t1)
            if t2 - t1 > JOIN_MS_MAX:
                doubt += abs(p2 - p1) * (t2 - t1)
    return integral / 2 / HOUR_MS, doubt / 2 / HOUR_MS


def _stat(column: Column) -> Stat | None:
    values = [value for value in column if value is not None]
    if not values:
        return None
    return Stat(len(values), values[0], values[-1], min(values), max(values), sum(values) // len(values))


def _two(first: int, last: int) -> Stat:
    return Stat(2, first, last, min(first, last), max(first, last), (first + last) // 2)


def _first_last(column: Column) -> tuple[int, int] | None:
    """Return the first and the last value of a column that are there."""
    values = [value for value in column if value is not None]
    return (values[0], values[-1]) if values else None


def _ends(columns: Sequence[packed.Column]) -> tuple[int, int] | None:
    """Return the first and the last value of columns that follow one another, each in difference form."""
    for column in columns:
        first = packed.first(column)
        if first is not None:
            break
    else:
        return None
    for column in reversed(columns):
        last = packed.last(column)
        if last is not None:
            return first, last
    return None
