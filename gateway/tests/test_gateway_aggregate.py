"""Intervals: the same figures whatever the order of arrival, from the frames that they name and nothing else."""

import random
import runpy
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.author import POINTS, Author, pv
from wattness.config import Interval
from wattness.store.settings import Settings
from wattwire import frame

_world = runpy.run_path(str(Path(__file__).with_name("pipeline_world.py")))
Bench, FakeClock, minutes, verdicts = (_world[name] for name in ("Bench", "FakeClock", "minutes", "verdicts"))
GATEWAY, START, MINUTE, HOUR, DAY = (_world[name] for name in ("GATEWAY", "START", "MINUTE", "HOUR", "DAY"))


@pytest.fixture
def author():
    return _world["make_author"]()


def test_an_interval_is_final_with_the_first_row_at_its_end(author):
    bench = Bench(author)
    minutes(author, 0, 11)
    bench.put(*author.frames[:6])  # streams, minutes 0 to 4
    assert bench.intervals() == []
    assert bench.put(author.frames[6]) == [(1, 7)]
    (interval,) = bench.intervals()
    assert (interval.a, interval.b) == (START, START + 5 * MINUTE)
    assert (interval.device, interval.role, interval.profile) == ("0", "pv", "eastron_sdm120")
    assert interval.figures["rows"] == 30
    assert interval.figures["covered_ms"] == 5 * MINUTE
    assert interval.evidence == [[1, 1, 7]]
    assert [(job.network, job.state) for job in interval.jobs] == [("alpha", "available"), ("beta", "available")]
    bench.put(*author.frames[7:])
    assert [one.evidence for one in bench.intervals()] == [[[1, 1, 7]], [[1, 1, 1], [1, 7, 12]]]
    bench.check()


def test_the_evidence_begins_with_the_last_row_at_or_before_the_start(author):
    bench = Bench(author)
    for at in range(0, 12 * MINUTE, 70_000):  # frames that straddle every boundary
        author.rows(START + at, count=7)
    bench.put(*author.frames)
    assert [one.figures["covered_ms"] for one in bench.intervals()] == [5 * MINUTE] * 2
    assert bench.intervals()[1].evidence == [[1, 1, 1], [1, 6, 10]]
    bench.check()


def test_empty_times_make_no_intervals_and_a_gap_belongs_to_its_end(author):
    bench = Bench(author)
    minutes(author, 0, 2)
    minutes(author, 3001, 3007)
    bench.put(*author.frames)
    assert [one.a for one in bench.intervals()] == [START, START + 3000 * MINUTE]
    assert bench.intervals()[1].evidence == [[1, 1, 1], [1, 3, 8]]
    assert bench.intervals()[1].figures["gap_energy"]["energy_export"] > 0
    bench.check()


def test_rows_that_are_not_later_are_left_out_and_counted(author):
    bench = Bench(author)
    minutes(author, 0, 3)
    author.clock = -2 * MINUTE  # the board's clock is set back: minutes 1, 2 again
    minutes(author, 3, 10)
    bench.put(*author.frames)
    assert bench.reader.counters()["rows"] == {"left_out": 12}
    assert bench.intervals()[0].verdict == "flagged"
    assert bench.intervals()[0].reasons == ["clock_step"]
    bench.check()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_order_and_repetition_of_arrivals_change_nothing(seed):
    source = random.Random(seed)
    author = busy_log(source)
    ordered, shuffled = Bench(author), Bench(author)
    late = START + 2 * HOUR
    ordered.put(*author.frames, at=late)
    arrivals = author.frames * 2
    source.shuffle(arrivals)
    while arrivals:
        count = source.randint(1, 8)
        shuffled.put(*arrivals[:count], at=late)
        del arrivals[:count]
        if source.random() < 0.2:
            shuffled.restart()
    assert shuffled.put(author.frames[0], at=late) == [(author.log, author.seq)] or author.log > 1
    assert ordered.figures() == shuffled.figures()
    assert [i.evidence for i in ordered.intervals()] == [i.evidence for i in shuffled.intervals()]
    assert [i.verdict for i in ordered.intervals()] == [i.verdict for i in shuffled.intervals()]
    assert ordered.figures()
    ordered.check()
    shuffled.check()


