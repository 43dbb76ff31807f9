"""The writer's work on a database in memory, without its thread, under a clock that tests set; loaded by `runpy`."""

from typing import Any

import apsw

from emulator.author import Author, verified
from wattness.clock import Clock
from wattness.config import Interval
from wattness.store.pipeline import Pipeline
from wattness.store.reader import Reader
from wattness.store.registry import BoardRegistry
from wattness.store.schema import TABLES
from wattness.store.settings import Settings, Wants
from wattness.store.windows import TABLES as WINDOWS
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
        self.connection.execute(TABLES + WINDOWS)
        self.settings = Settings(GATEWAY, (Wants("alpha"), Wants("beta")), Interval(**interval), FakeClock())
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
            is_claimed = one.verdict != "quarantined" and not {"unknown_streams", "other_gateway"} & set(one.reasons)
            assert len(one.jobs) == (2 if is_claimed else 0)


def make_author() -> Author:
    """Return a board that has told of its one PV stream, at the beginning of time."""
    FakeClock.now = START
    author = Author(1, GATEWAY, START - MINUTE)
    author.streams(START - MINUTE // 2)
    return author


def minutes(author, first, last, **changes):
    for minute in range(first, last):
        author.rows(START + minute * MINUTE, **changes)


def verdicts(bench):
    return {one.a: (one.verdict, one.reasons) for one in bench.intervals()}
