"""Reports of windows and in turns: made when all in them is final, handed out in order, remembered with their bytes."""

from contextlib import asynccontextmanager

import apsw
import pytest

from emulator.author import Author, pv, verified
from wattness.clock import Clock
from wattness.errors import RefusedError
from wattness.model import Receipt
from wattness.store import schema, totals
from wattness.store.reader import Reader
from wattness.store.registry import open_registry
from wattness.store.settings import Wants
from wattness.store.sqlite import Settings, open_store
from wattness.store.turns import LATE_MS
from wattwire import frame

GATEWAY = bytes(range(32))
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_790_000_400_000 - 1_790_000_400_000 % HOUR
LEASE_MS = 10_000
WHOLE_HOUR = list(range(START, START + HOUR, 5 * MINUTE))


class FakeClock(Clock):
    def __init__(self):
        super().__init__()
        object.__setattr__(self, "now", START + 3 * HOUR)
        object.__setattr__(self, "real", 1_000_000)

    def now_ms(self):
        return self.now

    def real_ms_now(self):
        return self.real

    def set(self, **times):
        for name, value in times.items():
            object.__setattr__(self, name, value)


def make_author(*streams):
    author = Author(1, GATEWAY, START - MINUTE)
    author.streams(START - 1, *streams)
    return author


@pytest.fixture
def clock():
    return FakeClock()


@asynccontextmanager
async def opened(folder, author, clock, *wants):
    path = folder / "wattness.db"
    if not path.exists():
        with open_registry(path) as registry:
            registry.enrol(author.public_key, "roof")
    async with open_store(path, Settings(GATEWAY, wants, clock=clock, window_ms=1)) as store:
        await put(store, author.frames[:1])
        yield store


