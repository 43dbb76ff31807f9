"""The judge in the store: what becomes of intervals, what is remembered, and whether the way there matters."""

import random
import runpy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from emulator.author import Author, pv, verified
from wattness import digest, quality
from wattness.quality import facts
from wattness.store.registry import BoardRegistry
from wattwire import cose, evidence, frame

_world = runpy.run_path(str(Path(__file__).with_name("pipeline_world.py")))
Bench, FakeClock, verdicts = (_world[name] for name in ("Bench", "FakeClock", "verdicts"))
GATEWAY, START, MINUTE, HOUR = (_world[name] for name in ("GATEWAY", "START", "MINUTE", "HOUR"))
DAY = 24 * HOUR
SERIAL = bytes(range(16))


def told(seed, serial=None):
    """Return a board that has told of its one stream."""
    FakeClock.now = START
    author = Author(seed, GATEWAY, START - HOUR)
    author.streams(START - MINUTE, pv(serial=serial, points=pv().points))
    return author


def watts(seed, minute):
    return random.Random(f"{seed} {minute}").randint(1000, 5000)


def counted(seed, minute, row):
    """Return what a counter that began at 1 MWh shows, in Wh."""
    return 10**6 + (sum(watts(seed, at) for at in range(minute)) + watts(seed, minute) * row // 6) // 60


def meter(author, minutes, seed=0, shift=0, count=counted):
    """Let a board meter minutes whose power follows from `seed` and the time; `shift` moves them to another time."""
    for minute in minutes:
        energy = [count(seed, minute, row) for row in range(6)]
        author.rows(START + minute * MINUTE + shift, power=[watts(seed, minute)] * 6, energy_export=energy)


def reasons(bench):
    return [one.reasons for one in bench.intervals()]


def test_an_honest_hour_is_accepted_and_claimed():
    author = told(1)
    meter(author, range(71))
    bench = Bench(author)
    bench.put(*author.frames)
    assert reasons(bench) == [[]] * 14
    bench.check()


def test_a_counter_that_counts_twice_is_quarantined_and_counted():
    author = told(1)
    meter(author, range(31), count=lambda *at: int(2.5 * counted(*at)))
    bench = Bench(author)
    bench.put(*author.frames)
    assert reasons(bench)[-1] == ["power_against_counter"]
    found = [one for one in bench.intervals() if one.verdict == "quarantined"]
    assert all(one.jobs == [] for one in found)
    assert bench.reader.counters()["verdict"] == {"power_against_counter": len(found)}
    bench.check()


def test_a_counter_that_is_turned_back_costs_its_interval():
    author = told(1)
    meter(author, range(21), count=lambda seed, at, row: counted(seed, at, row) - 50_000 * (at >= 7))
    bench = Bench(author)
    bench.put(*author.frames)
    assert reasons(bench) == [[], ["counter_rollback"], [], []]
    assert bench.reader.counters()["counter_fall"] == {"rollback": 1}


def test_a_counter_that_starts_anew_costs_nothing():
    author = told(1)
    meter(author, range(7))
    meter(author, range(7, 21), count=lambda *at: counted(*at) - counted(0, 7, 0))
    bench = Bench(author)
    bench.put(*author.frames)
    assert reasons(bench) == [[], [], [], []]
    assert bench.reader.counters()["counter_fall"] == {"reset": 1}


@pytest.mark.parametrize("restart", [False, True])
def test_an_hour_that_comes_again_is_quarantined(restart):
    author = told(1)
    meter(author, range(130))
    meter(author, range(130), shift=DAY)
    bench = Bench(author)
    for raw in author.frames:
        bench.put(raw)
        if restart:
            bench.restart()
    found = verdicts(bench)
    assert {found[a][0] for a in found if a < START + DAY} == {"accepted"}
    assert any("repeated_day" in found[a][1] for a in found if a >= START + DAY)


def test_the_same_values_on_two_boards_are_quarantined_on_one():
    first, second = told(1), told(2)
    meter(first, range(130))
    meter(second, range(130))
    bench = Bench(first)
    other = BoardRegistry(bench.connection, FakeClock()).enrol(second.public_key, "cellar")
    bench.put(*first.frames)
    assert {verdict for verdict, _ in verdicts(bench).values()} == {"accepted"}
    with bench.connection:
        bench.pipeline.put([verified(other.id, raw) for raw in second.frames])
    assert any(one.reasons == ["duplicate_series"] for one in bench.intervals())


def test_the_same_serial_on_two_boards_is_claimed_once():
    first, second = told(1, SERIAL), told(2, SERIAL)
    meter(first, range(21))
    meter(second, range(31), seed=5)
    bench = Bench(first)
    other = BoardRegistry(bench.connection, FakeClock()).enrol(second.public_key, "cellar")
    FakeClock.now = START + HOUR
    with bench.connection:  # all in one transaction
        frames = [verified(bench.board.id, raw) for raw in first.frames]
        bench.pipeline.put(frames + [verified(other.id, raw) for raw in second.frames])
    claimed = [one.a for one in bench.intervals() if one.jobs]
    assert len(claimed) == len(set(claimed)) == 6
    assert [one.reasons for one in bench.intervals()].count(["duplicate_serial"]) == 4


def test_behind_impossible_values_the_rules_begin_anew():
    author = told(1)
    meter(author, range(7))
    author.rows(START + 7 * MINUTE, energy_export=[1 << 62] * 6)
    meter(author, range(8, 21))
    bench = Bench(author)
    bench.put(*author.frames)
    assert reasons(bench) == [[], ["impossible_value"], [], []]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1 << 32))
def test_facts_are_the_same_whichever_way_frames_are_read(seed):
    draw = random.Random(seed)
    points = (*pv().points, frame.Point("frequency", "Hz", -2, None), frame.Point("soc", "%", 0, None))
    author = Author(1, GATEWAY, START - HOUR)
    author.streams(START - MINUTE, pv(points=points))
    level = draw.randint(0, 10**6)
    for minute in range(-1, draw.randint(6, 8)):
        rises = [draw.choice([0, 0, 1, 5]) for _ in range(6)]
        level += sum(rises)
        author.rows(
            START + minute * MINUTE + draw.choice([0, 7]),
            power=[draw.randint(-5, 6000) for _ in range(6)],
            energy_export=[level - sum(rises[at:]) for at in range(6)],
            frequency=[draw.choice([None, 4990, 5010]) for _ in range(6)],
            soc=[draw.choice([None, 50, 51]) for _ in range(6)],
        )
    records = [frame.decode(cose.parse(raw)[1]) for raw in author.frames]
    stream, rows = records[0].body.streams[0], [one for one in records if one.kind == frame.KIND_ROWS]
    plan = digest.Plan(stream)
    blocks = [digest.Block(one.body.entries[0], plan, one.unix) for one in rows]
    place = quality.Place("0", stream, START, START + 5 * MINUTE)
    figures = evidence.figures(records, "0", place.a, place.b)
    found = evidence.collect(records, "0", None, place.b)
    assert figures == digest.figures(blocks, place.a, place.b)
    one = facts.of_blocks(place, blocks, figures)
    other = facts.of_evidence(place, found.times, found.columns, figures)
    assert one is not None
    assert replace(one, falls=[], moves=[]) == other
