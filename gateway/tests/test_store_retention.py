"""Retention: old frames become chunks, values stay the same, and nothing goes that somebody may still need."""

import random
from pathlib import Path
from runpy import run_path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.author import Author, pv
from wattness.store import chunks
from wattness.store.removal import Removable
from wattness.store.retention import Retention
from wattness.store.schema import ask
from wattwire import frame

WORLD = run_path(str(Path(__file__).with_name("history_world.py")))
Past, GATEWAY, START, MINUTE, HOUR, DAY = (WORLD[n] for n in ("Past", "GATEWAY", "START", "MINUTE", "HOUR", "DAY"))
INTS = st.integers(-(1 << 63) + 1, (1 << 63) - 1)


@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.none() | INTS, st.none() | st.integers(-50, 50)), min_size=1))
def test_a_chunk_gives_back_what_was_put_in(rows):
    rows.sort(key=lambda row: row[0])
    times, *columns = (list(column) for column in zip(*rows, strict=True))
    stream = pv(points=(frame.Point("power", "W", -1, None), frame.Point("energy_import", "Wh", 0, 1 << 32)))
    chunk = chunks.unpack(times[0], *chunks.pack(stream, times, columns))
    assert chunk.stream == stream
    assert frame.times(chunk.entry, chunk.first_ms) == times
    assert [frame.undelta(column) for column in chunk.entry.columns] == columns


