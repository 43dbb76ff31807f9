"""Intake: bounded, both cores, acknowledged after the commit and never before, and no junk stops it."""

import asyncio
import random
import tracemalloc

import pytest

from emulator.author import Author, arrival
from wattness import intake as intake_module
from wattness.clock import Clock
from wattness.errors import StoreError
from wattness.intake import QUEUE_FRAMES_MAX, Intake
from wattness.model import Arrival
from wattness.store.reader import Reader
from wattness.store.registry import open_registry
from wattness.store.sqlite import Settings, open_store
from wattness.verifiers import open_verifiers

GATEWAY = bytes(range(32))
START = 1_790_000_100_000


class Bench:
    """An intake over a real store, and what it acknowledged."""

    def __init__(self, store, verifiers) -> None:
        self.store, self.acks = store, []
        self.intake = Intake(store, verifiers, self.acknowledge)

    async def acknowledge(self, acks):
        with_frames = await self.store.read(lambda reader: {view.seq for view in reader.export_frames()})
        for ack in acks:
            assert set(range(1, ack.seq + 1)) <= with_frames  # on the disk before it is said
            self.acks.append((ack.log, ack.seq))

    def offer(self, *frames):
        return [self.intake.offer(frame if isinstance(frame, Arrival) else arrival(frame)) for frame in frames]

    async def until_acked(self, *expected):
        while expected not in self.acks:
            await asyncio.sleep(0.005)

    async def counters(self):
        return await self.store.read(Reader.counters)

    async def until_counted(self, name, expected):
        while (await self.counters()).get(name) != expected:
            await asyncio.sleep(0.005)


@pytest.fixture
def author():
    author = Author(1, GATEWAY, START)
    author.streams(START + 1)
    for minute in range(1, 40):
        author.rows(START + minute * 60_000)
    return author


@pytest.fixture
async def bench(tmp_path, author):
    with open_registry(tmp_path / "wattness.db") as registry:
        board = registry.enrol(author.public_key, "roof")
    clock = Clock(0, START - Clock().real_ms_now() + 3_600_000, 1)
    settings = Settings(GATEWAY, clock=clock, window_ms=1)
    async with open_store(tmp_path / "wattness.db", settings) as store, open_verifiers([board]) as verifiers:
        bench = Bench(store, verifiers)
        task = asyncio.create_task(bench.intake.run())
        yield bench
        task.cancel()
        await asyncio.wait([task])


async def test_frames_are_acknowledged_once_they_are_stored(bench, author):
    assert all(bench.offer(*author.frames))
    await bench.until_acked(1, 40)


async def test_batches_are_stored_in_the_order_of_their_coming(bench, author, monkeypatch):
    monkeypatch.setattr(intake_module, "BATCH_FRAMES_MAX", 1)
    check, late = bench.intake._verifiers.check, iter((0.2, 0.0, 0.1, 0.0) * 20)

    async def slow(batch):
        await asyncio.sleep(next(late))
        return await check(batch)

    monkeypatch.setattr(bench.intake._verifiers, "check", slow)
    bench.offer(*author.frames[:8])
    await bench.until_acked(1, 8)
    stored = await bench.store.read(lambda reader: [view.seq for view in reader.export_frames()])
    assert stored == list(range(1, 9))


async def test_a_duplicate_is_acknowledged_again(bench, author):
    bench.offer(*author.frames[:3])
    await bench.until_acked(1, 3)
    bench.acks.clear()
    bench.offer(author.frames[0])
    await bench.until_acked(1, 3)


async def test_bad_frames_are_counted_by_reason_and_never_acknowledged(bench, author):
    stranger = Author(2, GATEWAY, START)
    forged = author.frames[1][:-1] + bytes((author.frames[1][-1] ^ 1,))
    bench.offer(Arrival(author.kid, b""), forged, stranger.streams(START), Arrival(author.kid, author.frames[0] + b"x"))
    expected = {"bad_signature": 1, "trailing_bytes": 1, "truncated": 1, "unknown_board": 1}
    await bench.until_counted("rejected", expected)
    assert bench.acks == []
    bench.offer(author.frames[0])
    await bench.until_acked(1, 1)


async def test_a_full_queue_drops_and_counts(tmp_path, author):
    with open_registry(tmp_path / "wattness.db") as registry:
        board = registry.enrol(author.public_key, "roof")
    settings = Settings(GATEWAY, window_ms=1)
    async with open_store(tmp_path / "wattness.db", settings) as store, open_verifiers([board]) as verifiers:
        bench = Bench(store, verifiers)
        taken = bench.offer(*[author.frames[0]] * (QUEUE_FRAMES_MAX + 5))
        assert taken == [True] * QUEUE_FRAMES_MAX + [False] * 5
        task = asyncio.create_task(bench.intake.run())
        await bench.until_acked(1, 1)
        await bench.until_counted("dropped", {"queue_full": 5})
        task.cancel()
        await asyncio.wait([task])


async def test_a_failing_store_is_asked_again_and_nothing_is_acknowledged_meanwhile(bench, author, monkeypatch):
    monkeypatch.setattr(intake_module, "RETRY_S", (0.001,))
    put, failures = bench.store.put_read, 5

    async def failing(read, count):
        nonlocal failures
        if failures:
            failures -= 1
            assert bench.acks == []
            raise StoreError("no space")
        return await put(read, count)

    monkeypatch.setattr(bench.store, "put_read", failing)
    bench.offer(*author.frames)
    await bench.until_acked(1, 40)
    assert failures == 0


async def test_a_defect_costs_only_the_frame_that_shows_it(bench, author, monkeypatch):
    put = bench.store._pipeline.put

    def defective(frames):
        if any(frame.record.seq == 3 for frame in frames):
            raise ZeroDivisionError
        return put(frames)

    monkeypatch.setattr(bench.store._pipeline, "put", defective)
    bench.offer(*author.frames[:5])
    await bench.until_counted("dropped", {"internal_error": 1})
    await bench.until_acked(1, 2)
    assert (await bench.store.read(Reader.boards))[0].log.frames == 4


async def test_floods_of_junk_neither_stop_it_nor_fill_the_memory(bench, author):
    source = random.Random(1)
    junk = [source.randbytes(source.randint(0, 9000)) for _ in range(50)]
    junk += [raw[: source.randrange(len(raw))] + source.randbytes(8) for raw in author.frames]
    junk += [b"\x81" * 20_000, b"\x5b\x7f" + b"\xff" * 7, b"\xd2\x84" + b"\x9b" + b"\xff" * 8]
    tracemalloc.start()
    try:
        for at in range(3000):
            while not bench.intake.offer(Arrival(author.kid, junk[at % len(junk)])):
                await asyncio.sleep(0.001)
        bench.offer(*author.frames)
        await bench.until_acked(1, 40)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    while sum((await bench.counters())["rejected"].values()) < 3000:
        await asyncio.sleep(0.005)
