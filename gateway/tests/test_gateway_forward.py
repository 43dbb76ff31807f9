"""Forwarding from a real store: each report once, in the end, whatever happens in between."""

import asyncio
import hashlib
import random
from contextlib import AsyncExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civilclock import Clock as NetworkClock
from emulator.author import verified
from wattness.answers import of_store
from wattness.clock import Clock
from wattness.config import Config, NetworkConfig
from wattness.errors import OutdatedError, RefusedError, StoreError, UnavailableError
from wattness.forward import PACE_BURST_S, Forwarder, Timing, World, forward
from wattness.keys.held import HeldP256
from wattness.model import Receipt
from wattness.networks import Reconciled, open_network
from wattness.networks.base import Draft
from wattness.networks.pace import Pace
from wattness.store.registry import open_registry
from wattness.store.settings import Wants
from wattness.store.sqlite import Settings, open_store
from wattnet import faults, server
from wattnet.settings import Settings as NetworkSettings
from wattnet.simulated import SimulatedBoard, SimulatedKey
from wattnet.simulated_gateway import SimulatedGateway

START = 1_790_000_100_000  # begins a five minutes
MINUTE = 60_000
INTERVALS = 6
KEY = SimulatedKey(1)
QUICK = Timing(backoff_s=(0.01, 0.02), send_s=0.3, lease_s=0.9, poll_s=0.05, reconcile_s=0.05)
BOARD = SimulatedBoard(2, KEY.hash, START)
BOARD_KEY = hashlib.sha256(BOARD.public_key).hexdigest()
BOARD.run(START + (5 * INTERVALS + 1) * MINUTE)


def make_world(seed: int = 5, timing: Timing = QUICK) -> World:
    now_ms = Clock().real_ms_now()
    return World(Clock(now_ms, START + 5 * INTERVALS * MINUTE + 3 * MINUTE, 1), random.Random(seed), timing)


def config(**changes) -> NetworkConfig:
    return NetworkConfig(**({"name": "test", "kind": "wattnet", "url": ""} | changes))


@pytest.fixture
async def stack():
    async with AsyncExitStack() as opened:
        yield opened


async def filled_store(stack: AsyncExitStack, folder, world: World, networks: tuple[str, ...] = ("test",), wants=()):
    """Open a store that holds the board's frames, and so a job for each interval and network."""
    path = folder / "wattness.db"
    with open_registry(path, world.clock) as registry:
        board = registry.enrol(BOARD.public_key, "roof")
    store = await stack.enter_async_context(
        open_store(path, Settings(KEY.hash, wants or tuple(map(Wants, networks)), clock=world.clock, window_ms=1))
    )
    await store.put([verified(board.id, raw) for raw in BOARD.frames])
    assert await count(store, "available") == INTERVALS * len(networks)
    return store


async def count(store, state: str, network: str | None = None) -> int:
    depths = await store.read(lambda reader: reader.depths())
    return sum(one.count for one in depths if one.state == state and network in {None, one.network})


async def until(store, state: str, number: int, network: str | None = None) -> None:
    while await count(store, state, network) < number:
        await asyncio.sleep(0.01)


class Turning(Clock):
    """A clock that somebody turns, while time goes on."""

    turned = (0, 0)

    def turn(self, civil_ms, steady_ms=0):
        type(self).turned = (civil_ms, steady_ms)

    def now_ms(self):
        return Clock.now_ms(self) + sum(self.turned)

    def steady_ms(self):
        return Clock.steady_ms(self) + self.turned[1]


class Running:
    """A task that lives inside `async with`, and whose failure is ours."""

    def __init__(self, coroutine) -> None:
        self.coroutine = coroutine

    async def __aenter__(self):
        self.task = asyncio.create_task(self.coroutine)
        return self.task

    async def __aexit__(self, *_):
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


