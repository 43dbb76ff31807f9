"""What the rules look at: the facts of one stream in one interval, from summed-up frames or from rows.

Units are the wire's working units: mW, mWh, ms, and thousandths of every other point's unit.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from wattwire import evidence, interval
from wattwire.interval import EXPORT, IMPORT, JOIN_MS_MAX, POWER

SAMPLED = {"frequency": "Hz", "voltage": "V", "voltage_l1": "V", "soc": "%"}  # a value or two tell enough
MOVING = {"speed": "km/h", "odometer": "km", "latitude": "deg", "longitude": "deg"}  # positions: recorded files only
EARTH_M = 6_371_000
HOUR_MS = 3_600_000

Column = Sequence[int | None]


class Fall(NamedTuple):
    """A counter that was lower than before; `spacing_ms` is how far its rows usually are apart."""

    name: str
    elapsed_ms: int
    before: int
    after: int
    modulus: int | None
    spacing_ms: int


class Stat(NamedTuple):
    """Values of a point within the interval; of rows that were only sampled, those of the sample."""

    n: int
    first: int
    last: int
    low: int
    high: int
    mean: int


class Move(NamedTuple):
    """How a vehicle moved from one row to the next: metres by odometer, by speed and by position, where known."""

    elapsed_ms: int
    odometer_m: float | None
    speed_m: float | None
    position_m: float | None


class Facts(NamedTuple):
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
    steps: Mapping[str, int]  # the least rise of each counter that was seen, where one was
    levels: Mapping[str, int]  # of the counters, at the last row
    samples: Mapping[str, Stat]
    moves: Sequence[Move] = ()

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


class Place(NamedTuple):
    """Which stream and interval facts are of."""

    device: str
    stream: Any  # wattwire.frame.Stream
    a: int
    b: int


def of_blocks(place: Place, blocks: Sequence[Any], figures: Mapping[str, Any]) -> Facts | None:
    """Return the facts of frames that were summed up, or None when a counter fell: then the rows must be looked at."""
    if figures["counter_resets"]:
        return None
    inside = [block for block in blocks if place.a <= block.first < place.b] or blocks[-1:]
    levels: dict[str, int] = {}
    for block in blocks:
        for name, found in block.sums.items():
            if found is not None:
                if found[1] < levels.get(name, 0):
                    return None
                levels[name] = found[3]
    power = figures.get("power")
    stat = None
    if power is not None:
        stat = Stat(power["n"], power["mean"], power["mean"], power["min"], power["max"], power["mean"])
    return Facts(
        place.device,
        place.stream.role,
        place.stream.rated_w,
        place.a,
        place.b,
        figures["covered_ms"],
        min(blocks[-1].last, place.b),
        stat,
        0.0 if stat is None else stat.mean * figures["covered_ms"] / HOUR_MS,
        0.0,
        figures["energy"],
        figures["gap_energy"],
        (),
        _steps(inside[-1]),
        levels,
        _samples(inside),
    )


def of_rows(place: Place, times: Sequence[int], columns: Mapping[str, Column], join_ms: int = JOIN_MS_MAX) -> Facts:
    """Return the facts of rows in ascending time; each pair of neighbours counts where its later row lies."""
    stream, a, b = place.stream, place.a, place.b
    first, last = interval.index(times, a), interval.index(times, b)
    counters = {name: _Counter(name, modulus) for name, modulus in evidence.counters(stream)}
    for name, counter in counters.items():
        counter.read(*_near(times, columns.get(name, ()), first, last), join_ms)
    samples = {name: stat for name in columns if (stat := _stat(columns[name][first:last])) is not None}
    integral, doubt = _integral(*_near(times, columns.get(POWER, ()), first, last), join_ms)
    lead = next(iter(counters), POWER)
    lead_times, _ = _near(times, columns.get(lead, ()), first, last)
    return Facts(
        place.device,
        stream.role,
        stream.rated_w,
        a,
        b,
        sum(t2 - t1 for t1, t2 in pairwise(lead_times) if t2 - t1 <= join_ms),
        times[last - 1] if last else a,
        samples.get(POWER),
        integral,
        doubt,
        {name: counter.energy for name, counter in counters.items()},
        {name: counter.gap_energy for name, counter in counters.items()},
        [fall for counter in counters.values() for fall in counter.falls],
        {name: counter.step for name, counter in counters.items() if counter.step is not None},
        {name: counter.level for name, counter in counters.items() if counter.level is not None},
        samples,
        _moves(times, columns, first, last, join_ms),
    )


class _Counter:
    """One counter's rows within an interval, read pair by pair."""

    def __init__(self, name: str, modulus: int | None) -> None:
        self.name, self.modulus = name, modulus
        self.energy = self.gap_energy = 0
        self.step: int | None = None
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
                if after > before:
                    self.step = min(self.step or after - before, after - before)


