"""History: whatever the order in which frames come, it is what anybody finds who has them all."""

import datetime as dt
import random
from pathlib import Path
from runpy import run_path

import pytest

from emulator.author import POINTS, Author, pv
from wattness.errors import ConfigError
from wattwire import frame

WORLD = run_path(str(Path(__file__).with_name("history_world.py")))
Past, GATEWAY, START, MINUTE, HOUR, DAY = (WORLD[n] for n in ("Past", "GATEWAY", "START", "MINUTE", "HOUR", "DAY"))


def make_author():
    WORLD["FakeClock"].now = START
    author = Author(1, GATEWAY, START - MINUTE)
    author.streams(START - MINUTE // 2)
    return author


def test_minutes_fives_hours_and_days_of_frames_in_order():
    author = make_author()
    for minute in range(150):
        author.rows(START + minute * MINUTE)
    past = Past(author)
    past.bench.put(*author.frames)
    past.follow()
    expected = past.check()
    assert {step for _, _, step, _ in expected} == {60, 300, 3600, 86_400}


def test_a_step_that_was_cut_off_is_done_again():
    author = make_author()
    for minute in range(20):
        author.rows(START + minute * MINUTE)
    past = Past(author)
    past.bench.put(*author.frames)
    past.historian._count_verdicts = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        past.historian.step()
    assert past.buckets() == {}
    del past.historian._count_verdicts
    past.follow()
    past.check()


def chaotic_author(source):
    """Return a board with reboots, clocks that are set late or wrong, nulls, gaps, holes and resets."""
    author = make_author()
    at = START
    for _ in range(90):
        at += source.choice((MINUTE, MINUTE, MINUTE, 70_000, 3 * MINUTE, 17 * MINUTE))
        event = source.random()
        if event < 0.06:
            author.reboot(at - 1000, new_log=source.random() < 0.3)
            author.streams(at - 500)
        elif event < 0.2 and author.clock is None:
            author.clock = source.choice((0, 0, 5000, -40_000))
        elif event < 0.23 and author.clock is not None:
            author.clock = source.choice((0, -20 * MINUTE))
        count = source.choice((6, 6, 30, 90))
        dt_ms = source.choice((10_000, 1000, 2000))
        power = [source.choice((None, source.randrange(-900, 5000))) for _ in range(count)]
        energy = [source.choice((None, at // 3600 + row)) for row in range(count)]
        author.rows(at, count, dt_ms, power=power, energy_export=energy)
        at += count * dt_ms
    return author


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_arrival_gives_the_same_history(seed):
    source = random.Random(seed)
    author = chaotic_author(source)
    past = Past(author)
    frames = list(author.frames)
    for _ in range(40):  # late frames: some change places with ones far off
        one, other = source.randrange(1, len(frames)), source.randrange(1, len(frames))
        frames[one], frames[other] = frames[other], frames[one]
    lost = set(source.sample(range(1, len(frames)), 5)) if seed % 3 == 0 else set()
    frames = [raw for raw in frames if author.frames.index(raw) not in lost]
    while frames:
        some, frames = frames[: (size := source.randrange(1, 20))], frames[size:]
        past.bench.put(*some, at=START + 3 * DAY)
        if source.random() < 0.7:
            past.follow()
    if lost:
        past.bench.tick(START + 5 * DAY)  # holes are given up
    past.follow()
    assert WORLD["ask"](past.history, "SELECT count(*) FROM dirty") == [(0,)]
    past.check()


def test_energy_of_power_alone_is_integrated():
    points = (frame.Point("power", "W", 0, None),)
    author = make_author()
    author.streams(START - 1000, pv(points=points, role="grid"))
    for minute in range(90):
        watts = [1200 if minute < 45 else -600] * 6
        author.entries(START + minute * MINUTE, [frame.Entry(0, 0, 10_000, [frame.delta(watts)])])
    past = Past(author)
    past.bench.put(*author.frames)
    past.follow()
    past.check()
    day = dt.datetime.fromtimestamp(START / 1000, dt.UTC).date()
    (found,) = past.past.days(1, day, day, "UTC")
    assert abs(found.import_wh - 900) <= 4
    assert abs(found.export_wh - 450) <= 4
    assert found.covered_s == 90 * 60 - 10


def test_days_are_those_of_the_site_and_count_verdicts():
    author = make_author()
    for minute in range(60 * 30):
        author.rows(START + minute * MINUTE, 2, 30_000)
    past = Past(author)
    past.bench.put(*author.frames)
    past.follow()
    first = dt.datetime.fromtimestamp(START / 1000, dt.UTC).date()
    last = first + dt.timedelta(2)
    for zone in ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/Denver"):
        days = past.past.days(1, first - dt.timedelta(1), last, zone)
        intervals = past.bench.intervals()
        assert sum(sum(day.verdicts.values()) for day in days) == len(intervals) > 300
        assert sum(day.covered_s for day in days) == 30 * 3600 - 30
        exports = [day.export_wh for day in days if day.export_wh is not None]
        assert abs(sum(exports) - 29_992) <= len(exports)  # the last half minute has no second row
        assert all(day.import_wh is None for day in days)
    assert past.past.days(7, first, last, "UTC") is None


def test_a_day_of_the_change_of_clocks_has_its_own_length():
    past = Past(make_author())
    past.bench.put(*past.author.frames)
    days = past.past.days(1, dt.date(2026, 3, 28), dt.date(2026, 3, 30), "Europe/Berlin")
    assert [day.day_s for day in days] == [86_400, 82_800, 86_400]
    assert [day.import_wh for day in days] == [None] * 3


def test_steps_and_zones_that_do_not_exist_are_refused():
    past = Past(make_author())
    past.bench.put(*past.author.frames)
    with pytest.raises(ConfigError, match="none of auto"):
        past.past.view(1, "power", (0, 1), "2h")
    with pytest.raises(ConfigError, match="50000 rows"):
        past.past.view(1, "power", (0, 366 * DAY), "1m")
    for zone in ("Mars/Olympus", "../../etc/passwd", ""):
        with pytest.raises(ConfigError, match="time zone"):
            past.past.days(1, dt.date(2026, 1, 1), dt.date(2026, 1, 2), zone)
    with pytest.raises(ConfigError, match="earlier"):
        past.past.days(1, dt.date(2026, 1, 2), dt.date(2026, 1, 1), "UTC")


def test_a_view_has_the_points_unit_and_shows_gaps_as_gaps():
    author = make_author()
    for minute in (0, 1, 2, 8, 9):
        author.rows(START + minute * MINUTE)
    past = Past(author)
    past.bench.put(*author.frames)
    assert past.past.view(1, "power", (START, START + HOUR), "auto").rows == []  # not summed up yet
    past.follow()
    view = past.past.view(1, "power", (START, START + HOUR), "auto")
    assert (view.unit, view.step_ms) == ("W", 60_000)
    assert [row[0] for row in view.rows] == [START + minute * MINUTE for minute in (0, 1, 2, 8, 9)]
    mean, low, high = view.rows[0][1:]
    values = [1000 + (START // 1000 + 10 * row) % 977 for row in range(6)]
    assert (mean, low, high) == (sum(values) / 6, min(values), max(values))
    counter = past.past.view(1, "energy_export", (START, START + HOUR), "1m").rows[0]
    assert counter[2] <= counter[3] == counter[1]
    assert past.past.view(1, "nothing", (START, START + HOUR), "1m") is None
    assert past.past.view(9, "power", (START, START + HOUR), "1m") is None


def test_frames_for_another_gateway_and_of_the_future_are_no_history():
    author = make_author()
    author.rows(START)
    author.clock = 10 * DAY
    author.rows(START + MINUTE)
    author.clock = 0
    author.gateway = bytes(32)
    author.streams(START + 2 * MINUTE)
    author.rows(START + 3 * MINUTE)
    past = Past(author)
    past.bench.put(*author.frames, at=START + HOUR)
    past.follow()
    assert {at for _, point, step, at in past.buckets() if step == 60 and point == "power"} == {START // MINUTE}


def test_an_extreme_value_breaks_nothing():
    points = (*POINTS[:2], frame.Point("energy_export", "Wh", 18, None))
    author = make_author()
    author.streams(START - 1000, pv(points=points))
    author.rows(START, power=[(1 << 62) - 1] * 6, energy_export=[(1 << 62)] * 6)
    author.rows(START + MINUTE, voltage=[-(1 << 62)] * 6, energy_export=[0] * 6)
    past = Past(author)
    past.bench.put(*author.frames)
    past.follow()
    assert past.past.view(1, "power", (START, START + HOUR), "1m").rows[0][0] == START + MINUTE
