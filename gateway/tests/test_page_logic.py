"""The page's pure functions, run in a real Chromium: local days, gaps, and numbers as they are said."""

import datetime as dt
import runpy
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

_browser = runpy.run_path(str(Path(__file__).with_name("page_browser.py")))
_world = runpy.run_path(str(Path(__file__).with_name("page_world.py")))
ZONES = ["UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Auckland"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return what a function of a module of the page gives: run("zone", "addDays", "2026-01-31", 1)."""
    with (
        _browser["chromium"]() as browser,
        _world["House"](tmp_path_factory.mktemp("house"), seeded=False) as house,
        _browser["visiting"](browser, house, expected=["status of 401"]) as visit,
    ):
        visit.open()
        script = "async ([module, name, args]) => (await import(`/assets/${module}.js`))[name](...args)"
        yield lambda module, name, *args: visit.page.evaluate(script, [module, name, args])


@pytest.mark.parametrize("zone", ZONES)
def test_days_begin_at_local_midnight_all_year(run, zone):
    days = [dt.date(2026, 1, 1) + dt.timedelta(n) for n in range(0, 370, 1 if zone == "Europe/Berlin" else 9)]
    for day in days:
        midnight = dt.datetime.combine(day, dt.time(), ZoneInfo(zone))
        begin = run("zone", "startOf", day.isoformat(), zone)
        assert begin == midnight.timestamp() * 1000, day
        assert run("zone", "dayOf", begin, zone) == day.isoformat()


def test_days_are_counted_over_months_and_years(run):
    assert run("zone", "addDays", "2026-12-31", 1) == "2027-01-01"
    assert run("zone", "addDays", "2028-03-01", -1) == "2028-02-29"
    assert run("zone", "addYears", "2026-06-12", -1) == "2025-01-01"
    assert [run("zone", "monday", day) for day in ("2026-06-08", "2026-06-14")] == ["2026-06-08"] * 2
    assert [run("zone", "isDay", text) for text in ("2026-02-28", "2026-13-01", "today", None)] == [
        True, False, False, False,
    ]  # fmt: skip


def test_far_rows_are_parted_and_empty_ones_are_none(run):
    rows = [[0, 5], [60_000, None], [120_000, 7], [300_000, 9]]
    times, means, *_ = run("plots", "columns", rows, 120_000)
    assert means == [5, 7, None, 9]
    assert times[0] == 0
    assert times[3] == 300


def test_gaps_are_told_at_both_ends_and_between(run):
    rows = [[600_000, 1, 1, 1], [660_000, 1, 1, 1], [1_200_000, 1, 1, 1]]
    found = run("plots", "gaps", rows, 0, 1_800_000, 120_000, 60_000)
    assert found == [[0, 600_000], [720_000, 1_200_000], [1_260_000, 1_800_000]]
    assert run("plots", "gaps", [], 0, 1000, 500, 0) == [[0, 1000]]
    assert run("plots", "gaps", [[0, 0, 0, 0]], 0, 60_000, 120_000, 60_000) == []


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (None, "W", "–"),
        (0, "W", "0 W"),
        (-3280, "W", "−3.28 kW"),
        (999, "W", "999 W"),
        (12.34, "V", "12.3 V"),
        (346_500, "Wh", "346.5 kWh"),
        (1_234_567, "Wh", "1.23 MWh"),
        (21.5, "Cel", "21.5 °C"),
        (3, "1", "3"),
    ],
)
def test_quantities_are_said_with_their_units(run, value, unit, said):
    assert run("format", "quantity", value, unit) == said.replace(" ", "\u202f")


def test_missing_is_unknown_and_signs_are_words(run):
    assert run("format", "doing", "grid", None) == "unknown"
    assert run("format", "doing", "grid", 5) == "importing"
    assert run("format", "doing", "grid", -5) == "exporting"
    assert run("format", "doing", "battery", -5) == "discharging"
    assert run("format", "doing", "pv", 0) == "idle"