def minutes(author, first, last, *numbers):
    """Return frames with a row each half a minute of these streams, from one minute up to another."""
    frames = []
    for minute in range(first, last):
        at_ms = START + minute * MINUTE
        entries = [
            frame.Entry(one, 0, 30_000, [[-1000 if one else 1000, 0], [2300, 1], [at_ms // 3600, 8]])
            for one in numbers or (0,)
        ]
        frames.append(author.entries(at_ms, entries))
    return frames


async def put(store, frames):
    await store.put([verified(1, raw) for raw in frames])


async def lease(store, network="hourly", limit=10):
    return await store.outbox.lease(network, limit, LEASE_MS)


def starts(job):
    return [report.a for report in job.reports]


def hourly(**changes):
    return Wants("hourly", window_ms=HOUR)._replace(**changes)


async def test_an_hour_is_one_report_once_all_in_it_is_final(tmp_path, clock):
    author = make_author()
    async with opened(tmp_path, author, clock, hourly(), Wants("simple")) as store:
        await put(store, minutes(author, 0, 60))
        assert await lease(store) == []
        assert await store.outbox.next_due("hourly") is None
        assert len(await lease(store, "simple", 20)) == 11
        await put(store, minutes(author, 60, 61))
        assert await store.outbox.next_due("hourly") == 0
        (job,) = await lease(store)
        assert starts(job) == WHOLE_HOUR
        assert (job.b, job.turn, job.memory) == (START + HOUR, None, {})
        assert job.key == f"{job.reports[0].board_key.hex()}/0/{START}/3600"
        assert await lease(store) == []
        assert await store.outbox.next_due("hourly") == clock.real + LEASE_MS
        assert len(await lease(store, "simple", 20)) == 1


async def test_an_interval_tells_of_the_reports_it_is_in(tmp_path, clock):
    author = make_author()
    async with opened(tmp_path, author, clock, hourly(), Wants("simple")) as store:
        await put(store, minutes(author, 0, 61))
        (job,) = await lease(store)
        await store.outbox.complete(job.id, Receipt("r", {}))
        for interval in await store.read(Reader.intervals):
            states = {one.network: one.state for one in interval.jobs}
            assert states == {"hourly": "completed", "simple": "available"}


async def test_what_is_quarantined_is_left_out_of_its_window(tmp_path, clock):
    author = make_author()
    async with opened(tmp_path, author, clock, hourly()) as store:
        bad = [author.rows(START + minute * MINUTE, 2, 30_000, power=[99_000, 99_000]) for minute in range(5)]
        await put(store, bad + minutes(author, 5, 61))
        (job,) = await lease(store)
        assert set(starts(job)) < set(WHOLE_HOUR)
        assert START not in starts(job)
        assert all(report.verdict != "quarantined" for report in job.reports)


async def test_a_window_that_ends_in_silence_is_reported_at_last(tmp_path, clock):
    author = make_author()
    async with opened(tmp_path, author, clock, hourly()) as store:
        await put(store, minutes(author, 0, 22))
        clock.set(now=START + HOUR + DAY + LATE_MS - 1)
        await store.tick()
        assert await lease(store) == []
        clock.set(now=clock.now + 2 * LATE_MS)
        (job,) = await lease(store)
        assert starts(job) == WHOLE_HOUR[:5]


async def test_a_backlog_makes_whole_windows_in_their_order(tmp_path, clock):
    clock.set(now=START + 7 * DAY)
    author = make_author()
    frames = minutes(author, 0, 3 * 60 + 1)
    async with opened(tmp_path, author, clock, hourly(serial="stream")) as store:
        found = []
        for at in range(0, len(frames), 7):
            await put(store, frames[at : at + 7])
            for job in await lease(store):
                found.append(starts(job))
                await store.outbox.complete(job.id, Receipt("r", {}))
        assert [one[0] for one in found] == [START, START + HOUR, START + 2 * HOUR]
        assert {len(one) for one in found} == {12}


async def test_roles_and_devices_are_chosen(tmp_path, clock):
    author = make_author(pv(), pv(role="load"))
    kid = author.kid.hex()
    wants = (
        hourly(roles=frozenset({"pv", "grid"})),
        hourly(network="one", devices=frozenset({"1"})),
        hourly(network="ours", devices=frozenset({f"{kid}/0"})),
        hourly(network="theirs", devices=frozenset({"0000000000000000/0"})),
    )
    async with opened(tmp_path, author, clock, *wants) as store:
        await put(store, minutes(author, 0, 61, 0, 1))
        assert [[one.role for one in job.reports[:1]] for job in await lease(store)] == [["pv"]]
        assert [job.reports[0].device for job in await lease(store, "one")] == ["1"]
        assert [job.reports[0].device for job in await lease(store, "ours")] == ["0"]
        assert await lease(store, "theirs") == []


async def test_a_board_is_one_report_of_all_its_streams(tmp_path, clock):
    author = make_author(pv(), pv(role="grid"), pv(role="load"))
    wants = hourly(scope="board", roles=frozenset({"pv", "grid"}))
    async with opened(tmp_path, author, clock, wants) as store:
        await put(store, minutes(author, 0, 30, 0, 1, 2) + minutes(author, 30, 58, 0, 1) + minutes(author, 58, 61, 0))
        assert await lease(store) == []
        await put(store, minutes(author, 61, 62, 1))
        (job,) = await lease(store)
        assert [(report.a, report.device) for report in job.reports] == [(a, d) for a in WHOLE_HOUR for d in "01"]
        assert job.key.endswith(f"/*/{START}/3600")


async def test_a_dead_stream_holds_up_its_board_no_longer_than_its_intervals(tmp_path, clock):
    author = make_author(pv(), pv(role="grid"))
    async with opened(tmp_path, author, clock, hourly(scope="board")) as store:
        await put(store, minutes(author, 0, 11, 0, 1) + minutes(author, 11, 121))
        assert await lease(store) == []
        clock.set(now=START + DAY + 2 * HOUR)
        await store.tick()
        (first, second) = await lease(store)
        assert [report.a for report in first.reports if report.device == "1"] == WHOLE_HOUR[:3]
        assert starts(second) == [a + HOUR for a in WHOLE_HOUR]


async def test_an_interval_that_comes_after_its_report_is_counted(tmp_path, clock):
    author = make_author()
    async with opened(tmp_path, author, clock, hourly()) as store:
        early, late = minutes(author, 0, 20), minutes(author, 20, 61)
        await put(store, early)
        clock.set(now=START + HOUR + DAY + LATE_MS)
        (job,) = await lease(store)
        assert await store.outbox.set_body(job.id, b"signed") == b"signed"
        await put(store, late)
        assert (await store.read(Reader.counters))["dropped"] == {"interval_after_its_report": 9}
        clock.set(real=clock.real + LEASE_MS)
        (again,) = await lease(store)
        assert starts(again) == starts(job) == WHOLE_HOUR[:3]
        assert again.body == b"signed"


async def test_reports_of_a_turn_go_one_after_another(tmp_path, clock):
    author = make_author(pv(), pv(role="grid"))
    async with opened(tmp_path, author, clock, Wants("nonces", serial="stream")) as store:
        await put(store, minutes(author, 0, 16, 0, 1))
        first, other = await lease(store, "nonces")
        assert {first.reports[0].device, other.reports[0].device} == {"0", "1"}
        assert first.reports[0].a == other.reports[0].a == START
        await store.outbox.retry(first.id, clock.real + 500, "not now")
        assert await lease(store, "nonces") == []
        assert await store.outbox.next_due("nonces") == clock.real + 500
        await store.outbox.complete(other.id, Receipt("r", {}))
        (following,) = await lease(store, "nonces")
        assert (following.reports[0].device, following.reports[0].a) == (other.reports[0].device, START + 5 * MINUTE)
        await store.outbox.discard(first.id, "no_good")
        (following,) = await lease(store, "nonces")
        assert (following.reports[0].device, following.reports[0].a) == (first.reports[0].device, START + 5 * MINUTE)


async def test_a_whole_network_may_be_one_turn(tmp_path, clock):
    author = make_author(pv(), pv(role="grid"))
    async with opened(tmp_path, author, clock, Wants("nonces", serial="network")) as store:
        await put(store, minutes(author, 0, 11, 0, 1))
        seen = []
        for _ in range(4):
            (job,) = await lease(store, "nonces")
            seen.append((job.reports[0].a, job.reports[0].device))
            await store.outbox.set_body(job.id, b"signed", {"nonce": len(seen)})
            await store.outbox.complete(job.id, Receipt("r", {}))
        assert seen == sorted(seen)
        assert await lease(store, "nonces") == []


async def test_what_is_signed_goes_before_what_is_older(tmp_path, clock):
    author = make_author(pv(), pv(role="grid"))
    async with opened(tmp_path, author, clock, Wants("nonces", serial="network")) as store:
        await put(store, minutes(author, 0, 5, 0, 1) + minutes(author, 5, 11, 0))
        for _ in range(2):
            (job,) = await lease(store, "nonces")
            await store.outbox.set_body(job.id, b"signed", {"nonce": 1})
            if job.reports[0].a == START:
                await store.outbox.complete(job.id, Receipt("r", {}))
        await store.outbox.retry(job.id, 0, "lost")
        await put(store, minutes(author, 11, 12, 1))
        (again,) = await lease(store, "nonces")
        assert (again.id, again.body) == (job.id, b"signed")


async def test_the_memory_changes_with_the_bytes_and_only_then(tmp_path, clock):
    author = make_author()
    async with opened(tmp_path, author, clock, Wants("nonces", serial="stream")) as store:
        await put(store, minutes(author, 0, 16))
        (job,) = await lease(store, "nonces")
        assert job.memory == {}
        assert await store.outbox.set_body(job.id, b"one", {"nonce": 1, "since": "x"}) == b"one"
        assert await store.outbox.set_body(job.id, b"two", {"nonce": 2}) == b"one"
        await store.outbox.complete(job.id, Receipt("r", {}))
        (job,) = await lease(store, "nonces")
        assert job.memory == {"nonce": 1, "since": "x"}
        await store.outbox.set_body(job.id, b"bad nonce", {"nonce": 2})
        await store.outbox.redo(job.id, {"nonce": 40}, clock.real, "expected 40")
        (again,) = await lease(store, "nonces")
        assert (again.id, again.body, again.memory, again.attempt) == (job.id, None, {"nonce": 40}, 2)
    async with opened(tmp_path, author, clock, Wants("nonces", serial="stream")) as store:
        await store.outbox.release("nonces")
        (again,) = await lease(store, "nonces")
        assert (again.id, again.memory) == (job.id, {"nonce": 40})


async def test_a_quarantined_boards_window_is_never_sent(tmp_path, clock):
    author = make_author()
    async with opened(tmp_path, author, clock, hourly()) as store:
        frames = minutes(author, 0, 61)
        await put(store, frames)
        author.seq -= 1
        await put(store, [author.rows(START + 60 * MINUTE, 3, 20_000)])
        assert await lease(store) == []
        depths = await store.read(Reader.depths)
        assert [(one.network, one.state, one.count) for one in depths] == [("hourly", "discarded", 1)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Wants("n"), Wants("n", window_ms=HOUR)),
        (Wants("n", window_ms=HOUR), Wants("n")),
        (Wants("n", window_ms=HOUR), Wants("n", serial="network")),
    ],
)
async def test_other_settings_end_what_is_not_signed_and_deliver_what_is(tmp_path, clock, before, after):
    author = make_author()
    async with opened(tmp_path, author, clock, before) as store:
        await put(store, minutes(author, 0, 121))
        jobs = await lease(store, "n", 100)
        await store.outbox.set_body(jobs[0].id, b"signed")
    async with opened(tmp_path, author, clock, after) as store:
        await store.outbox.release("n")
        (left,) = await lease(store, "n", 100)
        assert (left.id, left.body) == (jobs[0].id, b"signed")
        reasons = {job.reason for one in await store.read(Reader.intervals) for job in one.jobs}
        assert "settings_changed" in reasons


async def test_a_device_that_is_taken_out_is_no_longer_reported(tmp_path, clock):
    author = make_author(pv(), pv(role="grid"))
    wants = (Wants("n"), hourly(), hourly(network="board", scope="board"))
    async with opened(tmp_path, author, clock, *wants) as store:
        await put(store, minutes(author, 0, 61, 0, 1))
    async with opened(tmp_path, author, clock, *(one._replace(devices=frozenset({"1"})) for one in wants)) as store:
        for one in wants:
            await store.outbox.release(one.network)
            jobs = await lease(store, one.network, 100)
            assert jobs, one.network
            assert {report.device for job in jobs for report in job.reports} == {"1"}


async def test_windows_of_another_length_do_not_mix_with_those_before(tmp_path, clock):
    author = make_author()
    frames = minutes(author, 0, 2 * 60 + 1)
    async with opened(tmp_path, author, clock, hourly()) as store:
        await put(store, frames[:91])  # the first hour, and half of the second
        (job,) = await lease(store)
        await store.outbox.set_body(job.id, b"signed")
        await store.outbox.complete(job.id, Receipt("r", {}))
    async with opened(tmp_path, author, clock, hourly(window_ms=2 * HOUR)) as store:
        await store.outbox.release("hourly")
        await put(store, frames[91:])
        (job,) = await lease(store)
        assert job.b - START == 2 * HOUR
        assert starts(job) == [a + HOUR for a in WHOLE_HOUR[6:]]


async def test_a_network_that_is_removed_keeps_nothing_for_ever(tmp_path, clock):
    author = make_author()
    async with opened(tmp_path, author, clock, Wants("n"), hourly()) as store:
        await put(store, minutes(author, 0, 61))
        (job, *_) = await lease(store, "n", 1)
        await store.outbox.set_body(job.id, b"signed")
    async with opened(tmp_path, author, clock, hourly()) as store:
        clock.set(now=START + 30 * DAY)
        await store.remove_old()
    async with opened(tmp_path, author, clock, Wants("n"), hourly()) as store:
        await store.outbox.release("n")
        assert len(await lease(store, "n", 100)) == 12  # it was added again, and goes on
    async with opened(tmp_path, author, clock, hourly()) as store:
        clock.set(now=START + 31 * DAY)
        await store.remove_old()
        found = [job for one in await store.read(Reader.intervals) for job in one.jobs if job.network == "n"]
        assert {(job.state, job.reason) for job in found} == {("discarded", "network_removed")}
        assert len(await lease(store)) == 1


async def test_what_a_quarantined_board_said_is_not_signed_behind_its_back(tmp_path, clock):
    author = make_author()
    async with opened(tmp_path, author, clock, Wants("n")) as store:
        await put(store, minutes(author, 0, 11))
        signed, unsigned = await lease(store, "n")
        await store.outbox.set_body(signed.id, b"signed")
        author.seq -= 1
        await put(store, [author.rows(START + 12 * MINUTE, 3, 20_000)])
        with pytest.raises(RefusedError, match="board_quarantined"):
            await store.outbox.set_body(unsigned.id, b"too late")
        assert await store.outbox.set_body(signed.id, b"other") == b"signed"
        await store.outbox.release("n")
        (left,) = await lease(store, "n")
        assert left.body == b"signed"


def test_a_database_of_version_4_keeps_its_jobs(tmp_path):
    path = tmp_path / "wattness.db"
    with apsw.Connection(str(path)) as connection:
        connection.execute(schema.TABLES + totals.TABLES)
        connection.execute(
            "INSERT INTO job (network, key, interval_id, board_id, state, created_ms, body)"
            " VALUES ('alpha', 'k', 1, 1, 'retryable', 5, x'aa')"
        )
        connection.pragma("user_version", 4)
    for _ in range(2):
        connection = schema.connect(path)
        assert connection.pragma("user_version") == schema.VERSION
        found = connection.execute("SELECT state, body, stream, begin_ms, end_ms, turn FROM job").fetchall()
        assert found == [("retryable", b"\xaa", None, None, None, None)]
        assert connection.execute("SELECT n FROM total WHERE name = 'retryable'").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM part").fetchall() == [(0,)]
        connection.close()


def test_waiting_reports_are_found_by_index(tmp_path):
    connection = schema.connect(tmp_path / "wattness.db")
    turn = "turn IS NOT NULL AND state IN ('available', 'running', 'retryable') AND network = 'n' AND turn"
    for query, index in (
        ("min(turn) FROM job WHERE {turn} > ''", "job_turn"),
        ("id FROM job WHERE {turn} = 't' ORDER BY begin_ms, id LIMIT 1", "job_turn"),
        ("id FROM job WHERE {turn} = 't' AND (state = 'running' OR body IS NOT NULL) ORDER BY begin_ms", "job_begun"),
        ("id FROM job WHERE interval_id = 1 OR id IN (SELECT job_id FROM part WHERE interval_id = 1)", "MULTI"),
    ):
        asked = query.format(turn=turn)
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN SELECT {asked}"))
        assert index in plan, plan
    connection.close()