class Memory:
    """A network in memory that keeps every byte it was sent, and never signs the same twice."""

    name = "test"

    def __init__(self, seed: int = 0) -> None:
        self.source = random.Random(seed)
        self.sent: dict[str, set[bytes]] = {}
        self.signed = self.flying = self.most_flying = 0
        self.fate = lambda body: None  # noqa: ARG005

    async def validate(self, reports, memory):
        (report,) = reports
        return Draft(f"{report.board_key.hex()}/{report.device}/{report.a}".encode())

    async def sign(self, body):
        self.signed += 1
        return body + b"|" + self.source.randbytes(8)

    async def send(self, signed):
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        try:
            await asyncio.sleep(self.source.choice((0, 0.001, 0.003)))
            key = signed.split(b"|")[0].decode()
            answer = self.fate(signed)
            if answer == "unavailable":
                raise UnavailableError("not now")
            if answer == "refused":
                raise RefusedError("no_good")
            self.sent.setdefault(key, set()).add(signed)
            if answer == "lost":
                raise UnavailableError("the answer was lost")
            if answer == "never":
                await asyncio.sleep(3600)
            return Receipt(key[-8:], {})
        finally:
            self.flying -= 1

    async def find(self, reports):
        key = (await self.validate(reports, {})).body.decode()
        return Receipt("found", {}) if key in self.sent else None

    async def reconcile(self, after_epoch):
        return Reconciled([])


async def no_epoch():
    return None


def forwarder(network, outbox, world: World, **changes) -> Forwarder:
    return Forwarder(network, outbox, config(**changes), world, no_epoch)


async def test_day_goes_to_the_network_and_its_rewards_come_back(stack, tmp_path):
    world = make_world()
    store = await filled_store(stack, tmp_path, world)
    network, gateway = await real_network(stack, tmp_path, world, store, percent=50)
    async with Running(forward(network, store, config(), world)):
        await until(store, "completed", INTERVALS)
        while sum(one.amount for one in await store.read(lambda reader: reader.rewards())) < INTERVALS * 3000:
            await asyncio.sleep(0.02)
    counts = (await gateway.get("/v1/summary"))[1]
    assert (counts["accepted"], counts["paid"], counts["lost"], counts["twice_paid"]) == (INTERVALS, INTERVALS, 0, 0)
    assert counts["challenges"]["passed"] >= 1
    assert counts["refused"] == {}


async def real_network(stack, folder, world: World, store, *script: str, percent: int = 0):
    """Start a wattnet of the same time, and open the adapter over the store."""
    clock = NetworkClock(world.clock.real_ms, world.clock.civil_ms, world.clock.rate)
    settings = NetworkSettings(clock, percent, epoch_ms=1000, grace_ms=0, settle_every_s=0.02)
    suffered = faults.Faults(script=list(script))
    serving = server.serving(folder / "wattnet.db", ("127.0.0.1", 0), settings, seed=3, faults=suffered)
    url = await stack.enter_async_context(serving)
    adapter = open_network(
        config(url=url), HeldP256(KEY.secret), of_store(store, world.clock, Config(home=str(folder)))
    )
    network = await stack.enter_async_context(adapter)
    return network, SimulatedGateway(1, network.client.session, url)


@pytest.mark.parametrize("seed", range(3))
async def test_bad_days_of_the_network_cost_nothing(stack, tmp_path, seed):
    world = make_world(seed)
    store = await filled_store(stack, tmp_path, world)
    kinds = ("ok", "error", "late_error", "lost", "twice", "timeout", "slow")
    script = random.Random(seed).choices(kinds, k=20)
    network, gateway = await real_network(stack, tmp_path, world, store, *script)
    async with Running(forward(network, store, config(), world)):
        await until(store, "completed", INTERVALS)
    counts = (await gateway.get("/v1/summary"))[1]
    assert counts["accepted"] == INTERVALS
    assert counts["refused"] == {}
    assert await count(store, "discarded") == 0


