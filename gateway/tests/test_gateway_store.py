"""The store on a real disk: durable before it is acknowledged, and honest about a disk that fails."""

import asyncio
import hashlib
import runpy
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from emulator.author import Author, verified
from wattness.errors import ConfigError, StoreError
from wattness.store import schema
from wattness.store.reader import Reader, open_reader
from wattness.store.registry import open_registry

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


async def test_acks_reach_as_far_as_nothing_is_missing(path, author):
    async with opened(path) as store:
        assert await put(store, author.frames[1]) == []
        assert await put(store, author.frames[0]) == [(1, 2)]
        assert await put(store, author.frames[4], author.frames[3]) == [(1, 2)]
        assert [(hole.first, hole.last) for hole in await store.read(Reader.holes)] == [(3, 3)]
        assert await put(store, author.frames[2]) == [(1, 5)]
        assert await put(store, author.frames[0]) == [(1, 5)]  # a duplicate is acknowledged again
        assert (await store.read(Reader.counters))["duplicate"] == {"frame": 1}
        (board,) = await store.read(Reader.boards)
        assert (board.log.head, board.log.top, board.log.frames) == (5, 5, 5)


async def test_what_was_acknowledged_is_there_after_reopening(path, author):
    async with opened(path) as store:
        await put(store, *author.frames)
        before = await store.read(lambda reader: list(reader.export_intervals()))
    async with opened(path) as store:
        assert await store.read(lambda reader: [view.raw for view in reader.export_frames()]) == author.frames
        assert await store.read(lambda reader: list(reader.export_intervals())) == before
        assert await put(store, author.rows(START + 12 * MINUTE)) == [(1, 14)]
    with open_reader(path) as reader:
        assert [view.seq for view in reader.export_frames(after=10)] == [11, 12, 13, 14]


async def test_commands_have_rising_counters(path):
    async with opened(path) as store:
        counters = [await store.next_counter(1) for _ in range(3)]
        assert counters[0] >= START
        assert counters[0] < counters[1] < counters[2]


async def test_many_at_once_share_commits(path, author):
    async with opened(path, window_ms=30) as store:
        acks = await asyncio.gather(*(put(store, raw) for raw in author.frames))
        assert acks[-1] == [(1, 13)]


class FaultyDisk(apsw.VFS):
    """The real file system, until it is told to fail."""

    def __init__(self) -> None:
        self.fault: tuple[str, type[Exception]] | None = None
        self.default = apsw.vfs_names()[0]
        super().__init__("faulty", self.default, makedefault=True)

    def xOpen(self, name, flags):  # noqa: N802
        return FaultyFile(self, name, flags)


class FaultyFile(apsw.VFSFile):
    def __init__(self, disk, name, flags) -> None:
        self.disk = disk
        super().__init__(disk.default, name, flags)

    def fail(self, operation):
        if self.disk.fault is not None and self.disk.fault[0] == operation:
            raise self.disk.fault[1](operation)

    def xWrite(self, data, offset):  # noqa: N802
        self.fail("write")
        super().xWrite(data, offset)

    def xSync(self, flags):  # noqa: N802
        self.fail("sync")
        super().xSync(flags)


@pytest.fixture
def disk():
    disk = FaultyDisk()
    yield disk
    disk.unregister()


@pytest.mark.parametrize("fault", [("write", apsw.FullError), ("write", apsw.IOError), ("sync", apsw.IOError)])
async def test_a_failing_disk_acknowledges_nothing_and_recovers(disk, path, author, fault):
    async with opened(path) as store:
        assert await put(store, *author.frames[:6]) == [(1, 6)]
        for at in (6, 7):
            disk.fault = fault
            with pytest.raises(StoreError):
                await put(store, *author.frames[6:])
            with pytest.raises(StoreError):
                await store.count({("dropped", "queue_full"): 1})
            await store.tick()
            assert store.failing
            disk.fault = None
            assert await put(store, author.frames[at]) == [(1, at + 1)]
            assert not store.failing
        assert await put(store, *author.frames[8:]) == [(1, 13)]
    assert_same(path, await undisturbed(author, path.parent))


