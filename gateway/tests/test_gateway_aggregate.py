"""Intervals: the same figures whatever the order of arrival, final when their evidence is closed, never changed."""

import random
from itertools import pairwise
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.author import POINTS, Author, pv, verified
from wattness.clock import Clock
from wattness.config import Interval
from wattness.store.pipeline import Pipeline
from wattness.store.reader import Reader
from wattness.store.registry import BoardRegistry
from wattness.store.schema import TABLES
from wattness.store.settings import Settings
from wattwire import cose, evidence, frame, merkle

GATEWAY = bytes(range(32))
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 1_790_000_100_000  # a boundary of 5 minutes


class FakeClock(Clock):
    now: int = START

    def now_ms(self):
        return FakeClock.now

    def real_ms_now(self):
        return FakeClock.now


class Bench:
    """The writer's work on a database in memory, without its thread."""

    def __init__(self, author: Author, **interval: int) -> None:
        self.connection = apsw.Connection(":memory:")
        self.connection.execute(TABLES)
        self.settings = Settings(GATEWAY, ("alpha", "beta"), Interval(**interval), FakeClock())
        self.board = BoardRegistry(self.connection, FakeClock()).enrol(author.public_key, "roof")
        self.reader = Reader(self.connection)
        self.restart()

    def restart(self):
        self.pipeline = Pipeline(self.connection, self.settings)

    def put(self, *frames: bytes, at: int | None = None):
        """Store frames, at the time of the newest row if none is given; returns the acknowledged (log, seq)."""
        for raw in frames:
            record = frame.decode(cose.parse(raw)[1])
            FakeClock.now = max(FakeClock.now, record.unix or 0) if at is None else at
        FakeClock.now += 5 * MINUTE if at is None else 0
        with self.connection:
            acks = self.pipeline.put([verified(self.board.id, raw) for raw in frames])
        return [(ack.log, ack.seq) for ack in acks]

    def tick(self, at: int):
        FakeClock.now = at
        with self.connection:
            return self.pipeline.tick()

    def intervals(self) -> list[Any]:
        return list(self.reader.export_intervals())

    def figures(self):
        return {(one.device, one.a): one.figures for one in self.intervals()}

    def check(self):
        """Everyone who holds the frames that an interval names gets the same interval."""
        for one in self.intervals():
            raws = list(self.reader.evidence(self.board.board_key, one.evidence))
            assert len(raws) == sum(last - first + 1 for _, first, last in one.evidence)
            records = [frame.decode(cose.parse(raw)[1]) for raw in raws]
            assert [(record.log, record.seq) for record in records] == sorted({(r.log, r.seq) for r in records})
            assert one.figures == evidence.figures(records, one.device, one.a, one.b)
            assert one.root == merkle.root(raws).hex()
            assert len(one.jobs) == (0 if one.verdict == "quarantined" else 2)


@pytest.fixture(autouse=True)
def _clock():
    FakeClock.now = START