def _near(times: Sequence[int], values: Column, first: int, last: int) -> tuple[list[int], list[int]]:
    """Return the rows from `first` to `last` that have a value, and the one before them."""
    start = first
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


def _steps(block: Any) -> dict[str, int]:
    """Return the least rise of each counter within a block."""
    found = {}
    if not block.stream.inverted:
        for column, factor, name in block.plan.counters:
            rises = [step for step in block.source[0].columns[column][1:] if step]
            if rises:
                found[name] = abs(min(rises, key=abs)) * factor
    return found


def _samples(blocks: Sequence[Any]) -> dict[str, Stat]:
    """Return the first and the last value that blocks hold of the sampled points."""
    found: dict[str, Stat] = {}
    for block in blocks[:1] if len(blocks) == 1 else (blocks[0], blocks[-1]):
        for point, column in zip(block.stream.points, block.source[0].columns, strict=True):
            if SAMPLED.get(point.name) == point.unit:
                _sample(found, point, column)
    return found


def _sample(found: dict[str, Stat], point: Any, column: Column) -> None:
    """Add the two ends of a column, which is in difference form."""
    steps = [step for step in column if step is not None]
    if steps:
        first, last = (evidence.to_milli(value, point.exponent) for value in (steps[0], sum(steps)))
        before = found.get(point.name)
        values = (first, last) if before is None else (before.low, before.high, first, last)
        begin = first if before is None else before.first
        found[point.name] = Stat(len(values), begin, last, min(values), max(values), sum(values) // len(values))


def _moves(times: Sequence[int], columns: Mapping[str, Column], first: int, last: int, join_ms: int) -> list[Move]:
    """Return how a vehicle moved between the interval's rows, where they join."""
    if MOVING.keys().isdisjoint(columns):
        return []
    found = []
    for before, after in pairwise(range(max(0, first - 1), last)):
        elapsed = times[after] - times[before]
        one, other = ({name: columns[name][row] for name in MOVING if name in columns} for row in (before, after))
        if elapsed <= join_ms:
            found.append(_move(elapsed, one, other))
    return found


def _move(elapsed_ms: int, one: Mapping[str, int | None], other: Mapping[str, int | None]) -> Move:
    def both(name: str) -> tuple[int, int] | None:
        v1, v2 = one.get(name), other.get(name)
        return None if v1 is None or v2 is None else (v1, v2)

    odometer, speed = both("odometer"), both("speed")
    latitude, longitude = both("latitude"), both("longitude")
    return Move(
        elapsed_ms,
        None if odometer is None else odometer[1] - odometer[0],  # thousandths of a kilometre
        None if speed is None else (speed[0] + speed[1]) / 2 / 3_600_000 * elapsed_ms,
        None if latitude is None or longitude is None else _distance_m(latitude, longitude),
    )


def _distance_m(latitude: tuple[int, int], longitude: tuple[int, int]) -> float:
    """Return the great-circle distance of two positions in millionths of a degree."""
    phi1, phi2 = (math.radians(value / 1e6) for value in latitude)
    turn = math.radians((longitude[1] - longitude[0]) / 1e6)
    half = math.sin((phi2 - phi1) / 2) ** 2 + math.cos(phi1) * math.cos(phi2) * math.sin(turn / 2) ** 2
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(half)))
