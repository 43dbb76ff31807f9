"""The processes that verify: the same frames as in one process, and nothing is lost or left running when one dies."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from runpy import run_path

import psutil
import pytest

from emulator.author import Author, arrival
from wattness import verifiers as module
from wattness.model import Arrival, Board
from wattness.verifiers import open_verifiers
from wattness.verify import Verifier
from wattwire import cose, frame

children_running = run_path(str(Path(__file__).with_name("processes.py")))["children_running"]
GATEWAY = bytes(range(32))
START = 1_790_000_100_000


def board(author, number=7):
    key = author.public_key
    return Board(number, "roof", key, author.kid, cose.board_key(key), bytes(32), "")


@pytest.fixture
def author():
    author = Author(1, GATEWAY, START)
    author.streams(START + 1)
    author.health(START + 2, frames=1, cause="power")
    for minute in range(1, 20):
        author.rows(START + minute * 60_000)
    return author


def ours():
    return children_running("wattness.verifier")


async def test_every_kind_of_record_arrives_as_in_one_process(author):
    arrivals = [arrival(raw) for raw in author.frames] + [Arrival(author.kid, b"junk")]
    good, rejected = Verifier([board(author)]).verify_all(arrivals)
    assert {one.record.kind for one in good} == {frame.KIND_STREAMS, frame.KIND_ROWS, frame.KIND_HEALTH}
    async with open_verifiers([board(author)]) as verifiers:
        checked = await verifiers.check(arrivals)
    assert checked.read() == good
    assert checked.rejected == rejected


async def test_boards_come_and_go(author):
    async with open_verifiers([]) as verifiers:
        batch = [arrival(author.frames[0])]
        assert (await verifiers.check(batch)).rejected == {"unknown_board": 1}
        verifiers.replace([board(author)])
        assert len((await verifiers.check(batch)).read()) == 1
        verifiers.replace([])
        assert (await verifiers.check(batch)).rejected == {"unknown_board": 1}


async def test_processes_start_when_there_is_work_and_end_with_the_gateway(author):
    batch = [arrival(raw) for raw in author.frames]
    async with open_verifiers([board(author)], processes=2) as verifiers:
        assert ours() == []
        await verifiers.check(batch)
        await verifiers.check(batch)
        assert len(ours()) == 1
        await asyncio.gather(*(verifiers.check(batch) for _ in range(8)))
        assert len(ours()) == 1  # it keeps up
        await asyncio.gather(*(verifiers.check(batch * 10) for _ in range(8)))
        assert len(ours()) == 2
    assert ours() == []


async def test_a_killed_process_costs_nothing(author, monkeypatch):
    monkeypatch.setattr(module, "RESTART_S", 0.01)
    batch = [arrival(raw) for raw in author.frames]
    async with open_verifiers([board(author)], processes=2) as verifiers:
        await verifiers.check(batch)
        await asyncio.gather(*(verifiers.check(batch * 10) for _ in range(4)))
        assert len(ours()) == 2
        work = asyncio.gather(*(verifiers.check(batch) for _ in range(20)))
        for _ in range(5):
            await asyncio.sleep(0.02)
            for child in ours():
                child.kill()
        for checked in await work:
            assert [one.raw for one in checked.read()] == author.frames
            assert checked.rejected == {}


async def test_a_frame_that_ends_its_reader_is_left_out_alone(author, monkeypatch):
    monkeypatch.setattr(module, "RESTART_S", 0.0)
    real = module._Process.ask
    poison = author.frames[5]

    async def ask(self, authors, arrivals):
        answer = await real(self, authors, arrivals)
        if any(one.raw == poison for one in arrivals):
            await self.stop()
            raise module._DiedError
        return answer

    monkeypatch.setattr(module._Process, "ask", ask)
    async with open_verifiers([board(author)]) as verifiers:
        checked = await verifiers.check([arrival(raw) for raw in author.frames])
    assert [one.raw for one in checked.read()] == [raw for raw in author.frames if raw != poison]
    assert checked.rejected == {"internal_error": 1}


async def test_an_abandoned_question_is_not_answered_to_the_next(author):
    async with open_verifiers([board(author)], processes=1) as verifiers:
        first = asyncio.create_task(verifiers.check([arrival(raw) for raw in author.frames]))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        assert [one.raw for one in (await verifiers.check([arrival(author.frames[0])])).read()] == author.frames[:1]


_GATEWAY = """
import asyncio
from wattness.model import Arrival
from wattness.verifiers import open_verifiers

async def main():
    async with open_verifiers([]) as verifiers:
        await verifiers.check([Arrival(b"", b"")])
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_no_process_outlives_a_gateway_that_was_killed():
    with subprocess.Popen([sys.executable, "-c", _GATEWAY], stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout.readline() == "ready\n"
        children = psutil.Process(gateway.pid).children(recursive=True)
        assert children
        gateway.kill()
    deadline = time.monotonic() + 10
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.02)
