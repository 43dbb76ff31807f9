"""Intervals: the fast function against the clauses of wire.md §4, and their corner cases one by one."""

import json
import runpy
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattwire import interval
from wattwire.errors import WireError

TESTS = Path(__file__).resolve().parent
reference = runpy.run_path(str(TESTS / "interval_reference.py"))["figures"]
VECTORS = json.loads((TESTS / "vectors.json").read_text())
ROLES = ("pv", "battery", "grid", "load", "vehicle", "charger")
COUNTERS = ("energy_import", "energy_export")
T = 1_790_000_000_000

STEPS = st.sampled_from([1, 999, 1000, 10_000, 119_999, 120_000, 120_001, 300_000]) | st.integers(1, 150_000)
POWERS = st.none() | st.integers(-9_000_000, 9_000_000) | st.sampled_from([-1, 0, 1])
RISES = st.sampled_from([0, 1, 1000]) | st.integers(0, 50_000)


def figures(rows, role, counters, a, b):
    names = {name for _, values in rows for name in values}
    columns = {name: [values.get(name) for _, values in rows] for name in names}
    return interval.figures([t for t, _ in rows], columns, role, counters, a, b)


@st.composite
def counter_columns(draw, size):
    """A column of a counter that mostly rises, sometimes rolls over or begins again, sometimes is not there."""
    modulus = draw(st.none() | st.sampled_from([1, 15, 16, 1000, 100_000, 1 << 32]) | st.integers(1, 10**7))
    level = draw(st.integers(0, 200_000))
    column = []
    for _ in range(size):
        level += draw(RISES)
        kind = draw(st.integers(0, 19))
        if kind == 0:
            level = draw(st.integers(0, 1000))
        elif kind == 1 and modulus:
            level %= modulus
        column.append(None if kind == 2 else level)
    return column, modulus


@st.composite
def cases(draw):
    size = draw(st.integers(0, 14))
    times = [T + at for at in accumulate(draw(st.lists(STEPS, min_size=size, max_size=size)))]
    power = draw(st.lists(POWERS, min_size=size, max_size=size))
    names = draw(st.sampled_from([(), COUNTERS[:1], COUNTERS, COUNTERS[::-1], ("energy_export",)]))
    found = {name: draw(counter_columns(size)) for name in names}
    columns = {"power": power} if draw(st.booleans()) or not names else {}
    columns |= {name: column for name, (column, _) in found.items()}
    near = st.sampled_from([T, *times]).flatmap(lambda t: st.sampled_from([t - 1, t, t + 1, t + 500, t - 60_000]))
    a, b = sorted(draw(st.tuples(near, near)))
    rows = [(t, {name: columns[name][at] for name in columns}) for at, t in enumerate(times)]
    counters = tuple((name, found[name][1]) for name in names)
    return rows, draw(st.sampled_from(ROLES)), counters, a, max(b, a + 1)


@settings(max_examples=600)
@given(cases())
def test_is_what_the_clauses_say(case):
    assert figures(*case) == reference(*case)


@settings(max_examples=100)
@given(
    st.lists(st.integers(0, 40), min_size=2, max_size=60), st.integers(0, 30_000), st.integers(1, 60_000), st.booleans()
)
def test_steady_rows_are_what_the_clauses_say(rises, start, length, has_counter):
    level = list(accumulate(rises))
    rows = [(T + 1000 * at, {"power": 3 * c, "energy_export": c}) for at, c in enumerate(level)]
    case = (rows, "pv", (("energy_export", None),) if has_counter else (), T + start, T + start + length)
    assert figures(*case) == reference(*case)


@pytest.mark.parametrize("index", range(len(VECTORS["intervals"])))
def test_reference_agrees_with_the_vectors(index):
    case = VECTORS["intervals"][index]
    counters = tuple((name, None) for name in case["counters"])
    assert reference(VECTORS["rows"], case["role"], counters, case["a"], case["b"]) == case["figures"]


def test_reference_agrees_with_the_rollover():
    case = VECTORS["rollover"]
    found = reference(case["rows"], "pv", (("c", case["modulus"]),), case["a"], case["b"])
    assert found == case["figures"]


@settings(max_examples=200)
@given(cases(), st.integers(1, 400_000))
def test_neighbouring_intervals_add_up(case, offset):
    rows, role, counters, a, b = case
    middle = a + offset % (b - a)
    if middle == a or not counters:
        return
    whole, left, right = (figures(rows, role, counters, *span) for span in ((a, b), (a, middle), (middle, b)))
    assert whole["covered_ms"] == left["covered_ms"] + right["covered_ms"]
    assert whole["rows"] == left["rows"] + right["rows"]
    for key in ("energy", "gap_energy"):
        assert whole[key] == {name: left[key][name] + right[key][name] for name in whole[key]}


def test_rows_further_off_change_nothing():
    rows = [(T + 1000 * at, {"power": at * 17 % 1000 - 400, "energy_import": at * at}) for at in range(200)]
    for counters in ((), (("energy_import", None),)):
        near = figures(rows[99:152], "grid", counters, T + 99_500, T + 150_500)
        assert figures(rows, "grid", counters, T + 99_500, T + 150_500) == near


@pytest.mark.parametrize("gap", [120_000, 120_001])
def test_neighbours_join_up_to_two_minutes(gap):
    rows = [(0, {"energy_import": 5}), (gap, {"energy_import": 25})]
    found = figures(rows, "load", (("energy_import", None),), 0, gap + 1)
    joined = gap == 120_000
    assert found["energy"] == {"energy_import": 20 if joined else 0}
    assert found["gap_energy"] == {"energy_import": 0 if joined else 20}
    assert found["covered_ms"] == (gap if joined else 0)


def test_gap_energy_belongs_to_the_interval_of_the_second_row():
    rows = [(0, {"energy_import": 5}), (300_000, {"energy_import": 25})]
    spans = {(0, 300_000): 0, (300_000, 600_000): 20, (100_000, 300_001): 20}
    for span, gap in spans.items():
        assert figures(rows, "load", (("energy_import", None),), *span)["gap_energy"] == {"energy_import": gap}


def test_a_cut_below_zero_goes_to_the_other_direction():
    rows = [(0, {"power": 1000}), (100_000, {"power": -1000})]
    assert figures(rows, "grid", (), 0, 50_000)["energy"] == {"energy_import": 6, "energy_export": 0}
    assert figures(rows, "grid", (), 50_000, 100_000)["energy"] == {"energy_import": 0, "energy_export": 6}
    assert figures(rows, "pv", (), 0, 50_000)["energy"] == {"energy_import": 0, "energy_export": 6}


def test_no_power_and_no_counter_is_nothing_but_rows():
    found = figures([(5, {"soc": 1}), (6, {"soc": 2})], "battery", (), 0, 10)
    assert found == {
        "covered_ms": 0,
        "counter_resets": 0,
        "energy": {"energy_import": 0, "energy_export": 0},
        "gap_energy": {},
        "rows": 2,
    }


def test_an_interval_is_not_empty():
    with pytest.raises(WireError) as caught:
        interval.figures([], {}, "pv", (), 5, 5)
    assert caught.value.reason == "bad_range"
