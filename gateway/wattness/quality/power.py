"""Rules on power: rated power, the sun, and values that stand still."""

from .facts import Facts
from .memory import HOUR_MS, Memory, Notes
from .sun import Sun

RATED_PERCENT_MAX = 115  # honest inverters reach 109
NIGHT_DEG = -6.0  # civil night: no panel gives anything
NIGHT_W = 15  # what a meter's last digits may say
NIGHT_SHARE = 0.002  # of rated power, added to that
DRAW_SHARE = 0.005  # an inverter's own use
OVERSIZE = 1.5  # panels for each watt of the inverter, where nobody gives their peak power
EDGE_MEAN, EDGE_TOP = 1.25, 1.5  # clouds' edges add their light to the sun's, for moments more than for minutes
FLOOR_SHARE = 0.03  # of the panels' peak: twilight, snow and neighbours' windows
LONE_MW_MIN = 100_000  # less is no more than a meter's noise
LONE_SHARE = 0.05  # … or this share of rated power
STILL_MS = HOUR_MS
STILL_INTERVAL_MS = 600_000  # a longer interval counts as this much: its few rows may be alike by chance
STILL_MW_MIN = 50_000  # idle devices stand still
CLIPPED = 0.95  # of rated power, from where an inverter may hold its limit exactly


def check(facts: Facts, memory: Memory, notes: Notes, sun: Sun | None) -> None:
    """Apply all of them."""
    _rated(facts, notes)
    _still(facts, memory, notes)
    if facts.role == "pv" and facts.lone_mw > max(LONE_MW_MIN, (facts.rated_w or 0) * 1000 * LONE_SHARE):
        notes.find("power_spike")
    if sun is not None and facts.role == "pv":
        height = sun.elevation(facts.a, facts.b)
        if height is not None and height < NIGHT_DEG:
            _night(facts, memory, notes)
        elif height is not None:
            _clear_sky(facts, memory, notes, sun)


def _rated(facts: Facts, notes: Notes) -> None:
    if facts.rated_w is not None and facts.power is not None:
        highest = facts.rated_w * 10 * RATED_PERCENT_MAX
        if facts.power.high > highest or facts.power.low < -highest:
            notes.find("power_above_rated")


def _night(facts: Facts, memory: Memory, notes: Notes) -> None:
    rated_mw = (facts.rated_w or 0) * 1000
    highest = NIGHT_W * 1000 + rated_mw * NIGHT_SHARE
    if facts.power is not None:
        if facts.power.mean > highest or facts.power.high > 3 * highest:
            notes.find("night_production")
        if facts.power.mean < -NIGHT_W * 1000 - rated_mw * DRAW_SHARE:
            notes.find("night_draw")
    made = facts.energy.get("energy_export", 0)
    elapsed = facts.b - facts.a + memory.idle_ms.get("energy_export", 0)
    if made > 2 * memory.step("energy_export") + highest * elapsed / HOUR_MS:
        notes.find("night_production")


def _clear_sky(facts: Facts, memory: Memory, notes: Notes, sun: Sun) -> None:
    ceiling = ceiling_w(facts, sun)
    if ceiling is None:
        return
    clear, floor = ceiling
    if facts.power is not None:
        mean, top = facts.power.mean / 1000, facts.power.high / 1000
    else:
        made = facts.energy.get("energy_export", 0) - 2 * memory.step("energy_export")
        mean = made * 3600 / (facts.b - facts.a + memory.idle_ms.get("energy_export", 0))
        top = 0.0
    if mean > clear * EDGE_MEAN + floor or top > clear * EDGE_TOP + floor:
        notes.find("above_clear_sky")


def ceiling_w(facts: Facts, sun: Sun) -> tuple[float, float] | None:
    """Return what the panels give under the clearest sky, and what may come on top; None when nobody knows them."""
    planes = sun.planes(facts.device)
    peaks = [plane.peak_w for _, plane in planes]
    if peaks and None not in peaks:
        lights = [(sun.light(number, facts.a, facts.b) or 0) * (plane.peak_w or 0) for number, plane in planes]
        return sum(lights) / 1000, FLOOR_SHARE * sum(peak or 0 for peak in peaks)
    if facts.rated_w is None:
        return None
    peak = facts.rated_w * OVERSIZE
    numbers: list[int | None] = [number for number, _ in planes] or [None]
    light = max(sun.light(number, facts.a, facts.b) or 0 for number in numbers)
    return peak * light / 1000, FLOOR_SHARE * peak


def _still(facts: Facts, memory: Memory, notes: Notes) -> None:
    """Find a power that does not change at all while nothing else of the stream moves."""
    power = facts.power
    if power is None:
        return
    moves = power.low != power.high or power.high != memory.still_mw or any(facts.energy.values())
    clipped = facts.rated_w is not None and power.high > facts.rated_w * 1000 * CLIPPED
    memory.still_mw = power.high
    if moves or clipped or abs(power.high) < STILL_MW_MIN:
        memory.still_ms = 0
        return
    memory.still_ms += min(facts.b - facts.a, STILL_INTERVAL_MS)
    if memory.still_ms >= STILL_MS:
        notes.find("frozen_values")
