"""Every rule of the judge: honest devices pass whatever they do, and what no honest device does is found."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from wattness import quality
from wattness.quality import Facts, Judge, Memory, counters
from wattness.quality.facts import Fall, Stat
from wattness.quality.journey import Move
from wattness.quality.registry import LEVELS, RULES

rules = settings(max_examples=40, deadline=None)

LENGTH = 300_000
START = 1_790_000_100_000
HOURS = 12  # intervals of 5 minutes each


def seen_never(_):
    return ""


def stat(low, high=None, n=30):
    high = low if high is None else high
    return Stat(n, low, high, min(low, high), max(low, high), (low + high) // 2)


def interval(number=0, watts=3000, *, role="pv", rated_w=6000, energy_mwh=None, **changes):
    """Return an honest interval, or what `changes` make of it."""
    power = stat(int(watts * 990), int(watts * 1010) + number)
    power_mwh = power.mean * LENGTH / 3_600_000
    name = "energy_export" if role == "pv" else "energy_import"
    energy = {name: round(power_mwh) if energy_mwh is None else energy_mwh}
    a = START + number * LENGTH
    found = Facts(
        "0", role, rated_w, a, a + LENGTH, LENGTH, a + LENGTH, power, power_mwh, 0.0, energy, dict.fromkeys(energy, 0),
        (), {name: 10**9 + number * 1001}, {},
    )  # fmt: skip
    return replace(found, **changes)


def codes(*intervals, judge=None, seen=seen_never):
    """Return all reasons against intervals of one stream."""
    memory = Memory()
    return set().union(*((judge or Judge()).judge(one, memory, seen).codes for one in intervals))


def test_every_rule_is_told_in_plain_words():
    found = quality.rules()
    assert len({rule.code for rule in found}) == len(found) == len(RULES)
    for rule in found:
        assert rule.code == rule.code.lower().replace(" ", "_")
        assert rule.level in LEVELS[1:]
        assert rule.title
        assert rule.text.endswith((".", "`."))
        assert rule.counter == ("verdict", rule.code)


@rules
@given(st.integers(0, 1 << 32))
def test_an_honest_device_passes(seed):
    draw = random.Random(seed)
    rated = draw.choice([400, 6000, 100_000])
    role = draw.choice(["pv", "load", "grid", "charger"])
    watts = draw.uniform(0, rated)
    found = []
    for number in range(40):
        watts = min(max(watts + draw.gauss(0, rated / 10), -5), rated * 1.07)
        true_mwh = watts * 1000 * LENGTH / 3_600_000
        counted = max(0, round(true_mwh * draw.uniform(0.85, 1.15)))
        found.append(interval(number, watts, role=role, rated_w=rated, energy_mwh=counted))
    if role == "grid":  # it has both counters
        found = [
            replace(one, energy=one.energy | {"energy_export": 0}, gap_energy=one.gap_energy | {"energy_export": 0})
            for one in found
        ]
    assert codes(*found) == set()


@rules
@given(st.integers(100, 10**6), st.floats(1.16, 50), st.sampled_from([1, -1]))
def test_power_above_rated(rated, factor, sign):
    assert codes(interval(rated_w=rated, watts=rated * 1.09)) == set()
    assert "power_above_rated" in codes(interval(rated_w=rated, watts=sign * rated * factor))
    assert "power_above_rated" not in codes(interval(rated_w=None, watts=rated * factor))


@rules
@given(st.floats(2, 100), st.integers(700, 6000))
def test_power_against_counter(factor, watts):
    honest = [interval(number, watts) for number in range(HOURS)]
    assert codes(*honest) == set()
    doubled = [replace(one, energy={"energy_export": round(one.power_mwh * factor)}, rated_w=None) for one in honest]
    assert "power_against_counter" in codes(*doubled)
    halved = [replace(one, energy={"energy_export": round(one.power_mwh / factor)}) for one in honest]
    assert "power_against_counter" in codes(*halved)


@rules
@given(st.sampled_from([1, 2, 3, 4]), st.integers(100, 6000))
def test_a_counter_that_is_renewed_seldom_is_honest(period, watts):
    found, kept = [], 0
    for number in range(40):
        one = interval(number, watts)
        kept += one.energy["energy_export"]
        shown, kept = (kept, 0) if number % period == 0 else (0, kept)
        found.append(replace(one, energy={"energy_export": shown}))
    assert codes(*found) == set()


@rules
@given(st.integers(0, 6000))
def test_a_counter_of_whole_kilowatt_hours_is_honest(watts):
    total, found = 0, []
    for number in range(60):
        one = interval(number, watts)
        before, total = total, total + one.energy["energy_export"]
        rise = (total // 10**6 - before // 10**6) * 10**6
        levels = {"energy_export": total // 10**6 * 10**6}
        found.append(replace(one, energy={"energy_export": rise}, levels=levels))
    assert codes(*found) == set()


@rules
@given(st.integers(0, 60), st.integers(100, 10_000))
def test_counter_jump(at, rated):
    intervals = [interval(number, 0, rated_w=rated, energy_mwh=0) for number in range(62)]
    jump = rated * 1150 * 2 + 3 * 10**6
    intervals[at] = replace(intervals[at], energy={"energy_export": jump})
    assert "counter_jump" in codes(*intervals)
    intervals[at] = replace(intervals[at], energy={"energy_export": 0}, gap_energy={"energy_export": jump})
    assert ("counter_jump" in codes(*intervals)) == (at > 0)


KINDS = [
    (Fall("energy_export", 60_000, 5_000_000, 4_999_000, None, 60_000), "jitter"),
    (Fall("energy_export", 60_000, (1 << 32) * 1000 - 5000, 2000, None, 60_000), "roll_over"),
    (Fall("energy_export", 60_000, 10**11 - 5000, 2000, None, 60_000), "roll_over"),
    (Fall("energy_export", 60_000, 777_000_000, 3000, 777_005_000, 60_000), "roll_over"),
    (Fall("energy_export", 60_000, 777_000_000, 3000, None, 60_000), "reset"),
    (Fall("energy_export", 600_000, 777_000_000, 776_000_000, None, 60_000), "restart"),
    (Fall("energy_export", 60_000, 777_000_000, 776_000_000, None, 60_000), "rollback"),
    (Fall("energy_export", 600_000, 777_000_000, 700_000_000, None, 60_000), "rollback"),
]


@pytest.mark.parametrize(("fall", "kind"), KINDS)
def test_falls_are_told_apart(fall, kind):
    assert counters.kind_of(fall, 6000, 1000) == kind
    assert ("counter_rollback" in codes(interval(falls=[fall]))) == (kind == "rollback")


@rules
@given(st.integers(20_000_000, 10**12), st.floats(0.01, 0.95), st.integers(1000, 60_000))
def test_counter_rollback(before, share, elapsed):
    after = max(int(before * (1 - share)), 3_000_000)
    fall = Fall("energy_export", elapsed, before, after, None, elapsed)
    assert ("counter_rollback" in codes(interval(falls=[fall]))) == (before - after > counters.JITTER_MWH)


def test_counter_resets():
    fall = Fall("energy_export", 60_000, 777_000_000, 0, None, 60_000)
    for often in (4, 5):
        resets = [interval(number, falls=[fall] if number % 10 == 0 else ()) for number in range(often * 10)]
        assert codes(*resets) == ({"counter_resets"} if often > 4 else set())
    spread = [interval(number * 80, falls=[fall]) for number in range(20)]  # every seven hours
    assert codes(*spread) == set()


def frozen(number, watts, **changes):
    one = interval(number, watts, energy_mwh=0)
    return replace(one, power=stat(int(watts * 1000)), **changes)


@rules
@given(st.integers(51, 5600))
def test_frozen_values(watts):
    assert "frozen_values" in codes(*(frozen(number, watts) for number in range(HOURS + 1)))
    assert "frozen_values" not in codes(*(frozen(number, watts) for number in range(HOURS)))
    clipping = [replace(frozen(number, watts), energy={"energy_export": watts * 1000 // 12}) for number in range(24)]
    assert codes(*clipping) == set()


def test_idle_and_clipped_devices_stand_still_honestly():
    assert codes(*(frozen(number, 0) for number in range(40))) == set()
    idle = [frozen(number, -4, energy={}, gap_energy={}) for number in range(40)]
    clipped = [frozen(number, 6540, energy={}, gap_energy={}) for number in range(40)]
    assert codes(*idle) == codes(*clipped) == set()


@rules
@given(st.integers(1000, 6000))
def test_power_spike(watts):
    lone = interval(1, watts, lone_mw=watts * 1000)
    assert "power_spike" in codes(lone)
    assert "power_spike" not in codes(replace(lone, role="load"))
    assert "power_spike" not in codes(replace(lone, lone_mw=90_000))


@rules
@given(st.floats(0.1, 1000), st.sampled_from(["frequency", "voltage"]))
def test_scales(factor, name):
    usual = {"frequency": 50_000, "voltage": 230_000}
    allowed = {"frequency": (45_000, 65_000), "voltage": (80_000, 760_000)}[name]
    value = int(usual[name] * factor)
    found = codes(interval(samples={key: stat(usual[key]) for key in usual} | {name: stat(value)}))
    assert (f"{name}_scale" in found) == (not allowed[0] <= value <= allowed[1])
    assert codes(interval(watts=0, samples={"frequency": stat(0), "voltage": stat(0)})) == set()


def hour_of(draw, first):
    return [interval(first + number, draw.uniform(1000, 5000), energy={}, gap_energy={}) for number in range(HOURS)]


class Kept:
    """What was seen of streams, as the store keeps it."""

    def __init__(self):
        self.prints = {}

    def __call__(self, found):
        before = self.prints.setdefault(found.digest, found.start_ms)
        return "" if before == found.start_ms else "repeated_day"


@rules
@given(st.integers(0, 1 << 32), st.integers(1, 1000))
def test_repeated_day(seed, later):
    draw = random.Random(seed)
    first = -(START % 3_600_000) // LENGTH + HOURS
    hour = hour_of(draw, first)
    again = [replace(one, a=one.a + later * 3_600_000, b=one.b + later * 3_600_000) for one in hour]
    assert "repeated_day" in codes(*hour, *again, seen=Kept())
    assert codes(*hour, *hour_of(draw, first + later * HOURS), seen=Kept()) == set()


def test_what_idles_is_no_repetition():
    flat = [interval(number, 5, energy={}, gap_energy={}) for number in range(80)]
    assert codes(*flat, seen=Kept()) == set()


def battery(number, soc, into=0, out=0):
    energy = {"energy_import": into, "energy_export": out}
    watts = (into - out) * 12 / 1000
    one = interval(number, watts, role="battery", rated_w=5000, energy=energy, gap_energy=dict.fromkeys(energy, 0))
    return replace(one, samples={"soc": stat(soc)}, power_mwh=float(into - out))


def cycle(efficiency, capacity_wh=10_000, times=4):
    """Return a battery that is emptied and charged; `efficiency` is what of its charge it gives."""
    found, number = [], 0
    for _ in range(times):
        for step, sign in [(step, -1) for step in range(40)] + [(step, 1) for step in range(40)]:
            soc = 90_000 - step * 2000 if sign < 0 else 10_000 + (step + 1) * 2000
            part = capacity_wh * 20
            found.append(battery(number, soc, *((part, 0) if sign > 0 else (0, round(part * efficiency)))))
            number += 1
    return found


@rules
@given(st.floats(0.6, 1.0), st.integers(1000, 100_000))
def test_honest_batteries(efficiency, capacity_wh):
    assert codes(*(replace(one, rated_w=None) for one in cycle(efficiency, capacity_wh))) == set()


@rules
@given(st.floats(1.3, 1.6))
def test_battery_balance(efficiency):
    assert codes(*cycle(efficiency)) == {"battery_balance"}


@rules
@given(st.integers(2000, 100_000))
def test_soc_against_energy(capacity_wh):
    turned = [replace(one, energy={"energy_import": one.energy["energy_export"], "energy_export": 0}, rated_w=None,
                           power_mwh=-one.power_mwh, power=None) for one in cycle(1.0, capacity_wh)[:40]]  # fmt: skip
    assert "soc_against_energy" in codes(*turned)
    odd = cycle(1.0, capacity_wh) + [
        replace(one, a=one.a + 10**9, b=one.b + 10**9, energy={name: mwh * 30 for name, mwh in one.energy.items()},
                     rated_w=None, power=None) for one in cycle(1.0, capacity_wh, 1)
    ]  # fmt: skip
    assert "soc_against_energy" in codes(*odd)


def drive(number, kmh, odometer_m, *, rise_m=None, position_m=None):
    metres = kmh / 3.6 * LENGTH / 1000
    move = Move(LENGTH, metres if rise_m is None else rise_m, metres, position_m)
    samples = {"speed": stat(kmh * 1000), "odometer": stat(int(odometer_m), int(odometer_m + metres))}
    one = interval(number, 0, role="vehicle", energy={}, gap_energy={}, samples=samples)
    return replace(one, moves=[move], power=None)


@rules
@given(st.lists(st.integers(0, 200), min_size=1, max_size=30))
def test_honest_journeys(speeds):
    at, found = 50_000_000.0, []
    for number, kmh in enumerate(speeds):
        found.append(drive(number, kmh, at, position_m=kmh / 3.6 * 300 * 0.8))
        at += kmh / 3.6 * 300
    assert codes(*found) == set()


@rules
@given(st.integers(30, 250), st.floats(1.8, 10))
def test_speed_against_odometer(kmh, factor):
    found, at = [], 50_000_000.0
    for number in range(HOURS):
        metres = kmh / 3.6 * 300 * factor
        found.append(drive(number, kmh, at, rise_m=metres))
        at += kmh / 3.6 * 300
    assert "speed_against_odometer" in codes(*found)


def test_odometer_and_position():
    assert "odometer_rollback" in codes(drive(0, 50, 60_000_000), drive(1, 50, 50_000_000))
    assert "odometer_jump" in codes(drive(0, 50, 50_000_000), drive(1, 50, 90_000_000))
    assert "speed_impossible" in codes(drive(0, 400, 50_000_000))
    assert "position_jump" in codes(drive(0, 50, 50_000_000, position_m=90_000))
    assert "position_jump" in codes(drive(0, 0, 50_000_000, position_m=9000))


@rules
@given(st.binary(max_size=40))
def test_memory_outlives_the_process(digest):
    memory = Memory(last_ms=5, steps={"energy_export": 10}, print=quality.Print(7, digest, 2, 9), same="repeated_day")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(memory), type=Memory) == memory