async def test_a_full_database_acknowledges_nothing_and_recovers(path, author):
    for minute in range(12, 60):
        author.rows(START + minute * MINUTE)
    async with opened(path) as store:
        connection = store._connection
        connection.pragma("max_page_count", connection.pragma("page_count") + 2)
        acked = 0
        with suppress(StoreError):
            for raw in author.frames:
                ((_, acked),) = await put(store, raw)
        assert store.failing
        assert 0 < acked < len(author.frames)
        held = await store.read(lambda reader: [view.raw for view in reader.export_frames()])
        assert held == author.frames[:acked]
        connection.pragma("max_page_count", 1 << 30)
        assert await put(store, *author.frames) == [(1, len(author.frames))]
    assert_same(path, await undisturbed(author, path.parent))


async def test_a_locked_database_acknowledges_nothing_and_recovers(path, author, monkeypatch):
    monkeypatch.setattr(schema, "BUSY_MS", 1)
    other = apsw.Connection(str(path))
    async with opened(path) as store:
        await put(store, *author.frames[:8])
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError):
            await put(store, author.frames[8])
        with pytest.raises(StoreError):
            await store.count({("dropped", "queue_full"): 1})
        assert len(await store.read(Reader.intervals)) == 1  # reading goes on
        other.execute("ROLLBACK")
        assert await put(store, *author.frames[8:]) == [(1, 13)]
        assert len(await store.read(Reader.intervals)) == 2


async def test_one_bad_command_does_not_spoil_the_others(path, author):
    async with opened(path, window_ms=30) as store:

        async def bad():
            await store.put([verified(99, author.frames[0])])  # no such board

        results = await asyncio.gather(
            put(store, author.frames[0]), bad(), put(store, author.frames[1]), return_exceptions=True
        )
        assert (results[0], results[2]) == ([(1, 1)], [(1, 2)])
        assert isinstance(results[1], IndexError)


async def test_a_closed_store_says_so(path, author):
    async with opened(path) as store:
        pass
    with pytest.raises(StoreError):
        await put(store, author.frames[0])


def test_a_database_that_cannot_be_used_is_a_store_error(tmp_path):
    with pytest.raises(StoreError), open_reader(tmp_path / "none.db"):
        pass
    with pytest.raises(StoreError), open_registry(tmp_path / "none" / "none.db", CLOCK):
        pass
    (tmp_path / "junk.db").write_bytes(b"junk" * 1000)
    with pytest.raises(StoreError), open_registry(tmp_path / "junk.db", CLOCK):
        pass
    newer = apsw.Connection(str(tmp_path / "newer.db"))
    newer.pragma("user_version", 99)
    newer.close()
    with pytest.raises(StoreError, match="newer"), open_registry(tmp_path / "newer.db", CLOCK):
        pass


def test_boards_are_enrolled_once_and_found_by_any_name(path, author):
    with open_registry(path, CLOCK) as registry:
        board = registry.enrol(author.public_key, "roof")
        assert board.board_key == hashlib.sha256(author.public_key).digest()
        assert board.kid == author.kid
        assert len(board.link_key) == 32
        for which in ("roof", board.kid.hex(), board.board_key.hex(), board.public_key.hex()):
            assert registry.get(which) == board
        assert registry.list() == [board]
        assert registry.enrol(author.public_key, "garage").link_key == board.link_key
        with pytest.raises(ConfigError):
            registry.enrol(Author(2, GATEWAY, 0).public_key, "garage")
        with pytest.raises(ConfigError):
            registry.enrol(bytes(65), "nothing")
        with pytest.raises(ConfigError):
            registry.enrol(author.public_key, "")
        with pytest.raises(ConfigError):
            registry.get("roof")
        with pytest.raises(ConfigError):
            registry.release("garage")


def test_a_removed_board_is_gone_but_can_come_back(path, author):
    with open_registry(path, CLOCK) as registry:
        before = registry.get("roof")
        assert registry.remove("roof").state == "removed"
        assert registry.list() == []
        assert [board.state for board in registry.list(removed=True)] == ["removed"]
        assert registry.enrol(author.public_key, "roof") == before