class World(Past):
    """A store with days of frames, its history, and the removal of frames."""

    def __init__(self, author, *, raw_days=2, proof_days=3, **settings):
        super().__init__(author, **settings)
        day = {"raw_ms": raw_days * DAY, "proof_ms": proof_days * DAY}
        self.retention = lambda: Retention(self.bench.connection, self.history, self.historian.recall, **day)

    def compact(self, now):
        self.follow()
        days = 0
        while self.retention().step(now):
            days += 1
        return days

    def remove(self):
        removed = 0
        query = "SELECT id, board_id, log, last, frame FROM removable"
        for row in ask(self.history, query):
            after = 0
            while after is not None:
                with self.bench.connection:
                    gone, after = self.bench.pipeline.remove(Removable(*row), after)
                removed += gone
            self.history.execute("DELETE FROM removable WHERE id = ?", row[:1])
        return removed

    def rows(self):
        return {
            (known.device, slot): tuple(self.historian.recall.rows(known, slot)[:2])
            for known in self.historian.known()
            for slot in range(START // 900_000, (START + 8 * DAY) // 900_000)
        }

    def frames(self, kind=2):
        return ask(self.bench.connection, "SELECT seq FROM frame WHERE kind = ? ORDER BY log, seq", (kind,))


def days_of(count, every=40 * MINUTE):
    WORLD["FakeClock"].now = START
    author = Author(1, GATEWAY, START - MINUTE)
    author.streams(START - MINUTE // 2)
    for number in range(count * DAY // every):
        author.rows(START + number * every)
        if number % 30 == 7:
            author.health(START + number * every + 70_000, command=1)
    return author


def settled(world):
    """Every report was taken by every network."""
    world.bench.connection.execute("UPDATE job SET state = 'completed'")


def test_old_frames_go_and_their_values_stay():
    author = days_of(6)
    world = World(author)
    world.bench.put(*author.frames)
    settled(world)
    world.follow()
    rows, buckets = world.rows(), world.buckets()
    held = len(world.frames())
    assert world.compact(START + 7 * DAY) == 4
    assert world.rows() == rows
    removed = world.remove()
    assert removed > 0
    assert held - len(world.frames()) + 9 >= removed > held * 0.5
    assert world.rows() == rows
    world.historian.step()
    assert world.buckets() == buckets
    counted = ask(world.bench.connection, "SELECT reason, n FROM counter WHERE name = 'removed' ORDER BY 1")
    assert sum(n for _, n in counted) == removed
    assert [reason for reason, _ in counted] == ["health", "rows"]
    held_now = ask(world.bench.connection, "SELECT count(*) FROM frame")
    assert ask(world.bench.connection, "SELECT frames FROM log") == held_now


def test_a_frame_that_was_removed_is_a_duplicate_when_it_comes_again():
    author = days_of(6)
    world = World(author)
    world.bench.put(*author.frames)
    settled(world)
    world.compact(START + 7 * DAY)
    world.remove()
    held = world.frames()
    intervals = world.bench.intervals()
    assert world.bench.put(author.frames[3]) == [(1, len(author.frames))]
    assert world.frames() == held
    assert world.bench.intervals() == intervals
    assert world.bench.reader.boards()[0].state == "active"


def test_evidence_that_may_be_challenged_stays():
    author = days_of(6)
    world = World(author, raw_days=1, proof_days=30)
    world.bench.put(*author.frames)
    settled(world)
    assert world.compact(START + 7 * DAY) == 0
    world.bench.check()


def test_evidence_of_a_report_that_was_not_sent_stays():
    author = days_of(6)
    world = World(author, raw_days=1, proof_days=1)
    world.bench.put(*author.frames)
    settled(world)
    third = world.bench.intervals()[len(world.bench.intervals()) // 2]
    world.bench.connection.execute("UPDATE job SET state = 'retryable' WHERE interval_id = ?", (third.id,))
    days = world.compact(START + 8 * DAY)
    assert 1 <= days <= 3
    world.remove()
    raws = list(world.bench.reader.evidence(world.bench.board.board_key, third.evidence))
    assert len(raws) == sum(last - first + 1 for _, first, last in third.evidence)


def test_evidence_of_a_window_that_was_not_sent_stays():
    author = days_of(6)
    world = World(author, raw_days=1, proof_days=1)
    world.bench.put(*author.frames)
    settled(world)
    found = world.bench.intervals()
    first, last = found[len(found) // 2], found[-1]
    world.bench.connection.execute(
        "INSERT INTO job (network, key, interval_id, board_id, created_ms, begin_ms, end_ms)"
        " VALUES ('alpha', 'window', ?, 1, 0, ?, ?)", (last.id, first.a, last.b)
    )  # fmt: skip
    (job_id,) = ask(world.bench.connection, "SELECT max(id) FROM job")[0]
    for interval in (first, last):
        world.bench.connection.execute("INSERT INTO part VALUES (?, ?)", (job_id, interval.id))
    assert 1 <= world.compact(START + 8 * DAY) <= 3
    world.remove()
    raws = list(world.bench.reader.evidence(world.bench.board.board_key, first.evidence))
    assert len(raws) == sum(last - first + 1 for _, first, last in first.evidence)


def test_a_board_in_quarantine_keeps_everything():
    author = days_of(6)
    world = World(author)
    world.bench.put(*author.frames)
    settled(world)
    world.bench.connection.execute("UPDATE board SET state = 'quarantined'")
    assert world.compact(START + 9 * DAY) == 0


def test_undated_frames_the_newest_and_those_that_others_need_stay():
    author = days_of(2)
    author.reboot(START + 2 * DAY)
    author.streams(START + 2 * DAY + 1000)
    undated = [
        author.rows(START + 2 * DAY + number * MINUTE) for number in range(1, 5)
    ]  # this boot never learns the time
    author.reboot(START + 2 * DAY + HOUR)
    author.streams(START + 2 * DAY + HOUR + 1000)
    late_dated = author.rows(START + 2 * DAY + HOUR + MINUTE)
    author.clock = 0
    dating = author.rows(START + 2 * DAY + HOUR + 2 * MINUTE)
    for number in range(3, 200):
        author.rows(START + 2 * DAY + HOUR + number * MINUTE * 10)
    newest = author.frames[-1]
    world = World(author, raw_days=1, proof_days=1)
    world.bench.put(*author.frames)
    settled(world)
    assert world.compact(START + 30 * DAY) >= 3
    assert world.remove() > 100
    held = {raw for (raw,) in ask(world.bench.connection, "SELECT raw FROM frame")}
    assert {*undated, dating, newest} <= held
    assert late_dated not in held
    assert len(world.frames(kind=1)) == 3


def test_a_late_frame_of_a_day_in_chunks_is_added_to_it():
    author = days_of(6)
    late = author.frames.pop(50)
    world = World(author, final_after_h=1)
    world.bench.put(*author.frames)
    world.bench.tick(START + 7 * DAY)
    world.bench.tick(START + 7 * DAY)
    settled(world)
    assert world.compact(START + 9 * DAY) >= 4
    world.remove()
    before = world.buckets()
    world.bench.put(late, author.health(START + 8 * DAY), at=START + 9 * DAY)
    world.follow()
    more = {key for key in world.buckets().keys() - before.keys() if key[2] == 60}
    assert len(more) == 3  # a minute of three points
    rows = world.rows()
    assert world.compact(START + 9 * DAY) == 1
    world.remove()
    assert world.rows() == rows
    assert late not in {raw for (raw,) in ask(world.bench.connection, "SELECT raw FROM frame")}


@pytest.mark.parametrize("seed", range(2))
def test_compaction_at_any_moment_changes_nothing(seed):
    source = random.Random(seed)
    author = days_of(5, every=source.choice((25, 45)) * MINUTE)
    world, other = World(author, raw_days=1, proof_days=1), World(author)
    frames = list(author.frames)
    while frames:
        some, frames = frames[: (size := source.randrange(1, 120))], frames[size:]
        world.bench.put(*some)
        if source.random() < 0.5:
            settled(world)
            world.compact(WORLD["FakeClock"].now)
            if source.random() < 0.5:
                world.remove()
    other.bench.put(*author.frames)
    world.follow()
    other.follow()
    assert world.buckets() == other.buckets()
    assert world.rows() == other.rows()
    assert [one.figures for one in world.bench.intervals()] == [one.figures for one in other.bench.intervals()]
