"""The recorded sites: counters are the exact integral, nothing depends on anything but seed and time."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.curve import DAY_MS, Curve, linear_day, step_day
from emulator.recordings import golden_pv_mw, home_mw
from emulator.site import GOLDEN_START_MS, INSTALLED_MS, HomeSite, MeteringPoint, PvSite
from emulator.wiring import PLACES, metering_point

times = st.integers(INSTALLED_MS - DAY_MS, INSTALLED_MS + 400 * DAY_MS)
places = st.sampled_from(PLACES)
powers = st.lists(st.integers(-10_000_000, 10_000_000), min_size=24, max_size=24)


def exact_area(samples: list[int], end_ms: int) -> tuple[Fraction, Fraction]:
    """Positive and negative energy in mW·ms of straight lines between hourly samples, in exact fractions."""
    step = DAY_MS // len(samples)
    positive = negative = Fraction(0)
    for index, left in enumerate(samples):
        start = index * step
        if end_ms <= start:
            break
        length = min(step, end_ms - start)
        right = left + Fraction((samples[(index + 1) % len(samples)] - left) * length, step)
        parts = [(Fraction(left), Fraction(right), Fraction(length))]
        if left * right < 0:
            crossing = Fraction(length) * abs(left) / (abs(left) + abs(right))
            parts = [(Fraction(left), Fraction(0), crossing), (Fraction(0), right, length - crossing)]
        for one, other, ms in parts:
            area = (one + other) * ms / 2
            positive += max(area, 0)
            negative += max(-area, 0)
    return positive, negative


@given(samples=powers, end_ms=st.integers(0, DAY_MS - 1))
def test_counters_are_the_integral_of_the_power(samples, end_ms):
    power, into, out = Curve((linear_day(samples),), 0).at(end_ms)
    positive, negative = exact_area(samples, end_ms)
    # A zero crossing is put on a whole millisecond: half a millisecond of two slopes, 24 times a day, at the most.
    slack_mwh = 1 + 24 * 10_000_000 // 3_600_000
    assert abs(positive / 3_600_000 - into) <= slack_mwh
    assert abs(negative / 3_600_000 - out) <= slack_mwh
    assert -10_000_000 <= power <= 10_000_000


@given(samples=st.lists(st.integers(0, 10_000_000), min_size=24, max_size=24), end_ms=st.integers(0, DAY_MS - 1))
def test_without_a_crossing_the_integral_is_exact(samples, end_ms):
    _, into, out = Curve((linear_day(samples),), 0).at(end_ms)
    assert into == exact_area(samples, end_ms)[0] // 3_600_000
    assert out == 0


@given(samples=powers, one=st.integers(0, 3 * DAY_MS), other=st.integers(0, 3 * DAY_MS))
def test_a_step_curve_counts_exactly(samples, one, other):
    step = DAY_MS // len(samples)
    curve = Curve((step_day(samples),), 0)
    counted = [curve.at(ms) for ms in (one, other)]
    for ms, (_, into, out) in zip((one, other), counted, strict=True):
        days, rest = divmod(ms, DAY_MS)
        whole, part = divmod(rest, step)
        durations = [step * (days + 1)] * whole + [step * days + part] + [step * days] * (len(samples) - whole - 1)
        assert into == sum(max(p, 0) * d for p, d in zip(samples, durations, strict=True)) // 3_600_000
        assert out == sum(max(-p, 0) * d for p, d in zip(samples, durations, strict=True)) // 3_600_000


@given(place=places, one=times, other=times)
def test_counters_never_go_back(place, one, other):
    point = metering_point(place)
    first, second = (point.reading(ms) for ms in sorted((one, other)))
    assert first.import_mwh <= second.import_mwh
    assert first.export_mwh <= second.export_mwh


@given(place=places, unix_ms=times, seed=st.integers(0, 3))
def test_a_reading_depends_on_seed_and_time_alone(place, unix_ms, seed):
    assert metering_point(place, seed).reading(unix_ms) == metering_point(place, seed).reading(unix_ms)


@given(place=places, unix_ms=times)
def test_every_value_is_plausible(place, unix_ms):
    reading = metering_point(place).reading(unix_ms)
    assert 200_000 < reading.voltage_mv < 260_000
    assert 49_900 < reading.frequency_mhz < 60_100
    assert abs(reading.power_mw) <= reading.apparent_mva + 1
    assert abs(reading.power_factor_ppm) <= 1_000_000
    assert reading.power_mw * reading.current_ma >= 0


def test_the_recorded_minute_is_shown_exactly():
    site = PvSite()
    midnight = INSTALLED_MS + 17 * DAY_MS
    for minute, recorded in enumerate(golden_pv_mw()):
        assert site.pv.reading(midnight + minute * 60_000).power_mw == -recorded


def test_the_good_hour_is_a_good_hour():
    values = PvSite(seed=1).values(GOLDEN_START_MS)
    assert values["power"] > 4000
    assert values["current"] > 15
    assert values["energy_export"] > values["energy_import"] > 0


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_home_keeps_every_recorded_half_hour(seed):
    home = HomeSite(seed)
    half_ms = DAY_MS // 48

    def counted(point: MeteringPoint, ms: int) -> tuple[int, int]:
        reading = point.reading(ms)
        return reading.import_mwh, reading.export_mwh

    for number, halves in enumerate(home_mw()):
        for half, (load_mw, pv_mw) in enumerate(halves):
            start = INSTALLED_MS + number * DAY_MS + half * half_ms
            used = counted(home.load, start + half_ms)[0] - counted(home.load, start)[0]
            made = counted(home.pv, start + half_ms)[1] - counted(home.pv, start)[1]
            assert abs(used - load_mw // 2) <= 1
            assert abs(made - pv_mw // 2) <= 1


@given(unix_ms=times)
def test_the_homes_grid_is_load_minus_pv(unix_ms):
    home = HomeSite(3)
    power = {name: getattr(home, name).reading(unix_ms).power_mw for name in ("grid", "load", "pv")}
    assert power["grid"] == power["load"] + power["pv"]  # the PV's power is negative in the direction of import
    assert home.values(unix_ms, "pv")["power"] * 1000 == pytest.approx(-power["pv"])


def test_seeds_differ():
    assert HomeSite(1).values(GOLDEN_START_MS) != HomeSite(2).values(GOLDEN_START_MS)
