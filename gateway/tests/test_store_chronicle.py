"""The history's own process: follows the store, outlives its own death, and ends with its gateway."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from runpy import run_path

import pytest

from wattness import chronicle as chronicles
from wattness.chronicle import Chronicle
from wattness.config import Config, History
from wattness.store.history import History as Past
from wattness.store.history_schema import history_path
from wattness.store.reader import Reader

WORLD = run_path(str(Path(__file__).with_name("store_world.py")))
START, MINUTE = WORLD["START"], WORLD["MINUTE"]
children_running = run_path(str(Path(__file__).with_name("processes.py")))["children_running"]


@contextlib.asynccontextmanager
async def running(store, folder):
    chronicle = Chronicle(store, Config(home=str(folder), history=History(raw_days=1, proof_days=1)))
    task = asyncio.create_task(chronicle.run())
    try:
        yield chronicle
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(condition):
    for _ in range(600):
        if found := await condition():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen")


def children():
    return children_running("wattness.store.chronicler")


async def view(store):
    found = await store.read(lambda reader: reader.history(1, "power", START, START + 60 * MINUTE, "1m"))
    return found.rows


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(chronicles, "START_S", 0.0)
    monkeypatch.setattr(chronicles, "RESTART_S", (0.05,))


async def test_it_follows_the_store_and_is_started_again_when_it_dies(tmp_path):
    author = WORLD["make_author"]()
    async with WORLD["opened"](WORLD["enrolled"](tmp_path, author)) as store:
        await WORLD["put"](store, *author.frames[:6])
        async with running(store, tmp_path):

            async def has_five():
                return len(await view(store)) == 5

            await until(has_five)
            (child,) = children()
            child.send_signal(signal.SIGKILL)
            await WORLD["put"](store, *author.frames[6:])

            async def has_all():
                return len(await view(store)) == 12

            await until(has_all)
            assert [one.pid for one in children()] != [child.pid]
        assert children() == []


async def test_it_ends_when_its_gateway_is_gone(tmp_path):
    author = WORLD["make_author"]()
    async with WORLD["opened"](WORLD["enrolled"](tmp_path, author)) as store:
        task = Chronicle(store, Config(home=str(tmp_path)))._task
        read, write = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *(chronicles.sys.executable, "-m", "wattness.store.chronicler"),
            chronicles.msgspec.json.encode(task).decode(),
            stdin=read,
            stdout=asyncio.subprocess.PIPE,
        )
        os.close(read)
        assert await process.stdout.readline() == b'{"error":null,"fatal":false}\n'
        os.close(write)
        assert await process.wait() == 0


async def test_a_damaged_history_stops_it_and_nothing_else(tmp_path, caplog):
    author = WORLD["make_author"]()
    path = WORLD["enrolled"](tmp_path, author)
    async with WORLD["opened"](path) as store:
        await WORLD["put"](store, *author.frames[:6])
        history_path(path).write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 64)
        async with running(store, tmp_path) as chronicle:

            async def says_so():
                return chronicle.error

            assert "wattness db repair" in await until(says_so)
            assert await WORLD["put"](store, *author.frames[6:]) == [(1, len(author.frames))]
    assert sum("history stands still" in record.message for record in caplog.records) == 1


async def test_what_is_in_chunks_is_removed_from_the_store(tmp_path):
    author = WORLD["make_author"]()
    for minute in range(60, 60 + 3 * 24 * 60, 20):
        author.rows(START + minute * MINUTE)
    path = WORLD["enrolled"](tmp_path, author)
    clock = type(WORLD["CLOCK"])(0, START - WORLD["CLOCK"].real_ms_now() + 5 * 86_400_000, 1)
    async with WORLD["opened"](path, clock=clock, networks=()) as store:
        await WORLD["put"](store, *author.frames)
        before = await store.read(lambda reader: reader.values(1, "power", 0, 20_000))
        config = Config(home=str(tmp_path), history=History(raw_days=1, proof_days=1))
        chronicle = Chronicle(store, config)
        chronicle._task = chronicles.msgspec.structs.replace(
            chronicle._task, clock=(clock.real_ms, clock.civil_ms, clock.rate)
        )
        task = asyncio.create_task(chronicle.run())

        async def is_removed():
            await store.remove_old()
            return (await store.read(Reader.counters)).get("removed", {}).get("rows", 0) > 100

        await until(is_removed)
        task.cancel()
        await asyncio.wait([task])
        await store.remove_old()
        assert await store.read(lambda reader: reader.past(Past.removable)) == []
        assert await store.read(lambda reader: reader.values(1, "power", 0, 20_000)) == before
        counters = await store.read(Reader.counters)
        assert counters["compacted"]["rows"] > counters["removed"]["rows"] > 50
