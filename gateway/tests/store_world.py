"""A store on a real disk, and a board that speaks to it; loaded by `runpy`."""

from contextlib import asynccontextmanager

from emulator.author import Author, verified
from wattness.clock import Clock
from wattness.store.reader import Reader, open_reader
from wattness.store.registry import open_registry
from wattness.store.settings import Wants
from wattness.store.sqlite import Settings, open_store

GATEWAY = bytes(range(32))
MINUTE = 60_000
START = 1_790_000_100_000
CLOCK = Clock(0, START - Clock().real_ms_now() + 3_600_000, 1)  # an hour after the first rows


def make_author() -> Author:
    """Return a board that has written twelve minutes."""
    author = Author(1, GATEWAY, START - MINUTE)
    author.streams(START - MINUTE // 2)
    for minute in range(12):
        author.rows(START + minute * MINUTE)
    return author


def enrolled(folder, author, name="wattness.db"):
    """Return the path of a database that knows the board."""
    with open_registry(folder / name, CLOCK) as registry:
        registry.enrol(author.public_key, "roof")
    return folder / name


def settings(**changes):
    return Settings(**({"gateway": GATEWAY, "networks": (Wants("alpha"),), "clock": CLOCK, "window_ms": 1} | changes))


@asynccontextmanager
async def opened(path, **changes):
    async with open_store(path, settings(**changes)) as store:
        yield store


async def put(store, *frames):
    return [(ack.log, ack.seq) for ack in await store.put([verified(1, raw) for raw in frames])]


async def state_of(store):
    (board,) = await store.read(Reader.boards)
    return board.state, board.reason


def assert_same(path, other):
    with open_reader(path) as left, open_reader(other) as right:
        assert [view.raw for view in left.export_frames()] == [view.raw for view in right.export_frames()]
        ours, theirs = list(left.export_intervals()), list(right.export_intervals())
        assert [content(one) for one in ours] == [content(one) for one in theirs]
        assert [len(one.jobs) for one in ours] == [1] * len(theirs)
        assert ours


def content(interval):
    return interval.a, interval.b, interval.figures, interval.evidence, interval.root, interval.verdict


async def undisturbed(author, folder):
    """Return a store that took the board's frames in peace."""
    path = enrolled(folder, author, "undisturbed.db")
    async with opened(path) as store:
        await put(store, *author.frames)
    return path
