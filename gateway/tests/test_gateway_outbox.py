"""The outbox: a state machine that forgets nothing, hands each job to one worker, and keeps the bytes once signed."""

import asyncio

import pytest

from emulator.author import Author, verified
from wattness.clock import Clock
from wattness.model import Receipt, Reward
from wattness.store.reader import Reader
from wattness.store.registry import open_registry
from wattness.store.settings import Wants
from wattness.store.sqlite import Settings, open_store

GATEWAY = bytes(range(32))
MINUTE = 60_000
START = 1_790_000_100_000
LEASE_MS = 10_000


class FakeClock(Clock):
    real = 1_000_000

    def now_ms(self):
        return START + 60 * MINUTE

    def real_ms_now(self):
        return FakeClock.real


@pytest.fixture
def author():
    FakeClock.real = 1_000_000
    author = Author(1, GATEWAY, START - MINUTE)
    author.streams(START - 1)
    for minute in range(17):
        author.rows(START + minute * MINUTE)
    return author


@pytest.fixture
async def store(tmp_path, author):
    path = tmp_path / "wattness.db"
    with open_registry(path) as registry:
        registry.enrol(author.public_key, "roof")
    async with open_store(
        path, Settings(GATEWAY, (Wants("alpha"), Wants("beta")), clock=FakeClock(), window_ms=1)
    ) as store:
        await store.put([verified(1, raw) for raw in author.frames])
        yield store


async def states(store, network="alpha"):
    depths = await store.read(Reader.depths)
    return {depth.state: depth.count for depth in depths if depth.network == network}


async def test_a_final_interval_makes_one_job_per_network(store, author):
    assert await states(store) == await states(store, "beta") == {"available": 3}
    jobs = await store.outbox.lease("alpha", 10, LEASE_MS)
    assert [job.reports[0].a for job in jobs] == [START, START + 5 * MINUTE, START + 10 * MINUTE]
    report = jobs[0].reports[0]
    assert jobs[0].key == f"{report.board_key.hex()}/0/{START}"
    assert (report.role, report.rated_w, report.verdict, report.b) == ("pv", 6000, "accepted", START + 5 * MINUTE)
    assert (jobs[0].attempt, jobs[0].body) == (1, None)
    interval = await store.read(lambda reader: reader.interval(report.board_key, "0", START))
    assert (interval.figures, interval.evidence, interval.root) == (report.figures, report.evidence, report.root.hex())


async def test_a_job_is_leased_to_one_worker_at_a_time(store):
    leases = await asyncio.gather(*(store.outbox.lease("alpha", 1, LEASE_MS) for _ in range(5)))
    ids = [job.id for jobs in leases for job in jobs]
    assert len(ids) == len(set(ids)) == 3
    assert await states(store) == {"running": 3}
    assert await store.outbox.next_due("alpha") == FakeClock.real + LEASE_MS
    FakeClock.real += LEASE_MS
    again = await store.outbox.lease("alpha", 10, LEASE_MS)
    assert sorted(job.id for job in again) == sorted(ids)
    assert {job.attempt for job in again} == {2}


async def test_the_bytes_are_signed_once(store):
    (job, *_) = await store.outbox.lease("alpha", 1, LEASE_MS)
    assert await store.outbox.set_body(job.id, b"first") == b"first"
    assert await store.outbox.set_body(job.id, b"second") == b"first"
    await store.outbox.retry(job.id, FakeClock.real + 500, "timeout")
    assert [one.id for one in await store.outbox.lease("alpha", 10, LEASE_MS)] != [job.id]
    assert await store.outbox.next_due("alpha") == FakeClock.real + 500
    FakeClock.real += 500
    (again,) = await store.outbox.lease("alpha", 10, LEASE_MS)
    assert (again.id, again.body, again.attempt) == (job.id, b"first", 2)


async def test_what_is_completed_stays_completed(store):
    (job, *_) = await store.outbox.lease("alpha", 1, LEASE_MS)
    await store.outbox.complete(job.id, Receipt("r1", {"slot": "s"}))
    await store.outbox.complete(job.id, Receipt("r2", {}))
    await store.outbox.discard(job.id, "expired")
    await store.outbox.retry(job.id, 0, "timeout")
    (interval,) = [one for one in await store.read(Reader.intervals) if one.a == job.reports[0].a]
    view = interval.jobs[0]
    assert (view.state, view.receipt, view.receipt_detail) == ("completed", "r1", {"slot": "s"})
    FakeClock.real += 10 * LEASE_MS
    assert job.id not in {one.id for one in await store.outbox.lease("alpha", 10, LEASE_MS)}


async def test_what_is_discarded_has_a_reason_and_is_not_sent(store):
    (job, *_) = await store.outbox.lease("alpha", 1, LEASE_MS)
    await store.outbox.discard(job.id, "slot_taken")
    FakeClock.real += 10 * LEASE_MS
    assert len(await store.outbox.lease("alpha", 10, LEASE_MS)) == 2
    assert await states(store) == {"discarded": 1, "running": 2}


async def test_nothing_due_is_nothing(store):
    assert await store.outbox.lease("gamma", 10, LEASE_MS) == []
    assert await store.outbox.next_due("gamma") is None


async def test_new_jobs_wake_those_who_wait(store, author):
    assert not await store.outbox.wait(0.01)
    waiting = asyncio.create_task(store.outbox.wait(30))
    await asyncio.sleep(0)
    await store.put([verified(1, author.rows(START + minute * MINUTE)) for minute in range(17, 22)])
    assert await waiting


async def test_rewards_are_kept_once(store):
    rewards = [Reward(epoch, bytes(32), "0", 100 + epoch, {"why": "energy"}) for epoch in (1, 2)]
    assert await store.outbox.add_rewards("alpha", rewards) == 2
    assert await store.outbox.add_rewards("alpha", rewards) == 0
    assert await store.outbox.add_rewards("beta", rewards[:1]) == 1
    assert await store.read(lambda reader: reader.last_epoch("alpha")) == 2
    assert await store.read(lambda reader: reader.last_epoch("gamma")) is None
    assert [(paid.network, paid.epoch) for paid in await store.read(Reader.rewards)] == [
        ("alpha", 2),
        ("alpha", 1),
        ("beta", 1),
    ]
    assert len(await store.read(lambda reader: reader.rewards(network="beta"))) == 1
