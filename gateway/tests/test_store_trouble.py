"""A disk that is full, a database that is held or damaged: nothing is acknowledged, it is said once, and it goes on."""

import logging
import random
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from runpy import run_path

import apsw
import pytest
from typer.testing import CliRunner

from wattness.cli import app as command_line
from wattness.errors import DamagedError, StoreError
from wattness.store import salvage, sqlite
from wattness.store.reader import Reader, open_reader
from wattness.store.registry import open_registry
from wattness.store.schema import ask

WORLD = run_path(str(Path(__file__).with_name("store_world.py")))
START, MINUTE, opened, put = (WORLD[name] for name in ("START", "MINUTE", "opened", "put"))
PAGE = 4096


@pytest.fixture
def author():
    author = WORLD["make_author"]()
    for minute in range(12, 80):
        author.rows(START + minute * MINUTE)
    return author


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    tried = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if not tried or tried.returncode:
        pytest.skip("a small disk of its own needs mount and the right to use it")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


async def test_a_disk_that_fills_up_loses_nothing_and_says_so_once(small_disk, author, caplog):
    path = WORLD["enrolled"](small_disk, author)
    acked = 0
    async with opened(path) as store:
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(PAGE)):
                pass
        with caplog.at_level(logging.WARNING):
            for raw in author.frames:
                try:
                    ((_, acked),) = await put(store, raw)
                except StoreError as error:
                    assert "is full: make room" in str(error)  # noqa: PT017 - how many were taken before differs
                    break
            for _ in range(3):
                with pytest.raises(StoreError, match="is full"):
                    await put(store, *author.frames)
            assert "is full" in store.trouble
            held = await store.read(lambda reader: [view.raw for view in reader.export_frames()])
            assert held == author.frames[:acked]
            filler.unlink()
            assert await put(store, *author.frames) == [(1, len(author.frames))]
            assert store.trouble == ""
        await store.tick()
        assert (await store.read(Reader.counters))["store"] == {"disk_full": 1}
    messages = [record.message for record in caplog.records if record.name == "wattness.store.writer"]
    assert [message.split(" error=")[0] for message in messages] == ["store failed", "store recovered"]


async def test_a_database_that_another_program_holds_is_waited_for(tmp_path, author):
    path = WORLD["enrolled"](tmp_path, author)
    async with opened(path) as store:
        store._connection.set_busy_timeout(1)
        other = apsw.Connection(str(path))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="Another program holds"):
            await put(store, *author.frames)
        other.execute("ROLLBACK")
        assert await put(store, *author.frames) == [(1, len(author.frames))]


def spoil(path, page, source):
    """Overwrite a page, as a failing card does."""
    with path.open("r+b") as file:
        file.seek(page * PAGE)
        file.write(source.randbytes(PAGE))


@pytest.fixture
async def kept(tmp_path, author):
    """A store that was closed well, with reports that a network took."""
    path = WORLD["enrolled"](tmp_path, author)
    async with opened(path) as store:
        await put(store, *author.frames)
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE job SET state = 'completed'")
    connection.pragma("wal_checkpoint(truncate)")
    connection.close()
    return path


async def test_a_damaged_database_is_refused_with_the_remedy(kept):
    connection = apsw.Connection(str(kept))
    root = ask(connection, "SELECT rootpage FROM sqlite_schema WHERE name = 'frame'")[0][0]
    connection.close()
    spoil(kept, root - 1, random.Random(1))
    with pytest.raises(DamagedError, match="wattness db repair"):
        async with opened(kept):
            pass


async def test_a_large_database_is_examined_while_it_works(kept, monkeypatch):
    monkeypatch.setattr(sqlite, "EXAMINED_AT_START_BYTES", 0)
    async with opened(kept) as store:
        await store.examine()
    connection = apsw.Connection(str(kept))
    root = ask(connection, "SELECT rootpage FROM sqlite_schema WHERE name = 'interval'")[0][0]
    connection.close()
    spoil(kept, root - 1, random.Random(1))
    async with opened(kept) as store:
        with pytest.raises(DamagedError, match="wattness db repair"):
            await store.examine()


