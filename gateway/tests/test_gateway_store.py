"""The store on a real disk: durable before it is acknowledged, honest about trouble, and never fooled."""

import asyncio
import hashlib
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager, suppress

import apsw
import pytest

from emulator import fleet
from emulator.author import Author, verified
from wattness.clock import Clock
from wattness.errors import ConfigError, StoreError
from wattness.store import schema
from wattness.store.reader import Reader, open_reader
from wattness.store.registry import open_registry
from wattness.store.sqlite import Settings, open_store
from wattwire import cose, frame

GATEWAY = bytes(range(32))
MINUTE = 60_000
START = 1_790_000_100_000
CLOCK = Clock(0, START - Clock().real_ms_now() + 3_600_000, 1)  # an hour after the first rows


@pytest.fixture
def author():
    author = Author(1, GATEWAY, START - MINUTE)
    author.streams(START - MINUTE // 2)
    for minute in range(12):
        author.rows(START + minute * MINUTE)
    return author


@pytest.fixture
def path(tmp_path, author):
    with open_registry(tmp_path / "wattness.db", CLOCK) as registry:
        registry.enrol(author.public_key, "roof")
    return tmp_path / "wattness.db"


def settings(**changes):
    return Settings(**({"gateway": GATEWAY, "networks": ("alpha",), "clock": CLOCK, "window_ms": 1} | changes))


@asynccontextmanager
async def opened(path, **changes):
    async with open_store(path, settings(**changes)) as store:
        yield store


async def put(store, *frames):
    return [(ack.log, ack.seq) for ack in await store.put([verified(1, raw) for raw in frames])]


async def state_of(store):
    (board,) = await store.read(Reader.boards)
    return board.state, board.reason


# ---- acknowledgements


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


# ---- equivocation


def resealed(author, seq, **changes):
    """Another frame for a position, as only the board's own key can make it."""
    raw = author.frames[seq - 1]
    record = frame.decode(cose.parse(raw)[1])._replace(**changes)
    return fleet.seal(author.key, author.kid, frame.encode(record))


@pytest.mark.parametrize("changed_first", [False, True])
async def test_two_payloads_for_one_position_are_both_kept(path, author, changed_first):
    other = resealed(author, 13, extra={99: 1})
    sides = [other, author.frames[12]] if changed_first else [author.frames[12], other]
    async with opened(path) as store:
        await put(store, *author.frames[:12])
        assert await put(store, sides[0]) == [(1, 13)]
        assert await state_of(store) == ("active", "")
        assert await put(store, sides[1]) == [(1, 13)]
        assert await state_of(store) == ("quarantined", "conflict log 1 seq 13")
        assert await put(store, sides[1]) == [(1, 13)]
    rows = apsw.Connection(str(path)).execute("SELECT raw FROM conflict").fetchall()
    assert rows == [(sides[1],)]


async def test_the_same_payload_signed_again_is_a_duplicate(path, author):
    payload = cose.parse(author.frames[0])[1]
    signature = author.key.sign(cose.to_be_signed(author.kid, payload), fleet.ec.ECDSA(fleet.hashes.SHA256()))
    r, s = fleet.utils.decode_dss_signature(signature)
    s = min(s, fleet.p256.ORDER - s)
    again = cose.join(author.kid, payload, r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    assert again != author.frames[0]
    async with opened(path) as store:
        await put(store, author.frames[0], again)
        assert await state_of(store) == ("active", "")


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"up": 1}, "order"), ({"boot": 0}, "order"), ({"boot": 2}, "order"), ({"prev": bytes(16)}, "fork")],
)
async def test_frames_that_do_not_fit_their_neighbours(path, author, changes, kind, order):
    frames = list(author.frames)
    frames[4] = resealed(author, 5, **changes)
    async with opened(path) as store:
        assert (await put(store, *frames[::order]))[-1] == (1, 13)
        state, reason = await state_of(store)
        assert state == "quarantined"
        assert reason.startswith((kind, "fork"))


