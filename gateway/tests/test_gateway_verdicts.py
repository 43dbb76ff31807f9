"""Verdicts on what frames hold, and the bounds of what the gateway remembers of them."""

import runpy
from pathlib import Path

import pytest

from emulator.author import Author, pv, verified
from wattness.store.registry import BoardRegistry
from wattnet.audit import audit
from wattnet.report import read as read_report
from wattwire import cose, frame

_world = runpy.run_path(str(Path(__file__).with_name("pipeline_world.py")))
Bench, FakeClock, minutes, verdicts = (_world[name] for name in ("Bench", "FakeClock", "minutes", "verdicts"))
GATEWAY, START, MINUTE, HOUR, DAY = (_world[name] for name in ("GATEWAY", "START", "MINUTE", "HOUR", "DAY"))


@pytest.fixture
def author():
    return _world["make_author"]()


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


def audited(bench, author):
    """Return what the reference network's audit says of every interval that is claimed, by its begin."""
    found = {}
    for one in bench.intervals():
        if not one.jobs:
            continue
        names = ("device", "role", "profile", "a", "b", "figures", "evidence", "verdict", "reasons")
        value = {name: getattr(one, name) for name in names}
        value |= {"rules": 1, "board": bench.board.board_key, "root": bytes.fromhex(one.root), "provenance": "board"}
        raws = list(bench.reader.evidence(bench.board.board_key, one.evidence))
        audit(*read_report(value), author.public_key, GATEWAY, raws)
        found[one.a] = one.role, one.profile
    return found


@pytest.mark.parametrize("changes", [{"profile": "another"}, {"role": "grid"}])
def test_a_stream_that_changes_within_an_interval_is_claimed_as_the_audit_reads_it(author, changes):
    minutes(author, 0, 3)
    author.streams(START + 3 * MINUTE - 5000, pv(**changes))
    minutes(author, 3, 12)
    bench = Bench(author)
    bench.put(*author.frames)
    stream = pv(**changes)
    assert audited(bench, author) == dict.fromkeys((START, START + 5 * MINUTE), (stream.role, stream.profile))
    bench.check()


def test_rows_that_no_streams_record_of_ours_describes_are_not_claimed(author):
    minutes(author, 0, 3)
    ours, author.streams_hash = author.streams_hash, bytes(16)
    minutes(author, 3, 4)
    author.streams_hash = ours
    minutes(author, 4, 8)
    author.gateway = bytes(32)
    author.streams(START + 8 * MINUTE - 5000)
    minutes(author, 8, 9)
    author.gateway = GATEWAY
    author.streams(START + 9 * MINUTE - 5000)
    minutes(author, 9, 18)
    bench = Bench(author)
    bench.put(*author.frames)
    assert list(verdicts(bench).values()) == [
        ("flagged", ["unknown_streams"]),
        ("flagged", ["other_gateway"]),
        ("accepted", []),
    ]
    assert list(audited(bench, author)) == [START + 10 * MINUTE]
    bench.check()


def test_an_entry_of_an_unknown_stream_costs_no_claim(author):
    minutes(author, 0, 2)
    author.entries(START + 2 * MINUTE, [frame.Entry(9, 0, 1000, [[1, 2]]), frame.Entry(0, 0, 1000, [[1]])])
    minutes(author, 3, 7)
    bench = Bench(author)
    bench.put(*author.frames)
    assert verdicts(bench) == {START: ("flagged", ["unknown_stream"])}
    assert list(audited(bench, author)) == [START]
    bench.check()


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (START + DAY, START + DAY + 1),
        ((1 << 53) - 1, 1 << 53),
        (7, START + HOUR),
        *((odd, START + HOUR) for odd in (1 << 53, (1 << 63) - 1, -1, "9" * 20, None)),
    ],
)
def test_commands_count_on_from_what_the_board_reports(author, reported, expected):
    author.health(START, command=reported)
    author.health(START + 1, command=5)
    author.health(START + 2)
    bench = Bench(author)
    bench.put(*author.frames)
    FakeClock.now = START + HOUR
    registry = BoardRegistry(bench.connection, FakeClock())
    assert [registry.next_counter(bench.board.id) for _ in range(2)] == [expected, expected + 1]