@pytest.fixture
def author():
    author = Author(1, GATEWAY, START - MINUTE)
    author.streams(START - MINUTE // 2)
    return author


def minutes(author, first, last, **changes):
    for minute in range(first, last):
        author.rows(START + minute * MINUTE, **changes)


def verdicts(bench):
    return {one.a: (one.verdict, one.reasons) for one in bench.intervals()}


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


def test_declared_holes_are_passed_and_their_declaration_is_evidence(author):
    minutes(author, 0, 8)
    author.health(START + 8 * MINUTE, lost=(4, 5))
    minutes(author, 9, 10)
    frames = [raw for seq, raw in enumerate(author.frames, 1) if seq not in {4, 5}]
    bench = Bench(author)
    assert bench.put(*frames[:-2]) == [(1, 3)]
    assert bench.intervals() == []
    assert [(hole.first, hole.last) for hole in bench.reader.holes()] == [(4, 5)]
    assert bench.put(*frames[-2:]) == [(1, 11)]
    assert bench.reader.holes() == []
    (interval,) = bench.intervals()
    assert interval.evidence == [[1, 1, 3], [1, 6, 7], [1, 10, 10]]
    assert (interval.verdict, interval.reasons) == ("flagged", ["hole"])
    assert interval.figures["rows"] == 18
    bench.put(author.frames[3], at=FakeClock.now)  # comes after all: kept, but the interval is final
    assert bench.intervals() == [interval]
    assert bench.reader.counters()["late"] == {"frame": 1}
    bench.check()


def test_an_undeclared_hole_stops_intervals_until_it_is_filled(author):
    minutes(author, 0, 12)
    bench = Bench(author)
    assert bench.put(*author.frames[:4], *author.frames[5:]) == [(1, 4)]
    assert bench.intervals() == []
    assert bench.tick(START + 12 * HOUR) == 0
    bench.restart()
    assert bench.put(author.frames[4], at=START + 12 * HOUR) == [(1, 13)]
    assert [one.verdict for one in bench.intervals()] == ["accepted"] * 2
    bench.check()


def test_an_interval_is_final_a_day_after_its_end_with_what_is_there(author):
    minutes(author, 0, 3)
    bench = Bench(author)
    bench.put(*author.frames)
    assert bench.tick(START + 5 * MINUTE + DAY - 1) == 0
    assert bench.tick(START + 5 * MINUTE + DAY) == 1
    assert bench.tick(START + 30 * DAY) == 0
    (interval,) = bench.intervals()
    assert interval.figures["rows"] == 18
    assert interval.evidence == [[1, 1, 4]]
    minutes(author, 3, 12)  # late data: stored and acknowledged, but what is final stays
    assert bench.put(*author.frames[4:], at=START + 31 * DAY) == [(1, 13)]
    assert bench.intervals()[0] == interval
    assert [one.a for one in bench.intervals()] == [START, START + 5 * MINUTE]
    bench.check()


def test_what_lies_behind_a_hole_is_evidence_when_the_day_is_over(author):
    minutes(author, 0, 16)
    bench = Bench(author)
    bench.put(*author.frames[:4], *author.frames[8:], at=START + 17 * MINUTE)  # minutes 3 to 6 are missing
    assert bench.tick(START + 5 * MINUTE + DAY) == 1
    assert bench.intervals()[0].evidence == [[1, 1, 4], [1, 9, 9]]
    assert bench.intervals()[0].reasons == ["hole"]
    bench.put(*author.frames[4:8], at=START + DAY + 6 * MINUTE)  # in time for the next interval
    assert [one.figures["rows"] for one in bench.intervals()] == [18, 30, 30]
    assert bench.intervals()[1].verdict == "accepted"
    bench.check()


def test_a_hole_is_given_up_when_all_it_can_touch_is_due(author):
    minutes(author, 0, 12)
    bench = Bench(author)
    bench.put(*author.frames[:4], *author.frames[5:], at=START + 13 * MINUTE)
    assert bench.tick(START + 5 * MINUTE + DAY) == 2
    assert [one.evidence for one in bench.intervals()] == [[[1, 1, 4], [1, 6, 7]], [[1, 1, 1], [1, 7, 12]]]
    assert [one.reasons for one in bench.intervals()] == [["hole"], []]
    bench.put(author.frames[4], at=START + DAY + 6 * MINUTE)
    assert [one.figures["rows"] for one in bench.intervals()] == [24, 30]
    bench.check()


def test_a_lasting_hole_does_not_stop_what_comes_a_day_later(author):
    minutes(author, 0, 30)
    bench = Bench(author)
    bench.put(*author.frames[:4], *author.frames[5:], at=START + 31 * MINUTE)
    bench.restart()
    bench.tick(START + DAY + 40 * MINUTE)
    assert [one.figures["rows"] for one in bench.intervals()] == [24, 30, 30, 30, 30, 30]
    assert [one.verdict for one in bench.intervals()] == ["flagged", *["accepted"] * 5]
    assert bench.reader.holes() == []
    assert bench.put(author.frames[4], at=START + 2 * DAY) == [(1, 31)]
    bench.check()


def test_a_hole_in_an_old_backlog_is_given_time(author):
    minutes(author, 0, 30)
    bench = Bench(author)
    at = START + 7 * DAY
    assert bench.put(*author.frames[1:8], at=at) == []  # not even the streams record is here
    assert bench.tick(at + MINUTE) == 0
    assert bench.put(author.frames[0], at=at + 2 * MINUTE) == [(1, 8)]
    bench.put(*author.frames[8:20], at=at + 3 * DAY)
    bench.put(*author.frames[21:], at=at + 4 * DAY)
    assert bench.tick(at + 4 * DAY + MINUTE) == 0
    bench.put(author.frames[20], at=at + 4 * DAY + 2 * MINUTE)
    assert [one.figures["rows"] for one in bench.intervals()] == [30] * 5
    assert [one.verdict for one in bench.intervals()] == ["accepted"] * 5
    bench.check()


def test_a_backlog_older_than_a_day_is_not_hurried(author):
    minutes(author, 0, 30)
    bench = Bench(author)
    at = START + 7 * DAY
    for raw in author.frames:
        bench.put(raw, at=at)
        assert bench.tick(at) == 0
        at += MINUTE
    assert [one.figures["rows"] for one in bench.intervals()] == [30] * 5
    bench.check()


def test_a_new_log_goes_on_where_the_old_one_ended(author):
    minutes(author, 0, 3)
    previous = (author.seq, author.prev)
    author.reboot(START + 3 * MINUTE - 1000, new_log=True)
    author.clock = 0
    author.streams(START + 3 * MINUTE - 500, previous=previous)
    minutes(author, 3, 12)
    bench = Bench(author)
    bench.put(*author.frames[:3], *author.frames[4:])
    assert bench.intervals() == []  # the old log's last frame is missing
    bench.put(author.frames[3])
    assert [one.evidence for one in bench.intervals()] == [[[1, 1, 4], [2, 1, 4]], [[2, 1, 1], [2, 4, 9]]]
    assert [one.figures["rows"] for one in bench.intervals()] == [30, 30]
    bench.check()


def test_a_new_log_after_lost_flash_does_not_wait(author):
    minutes(author, 0, 3)
    author.reboot(START + 3 * MINUTE - 1000, new_log=True)
    author.clock = 0
    author.streams(START + 3 * MINUTE - 500)
    minutes(author, 3, 6)
    bench = Bench(author)
    assert bench.put(*author.frames[:3], *author.frames[4:]) == [(1, 3), (2, 4)]
    assert [one.figures["rows"] for one in bench.intervals()] == [24]
    bench.check()


def test_rows_in_the_future_are_kept_and_quarantined_and_move_nothing(author):
    minutes(author, 0, 2)
    author.clock = DAY
    minutes(author, 2, 3)
    author.clock = 0
    minutes(author, 3, 12)
    bench = Bench(author)
    for raw in author.frames:
        record = frame.decode(cose.parse(raw)[1])
        assert bench.put(raw, at=START - MINUTE + record.up + MINUTE) == [(1, record.seq)]
    assert verdicts(bench)[START] == ("quarantined", ["clock_step", "future_time"])
    assert bench.intervals()[0].jobs == []
    assert verdicts(bench)[START + 5 * MINUTE] == ("accepted", [])
    bench.check()


@pytest.mark.parametrize(
    "column",
    [
        {"power": [7000] * 6},
        {"power": [0, None, -6901, 0, 0, 0]},
        {"voltage": [10_001] * 6},
        {"voltage": [2300, 2300, -1, None, 2300, 2300]},
        {"energy_export": [5, 4, 3, 2, 1, -1]},
        {"energy_export": [1 << 62] * 6},
    ],
)
def test_impossible_values_quarantine_their_intervals_only(author, column):
    minutes(author, 0, 7)
    minutes(author, 7, 8, **column)
    minutes(author, 8, 17)
    bench = Bench(author)
    assert bench.put(*author.frames) == [(1, 18)]
    expected = [("accepted", []), ("quarantined", ["impossible_value"]), ("accepted", [])]
    assert list(verdicts(bench).values()) == expected
    bench.check()


def test_rows_of_unknown_streams_are_kept_and_flagged(author):
    minutes(author, 0, 2)
    author.entries(START + 2 * MINUTE, [frame.Entry(9, 0, 1000, [[1, 2]]), frame.Entry(0, 0, 1000, [[1]])])
    author.streams_hash = bytes(16)
    minutes(author, 3, 4)
    bench = Bench(author)
    assert bench.put(*author.frames) == [(1, 5)]
    assert bench.reader.counters()["verdict"] == {"unknown_stream": 1, "unknown_streams": 1}


def test_a_frame_of_many_years_is_one_verdict_and_little_work(author):
    minutes(author, 0, 1)
    author.entries(START + MINUTE, [frame.Entry(0, 0, [10**12], [[1, 0], [2300, 0], [5, 0]])])
    minutes(author, 2, 6)
    bench = Bench(author)
    bench.put(*author.frames, at=START + 2 * 10**12)
    assert verdicts(bench) == {START: ("quarantined", ["frame_too_long"])}


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


def test_memory_of_open_intervals_is_bounded(author):
    author.rows(START, 1)
    for at in range(1, 6000):
        author.rows(START + at * 10, 1)
    author.rows(START + 6 * MINUTE)
    bench = Bench(author, length_s=300)
    for first in range(0, len(author.frames), 500):
        bench.put(*author.frames[first : first + 500])
    state = bench.pipeline._states[bench.board.id]
    assert len(state.recent) <= 256
    assert all(len(stream.window.spans) <= 4096 for stream in state.streams.values())
    assert bench.reader.counters()["dropped"] == {"interval_of_too_many_frames": 1}


def test_boards_remembered_are_bounded(author, monkeypatch):
    monkeypatch.setattr("wattness.store.pipeline.BOARDS_MAX", 2)
    monkeypatch.setattr("wattness.store.pipeline.FRAMES_MAX", 3)
    minutes(author, 0, 6)
    bench = Bench(author)
    registry = BoardRegistry(bench.connection, FakeClock())
    others = [Author(seed, GATEWAY, START) for seed in range(2, 8)]
    boards = [registry.enrol(other.public_key, f"board {seed}") for seed, other in enumerate(others)]
    bench.put(*author.frames[:3])
    for other, board in zip(others, boards, strict=True):
        with bench.connection:
            bench.pipeline.put([verified(board.id, other.streams(START + 1))])
    assert len(bench.pipeline._states) == 2
    bench.put(*author.frames[3:])
    assert [one.figures["rows"] for one in bench.intervals()] == [30]
    bench.check()


def test_points_are_read_back_for_plots(author):
    minutes(author, 0, 4)
    author.rows(START + 4 * MINUTE, power=[1, None, 3, 4, 5, 6])
    bench = Bench(author)
    bench.put(*author.frames)
    (stream,) = bench.reader.streams()
    assert (stream.device, stream.first_unix_ms) == ("0", START)
    assert stream.last_unix_ms == START + 4 * MINUTE + 50_000
    values = bench.reader.values(stream.id, "power", START + 4 * MINUTE)
    assert values == [[START + 4 * MINUTE + 10_000 * row, value] for row, value in enumerate([1, None, 3, 4, 5, 6])]
    assert bench.reader.values(stream.id, "voltage", START, limit=2)[0][0] == START + 4 * MINUTE + 40_000
    assert bench.reader.values(stream.id, "voltage", START)[0][1] == 230 + START // 1000 % 7 / 10
    assert bench.reader.values(99, "power", 0) == []