def second_log(author, previous=()):
    author.reboot(START + 12 * MINUTE, new_log=True)
    author.clock = 0
    return author.streams(START + 12 * MINUTE + 1, previous=author.ended if previous == () else previous)


async def test_a_log_that_grows_after_a_later_one_began(path, author):
    first = second_log(author, (12, author.frames[0][-16:]))
    async with opened(path) as store:
        await put(store, *author.frames[:12])
        assert (await state_of(store))[0] == "active"
        await put(store, author.frames[12], first)
        assert await state_of(store) == ("quarantined", "late_growth log 2 seq 1")


async def test_a_log_that_grows_after_its_flash_was_lost(path, author):
    first = second_log(author, None)
    async with opened(path) as store:
        await put(store, *author.frames[:11], first)
        assert await state_of(store) == ("active", "")
        await put(store, author.frames[11])
        assert await state_of(store) == ("quarantined", "late_growth log 1 seq 12")


async def test_a_new_log_that_denies_the_old_ones_end(path, author):
    first = second_log(author, (13, bytes(16)))
    async with opened(path) as store:
        await put(store, *author.frames[:13], first)
        assert await state_of(store) == ("quarantined", "fork log 2 seq 1")


async def test_a_new_log_in_good_order(path, author):
    first = second_log(author)
    async with opened(path) as store:
        await put(store, *author.frames[:12], first, author.frames[12])
        assert await state_of(store) == ("active", "")


async def test_a_quarantined_board_claims_nothing_until_its_owner_releases_it(path, author):
    async with opened(path) as store:
        await put(store, *author.frames[:8])
        (interval,) = await store.read(Reader.intervals)
        assert [job.state for job in interval.jobs] == ["available"]
        await put(store, resealed(author, 8, extra={99: 1}))
        (interval,) = await store.read(Reader.intervals)
        assert [(job.state, job.reason) for job in interval.jobs] == [("discarded", "board_quarantined")]
        await put(store, *author.frames[8:])
        newest = (await store.read(Reader.intervals))[0]
        assert (newest.verdict, newest.reasons, newest.jobs) == ("quarantined", ["board_quarantined"], [])
        version = await store.data_version()
        with open_registry(path, CLOCK) as registry:
            assert registry.release("roof").state == "active"
        assert await store.data_version() != version
        await put(store, *[author.rows(START + minute * MINUTE) for minute in range(12, 16)])
        assert (await store.read(Reader.intervals))[0].verdict == "accepted"


async def test_conflicts_kept_are_bounded(path, author, monkeypatch):
    monkeypatch.setattr("wattness.store.ledger.CONFLICTS_MAX", 3)
    async with opened(path) as store:
        await put(store, author.frames[0])
        await put(store, *[resealed(author, 1, extra={99: n}) for n in range(9)])
        assert (await store.read(Reader.counters))["dropped"] == {"conflicts_full": 6}


# ---- trouble


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


KILLED = """
    import asyncio, sys
    from pathlib import Path
    from wattness.store.sqlite import Settings, open_store
    from emulator.author import verified
    frames = [bytes.fromhex(line) for line in Path(sys.argv[2]).read_text().split()]
    async def main():
        from wattness.clock import Clock
        clock = Clock(*map(int, sys.argv[3].split(",")))
        settings = Settings(gateway=bytes(range(32)), networks=("alpha",), clock=clock, window_ms=1)
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


async def undisturbed(author, folder):
    path = folder / "undisturbed.db"
    with open_registry(path, CLOCK) as registry:
        registry.enrol(author.public_key, "roof")
    async with opened(path) as store:
        await put(store, *author.frames)
    return path


def assert_same(path, other):
    with open_reader(path) as left, open_reader(other) as right:
        assert [view.raw for view in left.export_frames()] == [view.raw for view in right.export_frames()]
        ours, theirs = list(left.export_intervals()), list(right.export_intervals())
        assert [content(one) for one in ours] == [content(one) for one in theirs]
        assert [len(one.jobs) for one in ours] == [1] * len(theirs)
        assert ours


def content(interval):
    return interval.a, interval.b, interval.figures, interval.evidence, interval.root, interval.verdict


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


# ---- boards


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
