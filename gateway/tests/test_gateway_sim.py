"""A seeded world: boards, a link that loses, repeats and re-orders, a gateway that is killed; and nothing is lost."""

import random

import apsw
import pytest

from emulator.author import POINTS, Author, pv, verified
from wattness.clock import Clock
from wattness.config import Interval
from wattness.store.pipeline import Pipeline
from wattness.store.reader import Reader
from wattness.store.registry import BoardRegistry
from wattness.store.schema import TABLES
from wattness.store.settings import Settings, Wants
from wattness.store.windows import TABLES as WINDOWS
from wattwire import cose, evidence, frame

GATEWAY = bytes(range(32))
MINUTE = 60_000
START = 1_790_000_100_000
WINDOW = 8
RESEND_MS = 10_000


class FakeClock(Clock):
    now = START

    def now_ms(self):
        return FakeClock.now


class Gateway:
    """The writer's work on a database in memory; a kill loses what was not committed, and everything remembered."""

    def __init__(self, authors):
        self.connection = apsw.Connection(":memory:")
        self.connection.execute(TABLES + WINDOWS)
        registry = BoardRegistry(self.connection, FakeClock())
        self.ids = {author: registry.enrol(author.public_key, f"board {n}").id for n, author in enumerate(authors)}
        self.settings = Settings(GATEWAY, (Wants("alpha"),), Interval(), FakeClock())
        self.pipeline = Pipeline(self.connection, self.settings)

    def put(self, batch, *, killed=False):
        """Store (author, raw) pairs; returns what to acknowledge, nothing when killed before the commit."""
        self.connection.execute("BEGIN")
        acks = self.pipeline.put([verified(self.ids[author], raw) for author, raw in batch])
        self.connection.execute("ROLLBACK" if killed else "COMMIT")
        if killed:
            self.pipeline = Pipeline(self.connection, self.settings)
        return [] if killed else acks

    def tick(self):
        with self.connection:
            self.pipeline.tick()

    def intervals(self):
        return list(Reader(self.connection).export_intervals())


class Board:
    """Writes frames as time goes by and delivers them as wire.md §2 says."""

    def __init__(self, seed, source):
        self.source, self.acked, self.sent_at = source, 0, {}
        self.author = Author(seed, GATEWAY, START - 2 * MINUTE)
        self.author.clock = source.choice([0, None])
        self.streams = (pv(), pv(role="grid", points=POINTS[:1], rated_w=None))
        self.author.streams(START - 2 * MINUTE + 500, *self.streams)

    def write(self, at):
        if self.source.random() < 0.02:
            self.author.reboot(at - 500)
            self.author.streams(at - 400, *self.streams)
        if self.source.random() < 0.3:
            self.author.clock = 0
        power = [self.source.choice([None, 0, 500, 2000]) for _ in range(6)]
        columns = [frame.delta(column) for column in (power, [2300] * 6, [at // 3600 + row for row in range(6)])]
        entries = [frame.Entry(0, 0, 10_000, columns), frame.Entry(1, 3, 10_000, columns[:1])]
        self.author.entries(at, entries[: self.source.randint(1, 2)])

    def to_send(self, now):
        """Return up to a window of frames that are due, oldest first."""
        due = range(self.acked, min(self.acked + WINDOW, len(self.author.frames)))
        found = [at for at in due if now - self.sent_at.get(at, -RESEND_MS) >= RESEND_MS]
        self.sent_at.update(dict.fromkeys(found, now))
        return [(self.author, self.author.frames[at]) for at in found]


class World:
    """Boards, link and gateway under one seed."""

    def __init__(self, seed):
        self.source = random.Random(seed)
        FakeClock.now = START
        self.boards = [Board(seed * 10 + number, self.source) for number in range(2)]
        self.gateway = Gateway([board.author for board in self.boards])
        self.link = []
        self.downtime = 0

    def run(self, minutes):
        end = START + minutes * MINUTE
        while FakeClock.now < end or any(board.acked < len(board.author.frames) for board in self.boards):
            if FakeClock.now < end and FakeClock.now % MINUTE == 0:
                for board in self.boards:
                    board.write(FakeClock.now - MINUTE)
            self.deliver()
            FakeClock.now += 5_000
            assert FakeClock.now < end + 20 * 60 * MINUTE

    def deliver(self):
        for board in self.boards:
            for sent in board.to_send(FakeClock.now):
                self.link += [sent] * self.source.choice([0, 1, 1, 1, 1, 2])
        self.source.shuffle(self.link)
        if self.downtime:
            self.downtime -= 1
            return
        if self.source.random() < 0.01:
            self.downtime = self.source.randint(1, 100)
        batch, self.link = self.link[:12], self.link[12:]
        acks = self.gateway.put(batch, killed=self.source.random() < 0.1)
        self.gateway.tick()
        for ack in acks:
            board = next(one for one in self.boards if self.gateway.ids[one.author] == ack.board_id)
            if self.source.random() < 0.8:
                board.acked = max(board.acked, ack.seq)


@pytest.mark.parametrize("seed", range(20))
def test_every_frame_is_kept_and_every_interval_is_what_its_frames_say(seed):
    check(seed, minutes=60)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1300))
def test_many_worlds(seed):
    check(seed, minutes=200)


def check(seed, minutes):
    world = World(seed)
    world.run(minutes)
    reader = Reader(world.gateway.connection)
    stored = [view.raw for view in reader.export_frames()]
    assert sorted(stored) == sorted(raw for board in world.boards for raw in board.author.frames)
    undisturbed = Gateway([board.author for board in world.boards])
    for board in world.boards:
        undisturbed.put([(board.author, raw) for raw in board.author.frames])
    found = world.gateway.intervals()
    assert sorted(map(content, found)) == sorted(map(content, undisturbed.intervals()))
    assert found
    for one in found:
        assert len(one.jobs) == 1
        raws = reader.evidence(bytes.fromhex(one.board_key), one.evidence)
        records = [frame.decode(cose.parse(raw)[1]) for raw in raws]
        assert one.figures == evidence.figures(records, one.device, one.a, one.b)


def content(one):
    return one.board_key, one.device, one.a, str(one.figures), one.evidence, one.root, one.verdict, one.reasons