def busy_log(source: random.Random) -> Author:
    """A board with two streams, health frames, reboots, an unset clock and odd spacings."""
    author = Author(1, GATEWAY, START - MINUTE)
    streams = (pv(), pv(role="load", serial=bytes(range(16)), points=POINTS[:1]))
    author.streams(START - 30_000, *streams)
    at = START
    while at < START + 40 * MINUTE:
        step = source.choice([5_000, 10_000, 30_000])
        count = source.randint(1, 12)
        power = frame.delta([source.choice([None, source.randint(-50, 4000)]) for _ in range(count)])
        energy = frame.delta([at // 3600 + row for row in range(count)])
        voltage = frame.delta([2300] * count)
        entries = [frame.Entry(0, 0, step, [power, voltage, energy])]
        if source.random() < 0.8:
            spacings = [source.choice([step, 0, 200_000]) for _ in range(count - 1)]
            entries.append(frame.Entry(1, 7, spacings, [power]))
        author.entries(at, entries)
        at += max(step * count, source.choice([0, 0, 0, 150_000]))
        if source.random() < 0.1:
            author.health(at - 1, heap=source.randint(0, 1 << 20))
        if source.random() < 0.05:
            author.reboot(at)
            author.clock = source.choice([None, 0])
            author.streams(at + 1, *streams)
            at += 2
        elif source.random() < 0.5:
            author.clock = 0
    return author


def test_undated_frames_wait_for_the_first_dated_one_of_their_boot():
    author = Author(1, GATEWAY, START - MINUTE)
    author.clock = None
    author.streams(START - MINUTE // 2)
    minutes(author, 0, 12)
    author.clock = 0
    late = author.rows(START + 12 * MINUTE)
    bench = Bench(author)
    assert bench.put(*author.frames[:-1], at=START + DAY) == [(1, 13)]
    assert bench.intervals() == []
    bench.restart()
    bench.put(late, at=START + DAY)
    assert [one.figures["covered_ms"] for one in bench.intervals()] == [5 * MINUTE] * 2
    assert bench.intervals()[0].evidence == [[1, 1, 7], [1, 14, 14]]
    bench.check()


def test_a_boot_that_never_learnt_the_time_counts_for_nothing(author):
    author.reboot(START)
    author.streams(START + 1)
    minutes(author, 1, 12)
    author.reboot(START + 12 * MINUTE)
    author.clock = 0
    author.streams(START + 12 * MINUTE + 1)
    minutes(author, 13, 30)
    bench = Bench(author)
    bench.put(*author.frames, at=START + DAY)
    assert min(one.a for one in bench.intervals()) == START + 10 * MINUTE
    assert bench.intervals()[0].figures["rows"] == 12
    bench.check()


def test_frames_for_another_gateway_are_kept_but_never_counted(author):
    minutes(author, 0, 3)
    author.gateway = bytes(32)
    author.streams(START + 3 * MINUTE - 1)
    minutes(author, 3, 4)
    author.gateway = GATEWAY
    author.streams(START + 4 * MINUTE - 1)
    minutes(author, 4, 6)
    bench = Bench(author)
    assert bench.put(*author.frames) == [(1, len(author.frames))]
    assert bench.intervals()[0].figures["rows"] == 24
    assert bench.intervals()[0].evidence == [[1, 1, 4], [1, 6, 9]]
    assert bench.reader.counters()["verdict"] == {"other_gateway": 1}
    assert verdicts(bench)[START] == ("flagged", ["other_gateway"])
    bench.check()


def test_intervals_of_another_length_do_not_overlap(author):
    minutes(author, 0, 32)
    bench = Bench(author)
    bench.put(*author.frames[:14])
    bench.settings = Settings(GATEWAY, (), Interval(length_s=900), FakeClock())
    bench.restart()
    bench.put(*author.frames[14:])
    spans = [(one.a, one.b) for one in bench.intervals()]
    assert all(b <= a for (_, b), (a, _) in pairwise(spans))
    assert spans[-1][1] - spans[-1][0] == 15 * MINUTE
