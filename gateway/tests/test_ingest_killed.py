"""The gateway's own log across lives: kill -9 at any moment, a database from a backup, a key that is a board's."""

import asyncio
import json
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wattness.errors import ConfigError
from wattness.store.reader import Reader, open_reader
from wattness.store.registry import open_registry
from wattwire import cose, frame

WORLD = runpy.run_path(str(Path(__file__).with_name("own_world.py")))
FakeMeter, served, make_key, config_of, opened = (
    WORLD[name] for name in ("FakeMeter", "served", "make_key", "config_of", "opened")
)
LIVES = 3


def cli(home, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "wattness", "--home", str(home), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def records_of(path):
    with open_reader(path) as reader:
        (board,) = reader.boards()
        raws = sorted(
            ((frame.decode(cose.parse(view.raw)[1]), cose.parse(view.raw)[1]) for view in reader.export_frames()),
            key=lambda pair: (pair[0].log, pair[0].seq),
        )
    return board, raws


def assert_chained(raws):
    """No number is missing, each record names the one before it, and the log's own time rises."""
    prev, seq, log, rises = bytes(16), 0, raws[0][0].log, (0, -1)
    for record, payload in raws:
        if record.log != log:
            log, prev, seq = record.log, bytes(16), 0
        assert (record.seq, record.prev) == (seq + 1, prev)
        assert (record.boot, record.up) > rises
        prev, seq, rises = frame.prev_of(payload), record.seq, (record.boot, record.up)


async def test_kill_9_leaves_no_gap_and_no_fork(tmp_path, free_ports):
    broker, web = free_ports(2)
    cli(tmp_path, "init")
    cli(tmp_path, "key", "new")
    shown = json.loads(cli(tmp_path, "device", "key", "new"))
    assert (shown["provenance"], (tmp_path / "device.key").stat().st_mode & 0o777) == ("gateway", 0o600)
    async with served(FakeMeter()) as port:
        (tmp_path / "gateway.toml").write_text(
            f'[mqtt]\nlisten = "127.0.0.1:{broker}"\n[web]\nlisten = "127.0.0.1:{web}"\n'
            f'[[device]]\nname = "meter"\nurl = "tcp://127.0.0.1:{port}"\nprofile = "eastron_sdm630"\n'
            f'role = "grid"\nperiod_ms = 100\n'
        )
        before = 0
        for life in range(LIVES):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "wattness", "--home", str(tmp_path), "run"), stdout=subprocess.PIPE
            )
            assert b"ready" in await process.stdout.readline()
            while len(frames_now(tmp_path)) <= before + life:  # it strikes after the first, second and third frame
                await asyncio.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            before = len(frames_now(tmp_path))
    board, raws = records_of(tmp_path / "wattness.db")
    assert (board.provenance, board.state) == ("gateway", "active")
    assert_chained(raws)
    assert len({record.boot for record, _ in raws}) == LIVES
    listed = json.loads(cli(tmp_path, "device", "list", "--json"))
    assert [(each["name"], each["state"]) for each in listed] == [("meter", "metering")]


def frames_now(home):
    with open_reader(home / "wattness.db") as reader:
        return list(reader.export_frames())


async def life(tmp_path, port):
    """Meter a little, until all of it is on disk."""
    async with opened(config_of(tmp_path, port)) as (store, _, meters, _):
        (one,) = meters.meters
        await one.meet()
        await one._poll(one._own.uptime.now_ms())
        one._own.seal()
        while one._own._waiting:
            await asyncio.sleep(0.01)
        boards = await store.read(Reader.boards)
    assert [board.state for board in boards] == ["active"]


async def test_a_database_from_a_backup_begins_a_new_log(tmp_path):
    make_key(tmp_path)
    async with served(FakeMeter()) as port:
        await life(tmp_path, port)
        shutil.copy(tmp_path / "wattness.db", tmp_path / "backup.db")
        await life(tmp_path, port)
        _, before = records_of(tmp_path / "wattness.db")
        for file in tmp_path.glob("wattness.db*"):
            file.unlink()
        (tmp_path / "backup.db").rename(tmp_path / "wattness.db")
        await life(tmp_path, port)
    board, raws = records_of(tmp_path / "wattness.db")
    assert board.state == "active"
    assert [(record.log, record.seq) for record, _ in raws] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert raws[2][0].body.previous == (4, frame.prev_of(before[-1][1]))
    assert raws[2][0].boot > before[-1][0].boot
    async with served(FakeMeter()) as port:
        await life(tmp_path, port)
    assert records_of(tmp_path / "wattness.db")[0].state == "active"


async def test_a_lost_database_does_not_sign_old_numbers_again(tmp_path):
    make_key(tmp_path)
    async with served(FakeMeter()) as port:
        await life(tmp_path, port)
        for file in tmp_path.glob("wattness.db*"):
            file.unlink()
        await life(tmp_path, port)
    _, raws = records_of(tmp_path / "wattness.db")
    assert {record.log for record, _ in raws} == {2}


async def test_a_boards_key_is_not_taken_for_our_own(tmp_path):
    key = make_key(tmp_path)
    with open_registry(tmp_path / "wattness.db") as registry:
        registry.enrol(key.public_key, "roof")
    with pytest.raises(ConfigError, match="enrolled as the board 'roof'"):
        async with opened(config_of(tmp_path, 1)):
            pass


async def test_a_mark_that_cannot_be_read_stops_the_start(tmp_path):
    make_key(tmp_path)
    async with served(FakeMeter()) as port:
        await life(tmp_path, port)
        (mark,) = tmp_path.glob("own-*.mark")
        mark.write_text("{")
        with pytest.raises(ConfigError, match="cannot be read"):
            await life(tmp_path, port)
