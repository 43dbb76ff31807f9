"""Honest days and spoilt ones, drawn by a seed from the recorded days: what the rules must let pass, and must catch.

An honest day is a recorded one under other clouds, on an installation of another size, read by another meter: noise,
coarse counters, gaps, restarts, resets, roll-overs, an hour that comes twice or not at all. A spoilt day is an honest
one with one thing changed that no honest device does.
"""

import math
import random
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from emulator.recordings import golden_pv_mw, home_mw
from wattness.quality.recording import Recording
from wattness.site import Plane, Site

MINUTE_MS = 60_000
NOW_MS = 1_780_000_000_000  # 2026-05-28: after all days that are drawn
GOLDEN = Site(39.742, -105.178, timezone="America/Denver", altitude_m=1800, pv=[])
AUTUMN = Site(39.742, -105.178, timezone="America/Asuncion", altitude_m=1800, pv=[])  # whose summer time ends in March
SYDNEY = Site(-33.87, 151.2, timezone="Australia/Sydney", altitude_m=30, pv=[Plane(20, 350)])
CHANGES = ((GOLDEN, date(2022, 3, 13)), (AUTUMN, date(2022, 3, 27)))  # of the clock: a day of 23 hours, one of 25
RECORDING_MINUTES = {GOLDEN.timezone: -7 * 60, AUTUMN.timezone: -7 * 60, SYDNEY.timezone: 11 * 60}  # ahead of UTC
DISPLAY_MWH = 10**11  # 99,999 kWh and then 0
U32_MWH = (1 << 32) * 1000


@dataclass
class Drawn:
    """One device's rows of one local day, minute by minute; energy in mWh, power in mW."""

    site: Site
    day: date
    rated_w: int
    times: list[int]
    power: list[int | None]
    counter: list[int | None]
    frequency: list[int | None] = field(default_factory=list)
    voltage: list[int | None] = field(default_factory=list)
    modulus: int | None = None
    step_mwh: int = 1000

    @property
    def made_mwh(self) -> float:
        """Return what the day made, by power."""
        return sum(max(0, value or 0) for value in self.power) / 60

    def recording(self) -> Recording:
        """Return it as a file would be read."""
        zone = ZoneInfo(self.site.timezone)
        kept: list[int] = []
        days: list[str] = []
        late: dict[str, int] = {}
        last = -1
        for row, at in enumerate(self.times):
            day = datetime.fromtimestamp(at / 1000, zone).date().isoformat()
            if at <= last:
                late[day] = late.get(day, 0) + 1
                continue
            last = at
            kept.append(row)
            days.append(day)
        columns = {"power": self.power, "energy_export": self.counter, "frequency": self.frequency}
        columns["voltage"] = self.voltage
        picked = {name: [column[row] for row in kept] for name, column in columns.items()}
        return Recording([self.times[row] for row in kept], days, picked, late, zoned=True)


def recorded(number: int) -> Drawn:
    """Return a recorded day as it is, with a counter beside it: the first is Golden's, the others the home's."""
    if number == 0:
        found = Drawn(GOLDEN, date(2022, 3, 19), 6000, [], [], [])
        minutes = _times(found.site, found.day)
    else:
        found = Drawn(SYDNEY, date(2012, 1, number), 1040, [], [], [])
        minutes = _times(found.site, found.day)[::30]
    found.times = minutes
    return _metered(found, _at(minutes, _shape(number), found.site), 0)


RECORDED = 1 + len(home_mw())


def honest(seed: int) -> Drawn:
    """Draw an honest day."""
    draw = random.Random(f"day {seed}")
    number = draw.randrange(RECORDED) if draw.random() < 0.7 else 0
    source = recorded(number)
    site, day = source.site, source.day.replace(year=2022) + timedelta(days=draw.randint(-10, 10))
    if number == 0 and draw.random() < 0.3:
        site, day = draw.choice(CHANGES)
    size = math.exp(draw.uniform(math.log(0.3), math.log(8)))
    rated = max(100, round(source.rated_w * size))
    times = _times(site, day)
    shape = [value * size for value in _at(times, _shape(number), site)]
    if site is SYDNEY:  # one turn of that home's meter is 12 W, also at night
        shape = [value if value > 15_000 * size else 0.0 for value in shape]
    shape = _clouded(shape, draw)
    if draw.random() < 0.2:  # a small inverter behind many panels: it clips, honestly above what it is rated for
        top = max(shape) or 1.0
        rated = max(100, round(top / 1000 / draw.uniform(1.0, 1.25)))
        shape = [min(value, rated * 1090 * draw.uniform(0.995, 1)) for value in shape]
    shape = [min(value * draw.gauss(1, 0.01), rated * 1140) for value in shape]
    own_use = draw.uniform(-5000, 0)
    shape = [value if value > abs(own_use) else own_use * draw.uniform(0.9, 1) for value in shape]
    step = draw.choice([1, 100, 1000, 1000, 10_000, 100_000, 1_000_000])
    found = _metered(Drawn(site, day, rated, times, [], [], step_mwh=step), shape, draw.randrange(10**7, 10**11))
    for happen in (draw.choice(COUNTER), draw.choice(LINE)):
        if draw.random() < 0.4:
            happen(found, draw)
    return found


