"""The recorded sites at any civil time: one seeded generator, in the open, derives what the recordings lack.

Recorded: the PV power at Golden (one minute) and the load and PV of a home (half-hour means). Derived, as a pure
function of (seed, time):

* power between the recorded values: at Golden a straight line from minute to minute; at the home a step each minute,
  drawn around the recorded mean so that every half hour keeps it exactly; the home's grid power is load − PV;
* energy counters: the exact integral of that power, import and export apart, from `INSTALLED_MS` on, plus what the
  meter had counted before;
* voltage: its nominal value, slow swings, and a rise or fall with the power; frequency: small swings;
* reactive power: a constant and a share of the power; current and power factor follow from it.

The recorded day repeats; the home's January days follow one another, by the clock hours of the demo's time zone.
"""

import math
import random
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from emulator.curve import Curve, Day, linear_day, step_day
from emulator.recordings import golden_pv_mw, home_mw

TIMEZONE_MS = -7 * 3_600_000  # Golden's; the recording has it in every row
INSTALLED_MS = 1_646_377_200_000 - 2 * 86_400_000  # 2022-03-02 00:00 −07:00: the counters' day one
GOLDEN_START_MS = 1_647_709_200_000  # 2022-03-19 10:00 −07:00, a good hour of the recorded day
PHASES = 3


class Reading(NamedTuple):
    """What an ideal meter shows; power and current are positive in the direction of import."""

    power_mw: int
    import_mwh: int
    export_mwh: int
    voltage_mv: int
    current_ma: int
    frequency_mhz: int
    apparent_mva: int
    reactive_mvar: int
    power_factor_ppm: int


@dataclass(frozen=True)
class Electrics:
    """The nominal values of a place."""

    voltage_mv: int
    frequency_mhz: int
    rise_uv_per_w: int  # how much a watt that flows out lifts the voltage, in µV
    base_mvar: int
    reactive_permille: int


HOUSE = Electrics(230_000, 50_000, 400, 40_000, 120)
PANELS = Electrics(240_000, 60_000, 300, 15_000, 20)


class MeteringPoint:
    """A place in a circuit where a meter sits; `sign` is −1 where the curve's positive power flows out (PV)."""

    def __init__(self, seed: str, curve: Curve, electrics: Electrics, sign: int = 1) -> None:
        self.curve, self.electrics, self.sign = curve, electrics, sign
        draw = random.Random(f"{seed} meter")
        self._counted_mwh = (draw.randrange(10**8, 10**9), draw.randrange(10**8, 10**9))
        self._turns = tuple(draw.random() for _ in range(2 * (3 + PHASES)))

    def reading(self, unix_ms: int, phase: int = 0) -> Reading:
        """What the meter shows at `unix_ms`; `phase` only shifts the voltage's swings."""
        power, positive, negative = self.curve.at(unix_ms)
        into, out = (positive, negative) if self.sign > 0 else (negative, positive)
        return self._electrical(unix_ms, phase, self.sign * power, into, out)

    def _electrical(self, unix_ms: int, phase: int, power: int, into: int, out: int) -> Reading:
        place = self.electrics
        turns = self._turns[2 * phase :]
        voltage = place.voltage_mv - power * place.rise_uv_per_w // 1_000_000
        voltage += _swing(unix_ms, 1_020_000, turns[0], 1500) + _swing(unix_ms, 47_000, turns[1], 150)
        frequency = place.frequency_mhz + _swing(unix_ms, 290_000, self._turns[-1], 18)
        reactive = place.base_mvar + abs(power) * place.reactive_permille // 1000
        apparent = math.isqrt(power * power + reactive * reactive)
        return Reading(
            power_mw=power,
            import_mwh=self._counted_mwh[0] + into,
            export_mwh=self._counted_mwh[1] + out,
            voltage_mv=voltage,
            current_ma=(apparent * 1000 // voltage) * (1 if power >= 0 else -1),
            frequency_mhz=frequency,
            apparent_mva=apparent,
            reactive_mvar=reactive,
            power_factor_ppm=power * 1_000_000 // apparent,
        )


class PvSite:
    """The PV system near Golden, or a neighbour of another size under the same clouds."""

    def __init__(self, seed: int = 0, size_ppm: int = 1_000_000) -> None:
        self.pv = MeteringPoint(f"golden {seed}", _golden_curve(size_ppm), PANELS, sign=-1)

    def values(self, unix_ms: int) -> dict[str, float]:
        """The points of its pv stream, in their units and with the stream's signs: generation is positive."""
        return role_values(self.pv.reading(unix_ms), sign=-1)


class HomeSite:
    """The home, laid over the demo's days."""

    def __init__(self, seed: int = 0) -> None:
        load, pv, grid = _home_curves(seed)
        self.load = MeteringPoint(f"home load {seed}", load, HOUSE)
        self.pv = MeteringPoint(f"home pv {seed}", pv, HOUSE, sign=-1)
        self.grid = MeteringPoint(f"home grid {seed}", grid, HOUSE)

    def values(self, unix_ms: int, role: str = "grid") -> dict[str, float]:
        """The points of one of its streams (`grid`, `load` or `pv`), in their units and with the stream's signs."""
        point = {"grid": self.grid, "load": self.load, "pv": self.pv}[role]
        return role_values(point.reading(unix_ms), sign=point.sign)


def role_values(reading: Reading, sign: int) -> dict[str, float]:
    """A reading under the point names of the wire; `sign` −1 for a stream where export is positive."""
    return {
        "power": sign * reading.power_mw / 1000,
        "energy_import": reading.import_mwh / 1000,
        "energy_export": reading.export_mwh / 1000,
        "voltage": reading.voltage_mv / 1000,
        "current": sign * reading.current_ma / 1000,
        "frequency": reading.frequency_mhz / 1000,
        "apparent_power": reading.apparent_mva / 1000,
        "reactive_power": sign * reading.reactive_mvar / 1000,
        "power_factor": reading.power_factor_ppm / 1_000_000,
    }


def _swing(unix_ms: int, period_ms: int, turn: float, amplitude: int) -> int:
    return round(amplitude * math.sin(math.tau * (unix_ms % period_ms / period_ms + turn)))


@cache
def _golden_curve(size_ppm: int) -> Curve:
    return Curve((linear_day([power * size_ppm // 1_000_000 for power in golden_pv_mw()]),), INSTALLED_MS)


@cache
def _home_curves(seed: int) -> tuple[Curve, Curve, Curve]:
    """Curves of load, PV and grid."""
    loads: list[Day] = []
    pvs: list[Day] = []
    grids: list[Day] = []
    for number, halves in enumerate(home_mw()):
        draw = random.Random(f"home {seed} day {number}")
        load = [power for mean, _ in halves for power in _around(mean, 0.25, draw)]
        pv = [power for _, mean in halves for power in _around(mean, 0.12, draw)]
        loads.append(step_day(load))
        pvs.append(step_day(pv))
        grids.append(step_day([one - other for one, other in zip(load, pv, strict=True)]))
    return tuple(Curve(tuple(days), INSTALLED_MS) for days in (loads, pvs, grids))  # type: ignore[return-value]


def _around(mean_mw: int, spread: float, draw: random.Random, count: int = 30) -> list[int]:
    """`count` powers around `mean_mw` whose mean is exactly that."""
    weights = [math.exp(draw.gauss(0, spread)) for _ in range(count)]
    total, whole = mean_mw * count, sum(weights)
    powers = [int(total * weight / whole) for weight in weights]
    for index in range(total - sum(powers)):  # what flooring left over, 1 mW each
        powers[index % count] += 1
    return powers