async def test_whatever_page_is_damaged_the_gateway_goes_on_after_repair(kept, author, tmp_path):
    source = random.Random(7)
    with open_registry(kept) as registry:
        (enrolled,) = registry.list()
    with open_reader(kept) as reader:
        claimed = {(view.device, view.a) for view in reader.export_intervals()}
        open_ms = reader.streams()[0].open_unix_ms
    anew = 0
    pages = kept.stat().st_size // PAGE
    for page in [0, *sorted(source.sample(range(1, pages), min(pages - 1, 24)))]:
        path = tmp_path / f"page{page}" / "wattness.db"
        path.parent.mkdir(exist_ok=True)
        shutil.copy(kept, path)
        spoil(path, page, source)
        damaged = path.read_bytes()
        if not any(salvage.check(path).values()):
            continue  # a free page
        (done,) = salvage.repair(path, 123)
        assert Path(done.aside).read_bytes() == damaged
        assert not any(salvage.check(path).values())
        with open_registry(path) as registry:
            boards = registry.list()
            assert boards == [enrolled] or {"board", "everything"} & set(done.lost)
            if not boards:
                continue
        async with opened(path) as store:
            assert await put(store, *author.frames) == [(1, len(author.frames))]
            await store.tick()
        anew += done.is_anew
        if done.is_anew and "stream" not in done.lost:
            with open_reader(path) as reader:
                assert all(view.a >= open_ms for view in reader.export_intervals())
        elif not done.is_anew:
            with open_reader(path) as reader:
                found = [(view.device, view.a) for view in reader.export_intervals()]
            assert len(found) == len(set(found))
            assert claimed <= set(found)
    assert anew


async def test_boards_are_asked_for_frames_that_were_lost(kept, author):
    connection = apsw.Connection(str(kept))
    folded = ask(connection, "SELECT folded FROM log")[0][0]
    connection.execute("UPDATE log SET folded = 3")  # as if the others were not summed up yet
    leaves = ask(connection, "SELECT pageno FROM dbstat WHERE name = 'frame' AND pagetype = 'leaf' ORDER BY path")
    connection.close()
    spoil(kept, leaves[2][0] - 1, random.Random(3))
    (done,) = salvage.repair(kept, 1)
    assert done.lost == ["frame"]
    async with opened(kept) as store:
        (hole,) = await store.read(Reader.holes)
        assert 3 < hole.first <= hole.last < folded
        assert await put(store, *author.frames) == [(1, len(author.frames))]
        assert await store.read(Reader.holes) == []
        assert (await store.read(Reader.boards))[0].state == "active"


async def test_a_frame_that_nobody_signed_like_this_is_found_and_asked_for_again(kept, author):
    connection = apsw.Connection(str(kept))
    raw = bytearray(author.frames[40])
    raw[len(raw) // 2] ^= 1  # a bit of a value: to SQLite the page is as good as before
    connection.execute("UPDATE log SET folded = 3")
    connection.execute("UPDATE frame SET raw = ? WHERE seq = 41", (bytes(raw),))
    connection.pragma("wal_checkpoint(truncate)")
    connection.close()
    assert salvage.check(kept)[str(kept)] == "frames that are no longer what their boards signed: 1"
    (done,) = salvage.repair(kept, 1)
    assert (done.lost, done.is_anew, salvage.check(kept)[str(kept)]) == (["frame"], False, "")
    async with opened(kept) as store:
        assert [(hole.first, hole.last) for hole in await store.read(Reader.holes)] == [(41, 41)]
        assert await put(store, *author.frames) == [(1, len(author.frames))]


async def test_a_log_whose_end_was_lost_goes_on(kept, author):
    connection = apsw.Connection(str(kept))
    connection.execute("UPDATE log SET folded = 3")
    leaves = ask(connection, "SELECT pageno FROM dbstat WHERE name = 'frame' AND pagetype = 'leaf' ORDER BY path")
    connection.close()
    spoil(kept, leaves[-1][0] - 1, random.Random(3))
    (done,) = salvage.repair(kept, 1)
    assert done.lost == ["frame"]
    async with opened(kept) as store:
        newest = author.rows(START + 90 * MINUTE)
        ((_, acked),) = await put(store, newest)
        assert acked < len(author.frames) - 1
        assert [(hole.first, hole.last) for hole in await store.read(Reader.holes)] == [
            (acked + 1, len(author.frames) - 1)
        ]
        assert await put(store, *author.frames) == [(1, len(author.frames))]
        assert (await store.read(Reader.boards))[0].state == "active"


def test_the_command_line_checks_and_repairs(kept, monkeypatch, capsys):
    home = kept.parent
    runner = CliRunner()
    assert runner.invoke(command_line, ["--home", str(home), "init"]).exit_code == 0
    whole = runner.invoke(command_line, ["--home", str(home), "db", "check"])
    assert (whole.exit_code, "whole" in whole.output) == (0, True)
    spoil(kept, 1, random.Random(1))
    bad = runner.invoke(command_line, ["--home", str(home), "db", "check"])
    assert (bad.exit_code, "wattness db repair" in bad.output) == (1, True)
    told = runner.invoke(command_line, ["--home", str(home), "status"])
    assert "see `wattness db check`" in str(told.exception)
    done = runner.invoke(command_line, ["--home", str(home), "db", "repair"])
    assert (done.exit_code, "is now" in done.output) == (0, True)
    assert runner.invoke(command_line, ["--home", str(home), "db", "check", "--json"]).exit_code == 0