async def test_restored_backup_signs_nothing_that_was_claimed(stack, tmp_path):
    world = make_world()
    store = await filled_store(stack, tmp_path, world)
    network, gateway = await real_network(stack, tmp_path, world, store)
    async with Running(forward(network, store, config(), world)):
        await until(store, "completed", INTERVALS)
    (tmp_path / "restored").mkdir()
    restored = await filled_store(stack, tmp_path / "restored", world)
    signed = []
    sign = network.sign

    async def watched(body):
        signed.append(body)
        return await sign(body)

    network.sign = watched
    async with Running(forward(network, restored, config(), world)):
        await until(restored, "completed", INTERVALS)
    assert signed == []
    assert (await gateway.get("/v1/summary"))[1]["duplicates"] == 0


@pytest.mark.parametrize("seed", range(10))
async def test_every_report_arrives_once_from_a_network_of_any_mood(stack, tmp_path, seed):
    world = make_world(seed)
    store = await filled_store(stack, tmp_path, world)
    network = Memory(seed)
    mood = random.Random(seed)
    network.fate = lambda _: mood.choice(("", "", "unavailable", "lost", "never"))
    async with Running(forwarder(network, store.outbox, world).run()):
        await until(store, "completed", INTERVALS)
    assert len(network.sent) == INTERVALS
    assert {len(bodies) for bodies in network.sent.values()} == {1}


class Killed(BaseException):
    """The process ends here."""


class Deadly:
    """Passes calls on to an outbox or network, and kills before or after the n-th of them."""

    def __init__(self, inner, life: list[int]) -> None:
        self.inner, self.life = inner, life

    def __getattr__(self, name):
        value = getattr(self.inner, name)
        if name not in {
            "lease",
            "set_body",
            "complete",
            "retry",
            "redo",
            "discard",
            "validate",
            "sign",
            "send",
            "find",
        }:
            return value

        async def call(*arguments):
            self.step()
            result = await value(*arguments)
            self.step()
            return result

        return call

    def step(self) -> None:
        self.life[0] -= 1
        if self.life[0] == 0:
            raise Killed


@pytest.mark.parametrize("seed", range(6))
async def test_killed_between_any_two_steps_the_same_bytes_are_sent(stack, tmp_path, seed):
    world = make_world(seed, QUICK._replace(lease_s=0.1, send_s=0.03, poll_s=0.01))
    store = await filled_store(stack, tmp_path, world)
    network, mood = Memory(seed), random.Random(seed)
    network.fate = lambda _: mood.choice(("", "", "lost"))
    assert await die_often(store, network, world, seed) >= 2
    assert len(network.sent) == INTERVALS
    assert {len(bodies) for bodies in network.sent.values()} == {1}


async def die_often(store, network, world, seed) -> int:
    """Live one short life after another until all is settled; returns how many were ended in the middle."""
    source, kills = random.Random(seed), 0
    while await count(store, "completed") + await count(store, "discarded") < INTERVALS:
        life = [source.randint(1, 30)]
        task = asyncio.create_task(forwarder(Deadly(network, life), Deadly(store.outbox, life), world).run())
        while not task.done() and await count(store, "completed") + await count(store, "discarded") < INTERVALS:
            await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError, BaseExceptionGroup):
            await task
        kills += life[0] <= 0
    return kills


async def test_the_leases_of_an_earlier_life_do_not_hold_up_this_one(stack, tmp_path):
    world = make_world()
    store = await filled_store(stack, tmp_path, world)
    assert len(await store.outbox.lease("test", INTERVALS, 3_600_000)) == INTERVALS
    async with Running(forwarder(Memory(), store.outbox, world).run()):
        await until(store, "completed", INTERVALS)


async def test_a_full_disk_loses_nothing_and_sends_nothing_new(stack, tmp_path):
    world = make_world()
    store = await filled_store(stack, tmp_path, world)
    network, source = Memory(), random.Random(3)

    class Failing(Deadly):
        def step(self):
            if source.random() < 0.2:
                raise StoreError("no space left on device")

    async with Running(forwarder(network, Failing(store.outbox, [0]), world).run()):
        await until(store, "completed", INTERVALS)
    assert {len(bodies) for bodies in network.sent.values()} == {1}


