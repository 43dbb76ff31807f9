"""A store that is killed at any moment: nothing acknowledged is lost, and nothing is different afterwards."""

import runpy
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from wattness.store.reader import open_reader

_world = runpy.run_path(str(Path(__file__).with_name("store_world.py")))
opened, put, state_of, undisturbed, assert_same = (
    _world[name] for name in ("opened", "put", "state_of", "undisturbed", "assert_same")
)
GATEWAY, START, MINUTE, CLOCK = (_world[name] for name in ("GATEWAY", "START", "MINUTE", "CLOCK"))


@pytest.fixture
def author():
    return _world["make_author"]()


@pytest.fixture
def path(tmp_path, author):
    return _world["enrolled"](tmp_path, author)


KILLED = """
    import asyncio, sys
    from pathlib import Path
    from wattness.store.settings import Wants
    from wattness.store.sqlite import Settings, open_store
    from emulator.author import verified
    frames = [bytes.fromhex(line) for line in Path(sys.argv[2]).read_text().split()]
    async def main():
        from wattness.clock import Clock
        clock = Clock(*map(int, sys.argv[3].split(",")))
        settings = Settings(gateway=bytes(range(32)), networks=(Wants("alpha"),), clock=clock, window_ms=1)
        async with open_store(Path(sys.argv[1]), settings) as store:
            start = max((board.log.head for board in await store.read(lambda r: r.boards()) if board.log), default=0)
            for at in range(start, len(frames), 3):
                for ack in await store.put([verified(1, raw) for raw in frames[at : at + 3]]):
                    print(ack.seq, flush=True)
    asyncio.run(main())
"""


def run_until(path, frames, lines):
    """Run a store in a process of its own and kill it after `lines` acknowledgements; returns the last one."""
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(path), str(frames), f"0,{CLOCK.civil_ms},1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        acked = 0
        for _ in range(lines):
            line = process.stdout.readline()
            if not line:
                break
            acked = int(line)
        process.kill()
        rest = process.stdout.read().split()
    return max([acked, *map(int, rest)])


def killed(path, author, folder, kills):
    frames = folder / "frames"
    frames.write_text("\n".join(raw.hex() for raw in author.frames))
    acked = 0
    for number in kills:
        acked = max(acked, run_until(path, frames, number))
        with open_reader(path) as reader:
            assert [view.raw for view in reader.export_frames()][:acked] == author.frames[:acked]
    run_until(path, frames, 1 << 30)


async def test_killed_at_any_moment_nothing_acknowledged_is_lost(path, author, tmp_path):
    for minute in range(12, 60):
        author.rows(START + minute * MINUTE)
    killed(path, author, tmp_path, [1, 2, 1, 3, 1, 4])
    assert_same(path, await undisturbed(author, tmp_path))


@pytest.mark.soak
async def test_killed_two_hundred_times(path, author, tmp_path):
    for minute in range(12, 2000):
        author.rows(START + minute * MINUTE)
    killed(path, author, tmp_path, [1 + number % 5 for number in range(200)])
    assert_same(path, await undisturbed(author, tmp_path))
