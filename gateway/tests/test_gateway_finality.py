"""Finality: holes, late data, new logs, and the day after which an interval waits no longer."""

import runpy
from pathlib import Path

import pytest

_world = runpy.run_path(str(Path(__file__).with_name("pipeline_world.py")))
Bench, FakeClock, minutes, verdicts = (_world[name] for name in ("Bench", "FakeClock", "minutes", "verdicts"))
GATEWAY, START, MINUTE, HOUR, DAY = (_world[name] for name in ("GATEWAY", "START", "MINUTE", "HOUR", "DAY"))


@pytest.fixture
def author():
    return _world["make_author"]()


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