async def test_a_no_is_final_and_the_rest_goes_on(stack, tmp_path):
    world = make_world()
    store = await filled_store(stack, tmp_path, world)
    network = Memory()
    network.fate = lambda body: "refused" if f"/{START}|".encode() in body else ""
    async with Running(forwarder(network, store.outbox, world).run()):
        await until(store, "completed", INTERVALS - 1)
        await until(store, "discarded", 1)
    assert network.signed == INTERVALS
    jobs = [job for one in await store.read(lambda reader: reader.intervals()) for job in one.jobs]
    assert [job.reason for job in jobs if job.state == "discarded"] == ["no_good"]


async def test_a_defect_of_the_adapter_blocks_only_its_report(stack, tmp_path):
    world = make_world()
    store = await filled_store(stack, tmp_path, world)
    network = Memory()
    validate = network.validate

    async def broken(reports, memory):
        if reports[0].a == START:
            raise KeyError("oh")
        return await validate(reports, memory)

    network.validate = broken
    network.find = Memory().find
    async with Running(forwarder(network, store.outbox, world).run()):
        await until(store, "completed", INTERVALS - 1)
    assert await count(store, "discarded") == 0


@pytest.mark.parametrize("wrong_ms", [-10 * 86_400_000, 10 * 86_400_000])
async def test_a_clock_that_was_wrong_at_the_start_does_not_pass_for_a_long_life(stack, tmp_path, wrong_ms):
    world = make_world()
    store = await filled_store(stack, tmp_path, world)
    clock = Turning(world.clock.real_ms, world.clock.civil_ms, 1)
    clock.turn(wrong_ms)
    network = Memory()
    tried = forwarder(network, store.outbox, world._replace(clock=clock), age_max_h=48)
    clock.turn(0)
    for index in range(INTERVALS):  # an earlier life, forgotten with a restored backup, sent these
        network.sent[f"{BOARD_KEY}/0/{START + 5 * MINUTE * index}"] = {b"its bytes"}
    async with Running(tried.run()):
        await until(store, "completed", INTERVALS)
    assert network.signed == 0


async def test_what_ends_in_this_life_is_signed_without_asking():
    world = make_world()
    clock = Turning(world.clock.real_ms, world.clock.civil_ms, 1)
    tried, now_ms = forwarder(Memory(), None, world._replace(clock=clock)), clock.now_ms()
    clock.turn(0, steady_ms=60_000)
    assert tried.life.saw(now_ms + 30_000)
    assert not tried.life.saw(now_ms - 30_000)
    assert not tried.life.saw(now_ms + 3_600_000)  # it has not ended: the clock was put back


async def test_an_adapter_that_hangs_while_it_makes_a_report_is_tried_again(stack, tmp_path):
    world = make_world()
    store = await filled_store(stack, tmp_path, world, wants=(Wants("test", serial="network"),))
    network, hung = Memory(), []
    validate = network.validate

    async def hanging(reports, memory):
        hung.append(reports[0].a)
        if len(hung) == 1:
            await asyncio.sleep(3600)
        return await validate(reports, memory)

    network.validate, network.find = hanging, Memory().find
    async with Running(forwarder(network, store.outbox, world).run()):
        await until(store, "completed", INTERVALS)
    assert hung[0] == START


