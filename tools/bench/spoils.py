"""What dishonest or broken devices do to an honest day: each change is one that the rules must catch."""

import random
from collections.abc import Callable
from dataclasses import replace

from bench.days import MINUTE_MS, NOW_MS, Drawn

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

Spoil = Callable[[Drawn, random.Random], list[Drawn]]  # several: devices, or days, that are judged together


def rolled_back(day: Drawn, draw: random.Random) -> list[Drawn]:
    """The counter is turned back by part of the day's energy, or of all it ever counted."""
    values = [value for value in day.counter if value is not None]
    made = max(values) - min(values)
    drop = round(draw.choice([made * draw.uniform(0.3, 1), max(values) * draw.uniform(0.05, 0.9)]))
    drop = max(drop, 2_000_000)
    row = draw.randrange(len(day.times) // 4, len(day.times))
    base = max(0, drop + 10_000_000 - min(values))  # so that it falls to something, not to nothing
    counter = _moved(day.counter, 0, base)
    return [replace(day, counter=_moved(counter, row, -drop))]


def above_rated(day: Drawn, draw: random.Random) -> list[Drawn]:
    """The peak is 1.5 times the rated power."""
    factor = day.rated_w * 1500 / max(value for value in day.power if value is not None)
    return [replace(day, power=_times(day.power, factor * draw.uniform(1, 1.1)), counter=_stretched(day, factor))]


def doubled(day: Drawn, _draw: random.Random) -> list[Drawn]:
    """The counter counts everything twice."""
    return [replace(day, counter=_stretched(day, 2))]


def jumped(day: Drawn, draw: random.Random) -> list[Drawn]:
    """50 kWh appear in the counter."""
    return [replace(day, counter=_moved(day.counter, draw.randrange(1, len(day.times)), 50_000_000))]


def shifted(day: Drawn, draw: random.Random) -> list[Drawn]:
    """The day is moved into the night."""
    by = draw.choice([-1, 1]) * draw.randint(8 * 60, 12 * 60) * MINUTE_MS
    return [replace(day, times=[at + by for at in day.times])]


def from_the_future(day: Drawn, draw: random.Random) -> list[Drawn]:
    """The rows are dated later than now."""
    by = (NOW_MS - day.times[0]) // DAY_MS * DAY_MS + draw.randint(1, 400) * DAY_MS
    return [replace(day, times=[at + by for at in day.times])]


def duplicated(day: Drawn, draw: random.Random) -> list[Drawn]:
    """The day comes again: as another device's, as the next day's, or its rows twice."""
    kind = draw.randrange(3)
    if kind == 0:
        return [day, replace(day)]
    if kind == 1:
        return [day, replace(day, times=[at + DAY_MS for at in day.times])]
    rows = sorted([*range(len(day.times)), *draw.sample(range(len(day.times)), 30)])
    columns = (day.power, day.counter, day.frequency, day.voltage)
    power, counter, frequency, voltage = ([column[row] for row in rows] for column in columns)
    times = [day.times[row] for row in rows]
    return [replace(day, times=times, power=power, counter=counter, frequency=frequency, voltage=voltage)]


def spiked(day: Drawn, draw: random.Random) -> list[Drawn]:
    """A few values of power are 20 times what they were."""
    power = list(day.power)
    rows = [row for row, value in enumerate(power) if value is not None and value > day.rated_w * 20]
    for row in draw.sample(rows, min(len(rows), draw.randint(1, 5))):
        power[row] = (power[row] or 0) * 20
    return [replace(day, power=power)]


SPOILS: dict[str, Spoil] = {
    "counter_rollback": rolled_back,
    "rated_x_1.5": above_rated,
    "energy_x_2": doubled,
    "plus_50_kwh": jumped,
    "shift_into_night": shifted,
    "future": from_the_future,
    "duplicates": duplicated,
    "spikes_x_20": spiked,
}


def _moved(column: list[int | None], first: int, by: int) -> list[int | None]:
    return [value if value is None or row < first else value + by for row, value in enumerate(column)]


def _times(column: list[int | None], factor: float) -> list[int | None]:
    return [None if value is None else round(value * factor) for value in column]


def _stretched(day: Drawn, factor: float) -> list[int | None]:
    """Return the counter with all of its rises times `factor`."""
    found: list[int | None] = []
    before: int | None = None
    level = 0.0
    for value in day.counter:
        if value is not None:
            rise = 0 if before is None else value - before
            level = float(value) if before is None or rise < 0 else level + rise * factor
            before = value
        found.append(None if value is None else round(level))
    return found
