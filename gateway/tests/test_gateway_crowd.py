"""Two hundred boards that come back at once, as after a power cut in the street."""

import asyncio
import os
import signal
import sys

import pytest

from emulator.fleet import FleetBoard
from emulator.plainboard import PlainBoard
from wattness.config import CONFIG_NAME, load
from wattness.enrolment import board_settings
from wattness.keys import new_key
from wattness.signing import key_hash
from wattness.store.reader import open_reader
from wattness.store.registry import open_registry
from wattness.web.credentials import new_token

BOARDS, FRAMES = 200, 6


@pytest.fixture
def home(tmp_path, free_ports):
    broker, page = free_ports(2)
    (tmp_path / CONFIG_NAME).write_text(f'[mqtt]\nlisten = "127.0.0.1:{broker}"\n[web]\nlisten = "127.0.0.1:{page}"\n')
    new_token(tmp_path)
    return tmp_path


async def test_two_hundred_boards_connect_at_once_and_nothing_is_lost(home):
    gateway_key = new_key("file:gateway.key", home).public_key
    config = load(home)
    fleet = [FleetBoard(seed, key_hash(gateway_key)) for seed in range(BOARDS)]
    with open_registry(home / "wattness.db") as registry:
        enrolled = [registry.enrol(board.public_key, f"board {board.seed}") for board in fleet]
    boards = [
        PlainBoard(board_settings(config, gateway_key, known, "127.0.0.1"), list(board.frames(FRAMES)))
        for known, board in zip(enrolled, fleet, strict=True)
    ]
    gateway = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wattness", "--home", str(home), "run", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert (await gateway.stdout.readline()).startswith(b"ready")
        async with asyncio.timeout(50):
            await asyncio.gather(*(board.run() for board in boards))
    finally:
        os.kill(gateway.pid, signal.SIGTERM)
        assert await gateway.wait() == 0
    assert [board.acked for board in boards] == [len(board.frames) for board in boards]
    with open_reader(home / "wattness.db") as reader:
        heads = [view.log.head for view in reader.boards()]
        assert heads == [len(board.frames) for board in boards]
        assert "rejected" not in reader.counters()