async def test_a_report_that_an_adapter_fails_over_does_not_hold_up_its_turn_for_ever(stack, tmp_path, monkeypatch):
    monkeypatch.setattr("wattness.forward.DEFECTS_MAX", 3)
    world = make_world()
    store = await filled_store(stack, tmp_path, world, wants=(Wants("test", serial="network"),))
    network, found = Memory(), Memory()
    validate = network.validate

    async def broken(reports, memory):
        if reports[0].a == START:
            raise KeyError("oh")
        return await validate(reports, memory)

    network.validate, network.find = broken, found.find
    async with Running(forwarder(network, store.outbox, world).run()):
        await until(store, "completed", INTERVALS - 1)
    jobs = [job for one in await store.read(lambda reader: reader.intervals()) for job in one.jobs]
    assert [job.reason for job in jobs if job.state == "discarded"] == ["adapter_failed"]


async def test_expired_reports_are_discarded(stack, tmp_path):
    world = make_world()
    store = await filled_store(stack, tmp_path, world)
    network = Memory()
    late = world._replace(clock=Clock(world.clock.real_ms, world.clock.civil_ms + 50 * MINUTE, 1))
    async with Running(forwarder(network, store.outbox, late, age_max_h=1).run()):
        await until(store, "completed", 1)
        while await count(store, "completed") + await count(store, "discarded") < INTERVALS:
            await asyncio.sleep(0.01)
    jobs = [(one.b, job) for one in await store.read(lambda reader: reader.intervals()) for job in one.jobs]
    assert {job.reason for _, job in jobs if job.state == "discarded"} == {"expired"}
    assert min(b for b, job in jobs if job.state == "completed") > max(b for b, job in jobs if job.state == "discarded")


class Nonces(Memory):
    """A network that takes one number after another, and says which it expects."""

    expected, source = 40, random.Random(1)

    async def validate(self, reports, memory):
        nonce = memory.get("nonce", 0)
        return Draft(f"{reports[0].a} {nonce}".encode(), {"nonce": nonce + 1})

    async def send(self, signed):
        await asyncio.sleep(self.source.choice((0, 0.002)))
        a, nonce = signed.split(b"|")[0].decode().split()
        if signed in self.sent.get(a, ()):
            return Receipt(a, {})
        if int(nonce) != self.expected:
            raise OutdatedError(f"expected {self.expected}", {"nonce": self.expected})
        if self.fate(signed) == "refused":
            raise RefusedError("no_good")
        self.expected += 1
        self.sent.setdefault(a, set()).add(signed)
        if self.fate(signed) == "lost":
            raise UnavailableError("the answer was lost")
        return Receipt(a, {})

    async def find(self, _):
        return None


@pytest.mark.parametrize("seed", range(4))
async def test_numbers_are_used_one_after_another_and_learnt_from_the_network(stack, tmp_path, seed):
    world = make_world(seed)
    store = await filled_store(stack, tmp_path, world, wants=(Wants("test", serial="network"),))
    network, mood = Nonces(seed), random.Random(seed)
    network.fate = lambda _: mood.choice(("", "lost"))
    async with Running(forwarder(network, store.outbox, world).run()):
        await until(store, "completed", INTERVALS)
    assert network.expected == 40 + INTERVALS
    assert [len(bodies) for bodies in network.sent.values()] == [1] * INTERVALS
    assert list(network.sent) == sorted(network.sent)
    assert network.signed == INTERVALS + 1  # the first was made anew


@pytest.mark.parametrize("seed", range(8))
async def test_killed_in_a_turn_every_number_is_used_once_and_no_slot_twice(stack, tmp_path, seed):
    world = make_world(seed, QUICK._replace(lease_s=0.1, send_s=0.03, poll_s=0.01))
    store = await filled_store(stack, tmp_path, world, wants=(Wants("test", serial="network"),))
    network, mood = Nonces(seed), random.Random(seed)
    refused = str(START + 5 * MINUTE * mood.randrange(INTERVALS))

    def fate(signed):
        return "refused" if signed.startswith(refused.encode()) else mood.choice(("", "", "lost"))

    network.fate = fate
    assert await die_often(store, network, world, seed) >= 2
    assert await count(store, "discarded") == 1
    assert network.expected == 40 + INTERVALS - 1
    assert refused not in network.sent
    assert [len(bodies) for bodies in network.sent.values()] == [1] * (INTERVALS - 1)
    assert list(network.sent) == sorted(network.sent)