@cache
def _shape(number: int) -> list[float]:
    """Return the power of a recorded day at each minute of the clock of its recording."""
    if number == 0:
        return [float(power) for power in golden_pv_mw()]
    means = [float(mean) for _, mean in home_mw()[number - 1]]
    return [means[at // 30] + (means[(at // 30 + 1) % 48] - means[at // 30]) * (at % 30) / 30 for at in range(1440)]


def _times(site: Site, day: date) -> list[int]:
    """Return the minutes of a local day: 1380, 1440 or 1500 of them."""
    zone = ZoneInfo(site.timezone)
    start, end = (
        round(datetime.combine(one, datetime.min.time(), zone).timestamp() * 1000)
        for one in (day, day + timedelta(days=1))
    )
    return list(range(start, end, MINUTE_MS))


def _at(times: list[int], shape: list[float], site: Site) -> list[float]:
    """Return a day's shape at these times: the sun does not change its clock."""
    return [shape[_minute(at, site)] for at in times]


def _minute(unix_ms: int, site: Site) -> int:
    return (unix_ms // MINUTE_MS + RECORDING_MINUTES[site.timezone]) % 1440


def _metered(found: Drawn, power_mw: list[float], start_mwh: int) -> Drawn:
    """Fill in the rows of a meter that counted `start_mwh` before."""
    step, spacing_ms = found.step_mwh, found.times[1] - found.times[0]
    total, before = 0.0, power_mw[0]
    for power in power_mw:
        total += max(power + before, 0) / 2 * spacing_ms / 3_600_000
        before = power
        found.power.append(round(power))
        found.counter.append((start_mwh + int(total)) // step * step)
    draw = random.Random(start_mwh)
    found.frequency = [50_000 + draw.randint(-60, 60) for _ in found.times]
    found.voltage = [230_000 + draw.randint(-4000, 4000) for _ in found.times]
    return found


def _clouded(shape: list[float], draw: random.Random) -> list[float]:
    """Lay another sky over a day: from clear to dark, from still to broken."""
    mean, swing = draw.uniform(0.15, 1.0), draw.choice([0.0, 0.05, 0.2, 0.5])
    level, found = mean, []
    for value in shape:
        level += (mean - level) * 0.1 + draw.gauss(0, swing * 0.3)
        found.append(value * min(max(level, 0.05), 1.1))
    return found


def _gap(found: Drawn, draw: random.Random) -> None:
    """The line was down: no rows for a while."""
    first = draw.randrange(len(found.times))
    last = first + draw.randint(2, 300)
    for column in (found.times, found.power, found.counter, found.frequency, found.voltage):
        del column[first:last]


def _nulls(found: Drawn, draw: random.Random) -> None:
    """The device did not answer, now and then."""
    for row in draw.sample(range(len(found.times)), len(found.times) // 20):
        found.power[row] = found.counter[row] = found.frequency[row] = found.voltage[row] = None


def _restart(found: Drawn, draw: random.Random) -> None:
    """A firmware restart: some minutes without an answer, and the counter goes on from what was saved."""
    row = draw.randrange(10, len(found.times) - 10)
    saved = row - draw.randint(0, 10)
    away = draw.randint(2, 8)
    for at in range(row, min(row + away, len(found.times))):
        found.power[at] = found.counter[at] = None
    last, kept = found.counter[row - 1], found.counter[saved]
    if last is not None and kept is not None:
        _shift(found, row + away, kept - last)


def _reset(found: Drawn, draw: random.Random) -> None:
    """The counter starts again from zero."""
    row = draw.randrange(1, len(found.times))
    level = next((value for value in found.counter[row:] if value is not None), 0)
    _shift(found, row, -level)


def _roll_over(found: Drawn, draw: random.Random) -> None:
    """The counter's register is full in the middle of the day."""
    row = draw.randrange(1, len(found.times))
    level = next((value for value in found.counter[row:] if value is not None), 0)
    full = U32_MWH if found.step_mwh <= 1000 else DISPLAY_MWH
    _shift(found, 0, (full - level) // found.step_mwh * found.step_mwh)
    found.counter = [None if value is None else value % full for value in found.counter]
    found.modulus = draw.choice([None, full])


def _slow_counter(found: Drawn, draw: random.Random) -> None:
    """The counter's register is renewed every few minutes only."""
    period = draw.choice([3, 5, 10, 15])
    kept: int | None = None
    for row, value in enumerate(found.counter):
        kept = value if row % period == 0 or kept is None else kept
        found.counter[row] = None if value is None else kept


def _shift(found: Drawn, first: int, by_mwh: int) -> None:
    for row in range(first, len(found.counter)):
        value = found.counter[row]
        found.counter[row] = None if value is None else value + by_mwh


LINE = (_gap, _nulls)
COUNTER = (_restart, _reset, _roll_over, _slow_counter)
