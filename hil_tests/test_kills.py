"""A gateway that is killed at any moment loses no frame and has no slot paid twice."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from civilclock import Clock
from demo.home import Home
from demo.processes import Process
from emulator.fleet import FleetBoard
from emulator.plainboard import PlainBoard
from emulator.site import GOLDEN_START_MS

BOARDS = 4
PACE_S = 0.02
RESEND_S = 0.5  # impatient, so that many frames are under way whenever the gateway is killed
UP_S_MAX = 0.8
FRAMES_PER_KILL = 40


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    """Return a gateway and a network whose civil time is long after the frames were made."""
    civil_ms = GOLDEN_START_MS + 7 * 86_400_000
    home = Home(tmp_path, Clock(time.time_ns() // 1_000_000, civil_ms, 1))
    yield home
    await home.stop()


@pytest.mark.timeout(120)
async def test_ten_kills_lose_nothing(home: Home) -> None:
    await _kill_and_count(home, kills=10)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_two_hundred_kills_lose_nothing(home: Home) -> None:
    await _kill_and_count(home, kills=200)


async def _kill_and_count(home: Home, kills: int) -> None:
    await home.start_network()
    await home.make_gateway()
    boards = [await _enrolled(home, seed, kills * FRAMES_PER_KILL) for seed in range(BOARDS)]
    frames = sum(len(board.frames) for board in boards)
    process = await home.start_gateway()
    delivery = asyncio.gather(*(board.run() for board in boards))
    killed_under_way = 0
    for _ in range(kills):
        await asyncio.sleep(random.Random(killed_under_way).uniform(0.0, UP_S_MAX))
        home.kill_gateway()
        killed_under_way += not delivery.done()
        process = await home.start_gateway()
    await delivery
    assert killed_under_way == kills
    await _outbox_empty(home, process)
    exported = (await home.wattness("export", "frames")).splitlines()
    assert len(exported) == len(set(exported)) == frames
    intervals = await home.intervals()
    summary = await home.summary()
    assert summary["accepted"] == len(intervals) > 0
    assert summary["twice_paid"] == 0
    assert summary["refused"] == {}
    assert {job["state"] for interval in intervals for job in interval["jobs"]} == {"completed"}


async def _enrolled(home: Home, seed: int, count: int) -> PlainBoard:
    identity = FleetBoard(seed, bytes(32)).public_key.hex()
    enrolment = await home.enrol(identity, f"board {seed}", home.folder / f"enrolment{seed}.json")
    frames = list(FleetBoard(seed, bytes.fromhex(enrolment["gateway"])).frames(count))
    return PlainBoard(enrolment, frames, pace_s=PACE_S, resend_s=RESEND_S)


async def _outbox_empty(home: Home, process: Process) -> None:
    async with asyncio.timeout(60):
        while True:
            process.require_alive()
            summary = await home.summary()
            if sum(network["depth"] for network in await home.get("networks")) == 0 and summary["accepted"]:
                return
            await asyncio.sleep(0.2)