async def test_a_dead_network_delays_no_other(stack, tmp_path):
    world = make_world()
    store = await filled_store(stack, tmp_path, world, ("dead", "test"))
    dead, alive = Memory(1), Memory(2)
    dead.name = "dead"
    dead.fate = lambda _: "never"
    async with (
        Running(forwarder(dead, store.outbox, world).run()),
        Running(forwarder(alive, store.outbox, world).run()),
    ):
        await until(store, "completed", INTERVALS, "test")
    assert await count(store, "completed", "dead") == 0


async def test_a_network_in_trouble_is_left_in_peace(stack, tmp_path):
    world = make_world(timing=QUICK._replace(backoff_s=(3600,)))
    store = await filled_store(stack, tmp_path, world)
    network = Memory()
    network.fate = lambda _: "unavailable"
    tried = forwarder(network, store.outbox, world, in_flight=2)
    async with Running(tried.run()):
        await until(store, "retryable", INTERVALS)
    assert network.most_flying <= 2
    assert tried._resting_ms() > 1_700_000
    await store.outbox.wait(0.01)


async def test_the_network_decides_how_long_we_wait():
    tried = forwarder(Memory(), None, make_world())
    tried._stumble(UnavailableError("busy", 30))
    assert 29_000 < tried._resting_ms() <= 30_000
    tried._stumble(UnavailableError("busy", 10**9))
    assert tried._resting_ms() <= 3_600_000


async def test_in_flight_is_a_limit(stack, tmp_path):
    world = make_world()
    store = await filled_store(stack, tmp_path, world)
    network = Memory()
    async with Running(forwarder(network, store.outbox, world, in_flight=1).run()):
        await until(store, "completed", INTERVALS)
    assert network.most_flying == 1


async def test_new_jobs_wake_the_worker(stack, tmp_path):
    world = make_world(timing=QUICK._replace(poll_s=3600))
    path = tmp_path / "empty"
    path.mkdir()
    network = Memory()
    with open_registry(path / "wattness.db", world.clock) as registry:
        registry.enrol(BOARD.public_key, "roof")
    store = await stack.enter_async_context(
        open_store(path / "wattness.db", Settings(KEY.hash, (Wants("test"),), clock=world.clock, window_ms=1))
    )
    async with Running(forwarder(network, store.outbox, world).run()):
        await asyncio.sleep(0.05)
        board = (await store.boards())[0]
        await store.put([verified(board.id, raw) for raw in BOARD.frames])
        await until(store, "completed", INTERVALS)


@given(st.integers(1, 6000), st.lists(st.integers(0, 2000), min_size=1, max_size=60))
def test_no_minute_has_more_than_its_share(per_minute, waits):
    pace, now_s, turns = Pace(per_minute, PACE_BURST_S), 10.0**6, []
    for wait_ms in waits:
        now_s += wait_ms / 1000
        turns.append(now_s + pace.reserve(now_s))
    for first in range(len(turns)):
        for last in range(first, len(turns)):
            fits = (turns[last] - turns[first] + PACE_BURST_S) * per_minute / 60 + 1
            assert last - first + 1 <= fits + 1e-6 * len(turns) + 1
    assert turns == sorted(turns)


def test_backoff_grows_to_its_cap_with_jitter():
    tried = forwarder(Memory(), None, make_world(timing=Timing()))
    table = tried.timing.backoff_s
    for failures in range(1, 30):
        full = table[min(failures, len(table)) - 1]
        assert full / 2 <= tried._backoff_s(failures) <= full


def test_a_fast_clock_fetches_payouts_more_often():
    assert Timing.of(Clock()).reconcile_s == 30
    assert Timing.of(Clock(0, 0, 60)).reconcile_s == 5
    assert Timing.of(Clock(0, 0, 1000)).reconcile_s == 2
