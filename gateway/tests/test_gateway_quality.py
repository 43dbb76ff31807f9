"""Physics: what a column cannot hold, whichever way it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.author import pv
from wattness import quality
from wattwire import evidence, frame


def is_impossible(name, values, exponent=0, **changes):
    unit = evidence.FIGURE_UNITS.get(name, "")
    stream = pv(points=(frame.Point(name, unit, exponent, None),), **changes)
    return quality.Limits(stream).exceeded([frame.delta(values)], len(values))


@pytest.mark.parametrize(
    ("name", "exponent", "good", "bad"),
    [
        ("power", 0, [6900, -6900, 0], 6901),
        ("power", -1, [69000, -69000], -69001),
        ("power", 2, [69, -69], 70),
        ("power_l2", 0, [6900], 6901),
        ("voltage", -1, [0, 10_000], 10_001),
        ("voltage_l1", 0, [0, 230], -1),
        ("dc_voltage_1", 0, [1500], 1501),
        ("battery_voltage", 0, [1500], 1501),
        ("frequency", -2, [4500, 5000, 6500], 4499),
        ("frequency", -2, [0, 5000, 0], 1),
        ("frequency", 0, [45, 65, 0], 66),
        ("soc", 0, [0, 100], 101),
        ("soc", -1, [0, 1000], -1),
        ("energy_import", 0, [0, 10**9], -1),
        ("energy_export_l3", 0, [5], -5),
        ("energy_export", 18, [0], 1),
        ("power_factor", -2, [-100, 100], 1 << 60),
        ("temperature", -1, [-400, 850], 1 << 61),
    ],
)
def test_limits(name, exponent, good, bad):
    assert not is_impossible(name, good, exponent)
    assert is_impossible(name, [*good, bad], exponent)
    assert is_impossible(name, [bad, *good], exponent)
    assert is_impossible(name, [None, *good, None, bad, None], exponent)


def test_nothing_is_never_impossible():
    assert not is_impossible("voltage", [None, None])


def test_without_rated_power_any_sensible_power_passes():
    assert not is_impossible("power", [10**9], rated_w=None)


@given(st.lists(st.none() | st.integers(-20_000, 20_000), min_size=1, max_size=20), st.integers(-2, 2))
def test_a_column_is_judged_by_its_extremes(values, exponent):
    found = [value for value in values if value is not None]
    expected = any(not 0 <= value * 10**exponent <= 1000 for value in found)
    assert is_impossible("voltage", values, exponent) == expected


def test_only_times_that_cannot_be_keep_a_frame_from_moving_its_streams():
    assert quality.advances([])
    assert quality.advances([quality.IMPOSSIBLE_VALUE, quality.CLOCK_STEP, quality.UNKNOWN_STREAM])
    assert not quality.advances([quality.CLOCK_STEP, quality.FUTURE_TIME])
    assert not quality.advances([quality.OTHER_GATEWAY])
