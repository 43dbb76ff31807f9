"""The outbox's workers: one per network, each at its own pace, so that none delays another.

A report is validated and signed once; the signed bytes are persisted before they are sent and resent unchanged until
the network has said yes or no. Killed between any two steps, the next life sends the same bytes.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from wattness.clock import Clock, Life
from wattness.config import NetworkConfig
from wattness.errors import ConfigError, NetworkError, OutdatedError, RefusedError, StoreError, UnavailableError
from wattness.model import Job, Receipt
from wattness.networks import Network, kind_of
from wattness.networks.pace import Pace
from wattness.store.outbox import Outbox
from wattness.store.settings import Wants
from wattness.store.sqlite import SqliteStore

AHEAD = 8  # jobs in hand per job in flight: signing shares commits, and runs ahead of sending
RETRY_AFTER_S_MAX = 3600.0
ROUNDS_MAX = 100  # of one reconciliation; a network that never has enough waits like everybody
PACE_BURST_S = 1.0  # what a second allows may go at once
DEFECTS_MAX = 100  # about eight hours of an adapter's failing over one report that others must follow

T = TypeVar("T")
LOG = logging.getLogger(__name__)


class Timing(NamedTuple):
    """How long things take, in real seconds."""

    backoff_s: tuple[float, ...] = (1, 2, 5, 15, 30, 60, 120, 300)  # after the first, second … failure
    send_s: float = 15.0  # one delivery, introductions included
    lease_s: float = 60.0  # a job not done by then is somebody else's
    poll_s: float = 5.0  # without new jobs, look again
    reconcile_s: float = 30.0

    @classmethod
    def of(cls, clock: Clock, send_s: float = 15.0) -> "Timing":
        """Return the usual timing, with payouts fetched often enough for a civil clock that runs fast."""
        reconcile_s = min(30.0, max(2.0, clock.real_s(300_000)))
        return cls(send_s=send_s, lease_s=4 * send_s, reconcile_s=reconcile_s)


class World(NamedTuple):
    """What is given from outside, so that a test can give another one."""

    clock: Clock
    source: random.Random
    timing: Timing | None = None  # by default `Timing.of(clock)`


def wants(network: NetworkConfig, length_s: int) -> Wants:
    """Return of which intervals a network wants reports; raises ConfigError."""
    kind, window_s = kind_of(network), network.window_s or 0
    if window_s % length_s:
        path = f"$.network[{network.name}].window_s"
        raise ConfigError(f"{path}: {window_s} is not a multiple of $.interval.length_s, which is {length_s}")
    return Wants(network.name, kind.roles, frozenset(network.devices), kind.scope, window_s * 1000, kind.serial)


async def forward(network: Network, store: SqliteStore, config: NetworkConfig, world: World) -> None:
    """Forward a network's jobs of a store until cancelled."""

    async def last_epoch() -> int | None:
        return await store.read(lambda reader: reader.last_epoch(network.name))

    await Forwarder(network, store.outbox, config, world, last_epoch).run()


class Forwarder:
    """Forwards one network's jobs until cancelled."""

    def __init__(
        self,
        network: Network,
        outbox: Outbox,
        config: NetworkConfig,
        world: World,
        last_epoch: Callable[[], Awaitable[int | None]],
    ) -> None:
        """`last_epoch` tells the newest epoch whose rewards are known."""
        self.network, self.outbox, self.last_epoch = network, outbox, last_epoch
        self.clock, self.source = world.clock, world.source
        kind = kind_of(config)
        self.timing = world.timing or Timing.of(world.clock, kind.send_s)
        self.age_ms_max = (config.age_max_h or kind.age_max_h) * 3_600_000
        self.in_hand_max = AHEAD * config.in_flight
        self.life = Life(self.clock)
        self._sending = asyncio.Semaphore(config.in_flight)
        self._pace = Pace(config.per_minute, PACE_BURST_S)
        self._in_hand = self._turns_in_hand = 0
        self._done = asyncio.Event()
        self._failures = 0  # in a row
        self._rest_until_ms = 0
        self._proof_wanted = asyncio.Event()

    async def run(self) -> None:
        """Deliver and reconcile, until cancelled."""
        with contextlib.suppress(StoreError):  # else the leases of the earlier life run out by themselves
            await self.outbox.release(self.network.name)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reconcile(), name=f"reconcile {self.network.name}")
            tasks.create_task(self._deliver(tasks), name=f"deliver {self.network.name}")

    async def _deliver(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._done.clear()
            if self._room() == 0:
                await self._done.wait()
            elif self._resting_ms() > 0:
                await asyncio.sleep(self._resting_ms() / 1000)
            elif jobs := await self._lease():
                self._in_hand += len(jobs)
                for job in jobs:
                    tasks.create_task(self._forward(job), name=f"forward {self.network.name} {job.id}")
            else:
                await self._idle()

    def _room(self) -> int:
        """How many more jobs may be taken; while the network fails, one at a time finds out whether it is back."""
        return max(0, (1 if self._failures else self.in_hand_max) - self._in_hand)

    async def _lease(self) -> list[Job]:
        try:
            return await self.outbox.lease(self.network.name, self._room(), int(self.timing.lease_s * 1000))
        except StoreError as error:
            LOG.warning("outbox unavailable network=%s error=%s", self.network.name, error)
            await asyncio.sleep(self.timing.poll_s)
            return []

    async def _idle(self) -> None:
        """Sleep until there may be something to do."""
        wait_s = self.timing.poll_s
        try:
            due_ms = await self.outbox.next_due(self.network.name)
            if due_ms is not None:
                wait_s = min(wait_s, max(0.01, (due_ms - self.clock.real_ms_now()) / 1000))
            if self._turns_in_hand:
                await self._wait_for_turn(wait_s)
            else:
                await self.outbox.wait(wait_s)
        except StoreError:
            await asyncio.sleep(self.timing.poll_s)

    async def _wait_for_turn(self, wait_s: float) -> None:
        """Sleep until there are new jobs, or one is done that another may have to follow."""
        waits = [asyncio.create_task(wait) for wait in (self.outbox.wait(wait_s), self._done.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _forward(self, job: Job) -> None:
        """Bring one job to its next state; whatever goes wrong, it is tried again or its lease runs out."""
        lease_until_ms = self.clock.real_ms_now() + int(self.timing.lease_s * 1000)
        self._turns_in_hand += job.turn is not None
        try:
            await self._advance(job, lease_until_ms)
        except StoreError as error:
            LOG.warning("outbox unavailable network=%s job=%d error=%s", self.network.name, job.id, error)
        finally:
            self._in_hand -= 1
            self._turns_in_hand -= job.turn is not None
            self._done.set()

    async def _advance(self, job: Job, lease_until_ms: int) -> None:
        try:
            receipt = await self._obtain(job, lease_until_ms)
        except RefusedError as error:
            LOG.warning("report refused network=%s key=%s reason=%s", self.network.name, job.key, error)
            await self.outbox.discard(job.id, error.reason)
        except UnavailableError as error:
            self._stumble(error)
            await self.outbox.retry(job.id, self._due_ms(job), str(error)[:500])
        except OutdatedError as error:
            LOG.warning("report outdated network=%s key=%s detail=%s", self.network.name, job.key, error)
            await self.outbox.redo(job.id, error.memory, self._due_ms(job), str(error)[:500])
        except StoreError:
            raise
        except Exception as error:  # a defect of one adapter must not end the gateway, nor one report block the rest
            LOG.exception("adapter failed network=%s key=%s", self.network.name, job.key)
            if job.turn is not None and job.body is None and job.attempt >= DEFECTS_MAX:
                await self.outbox.discard(job.id, "adapter_failed")
            else:
                await self.outbox.retry(job.id, self._due_ms(job), f"{type(error).__name__}: {error}"[:500])
        else:
            if receipt is not None:
                await self._complete(job, receipt)

    async def _obtain(self, job: Job, lease_until_ms: int) -> Receipt | None:
        """Return the network's receipt, or None when the time for asking is over."""
        if job.b < self.clock.now_ms() - self.age_ms_max:
            raise RefusedError("expired", "older than this network's age_max_h")
        body = job.body
        if body is None and self.life.saw(job.b):  # no other life can have claimed it
            body = await self._sign(job)  # ahead of its turn
        async with self._sending:
            if not await self._may_ask(job, lease_until_ms):
                return None
            if body is None:
                # An earlier life, lost with a restored backup, may have claimed this: never sign a slot a second time.
                known = await self._ask(self.network.find(job.reports))
                if known is not None:
                    return known
                body = await self._sign(job)
            return await self._ask(self.network.send(body))

    async def _sign(self, job: Job) -> bytes:
        """Return the bytes to send, which are on disk by now."""
        draft = await self._within(self.network.validate(job.reports, job.memory))
        return await self.outbox.set_body(job.id, await self._within(self.network.sign(draft.body)), draft.memory)

    async def _may_ask(self, job: Job, lease_until_ms: int) -> bool:
        """Wait for the turn; false when the network rests, or when the job is nearly somebody else's."""
        await self._pace.turn()
        if self._resting_ms() > 0:
            await self.outbox.retry(job.id, self._rest_until_ms, "waits for the network to come back")
            return False
        return self.clock.real_ms_now() + 2 * self.timing.send_s * 1000 <= lease_until_ms

    async def _ask(self, answer: Awaitable[T]) -> T:
        """Wait for the network's answer; whatever it is, the network is there."""
        try:
            result = await self._within(answer)
        except (RefusedError, OutdatedError):
            self._failures = 0
            raise
        self._failures = 0
        return result

    async def _within(self, answer: Awaitable[T]) -> T:
        """Wait, but not for ever."""
        try:
            async with asyncio.timeout(self.timing.send_s):
                return await answer
        except TimeoutError:
            raise UnavailableError(f"no answer in {self.timing.send_s} s") from None

    async def _complete(self, job: Job, receipt: Receipt) -> None:
        await self.outbox.complete(job.id, receipt)
        if receipt.detail.get("challenge"):
            self._proof_wanted.set()

    def _stumble(self, error: UnavailableError) -> None:
        """Leave the network in peace, for longer the more often it failed in a row."""
        self._failures += 1
        wait_s = max(self._backoff_s(self._failures), min(error.retry_after_s, RETRY_AFTER_S_MAX))
        self._rest_until_ms = self.clock.real_ms_now() + int(wait_s * 1000)
        LOG.warning("network unavailable network=%s wait_s=%.1f error=%s", self.network.name, wait_s, error)

    def _resting_ms(self) -> int:
        return self._rest_until_ms - self.clock.real_ms_now()

    def _due_ms(self, job: Job) -> int:
        return self.clock.real_ms_now() + int(self._backoff_s(job.attempt) * 1000)

    def _backoff_s(self, failures: int) -> float:
        """Between half and all of what the table says, so that many gateways do not come back at once."""
        table = self.timing.backoff_s
        return table[min(max(failures, 1), len(table)) - 1] * self.source.uniform(0.5, 1)

    async def _reconcile(self) -> None:
        failures = 0
        while True:
            self._proof_wanted.clear()
            wait_s = self.timing.reconcile_s
            try:
                await self._reconcile_once()
                failures = 0
            except (NetworkError, StoreError) as error:
                failures += 1
                wait_s = self._backoff_s(failures)
                LOG.warning("reconcile failed network=%s wait_s=%.1f error=%s", self.network.name, wait_s, error)
            except Exception:  # see _advance
                LOG.exception("reconcile failed network=%s", self.network.name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._proof_wanted.wait()

    async def _reconcile_once(self) -> None:
        """Ask until the network has nothing new; what it paid is kept before the next question."""
        for _ in range(ROUNDS_MAX):
            after = await self.last_epoch()
            found = await self.network.reconcile(-1 if after is None else after)
            new = await self.outbox.add_rewards(self.network.name, found.rewards) if found.rewards else 0
            if not new and not found.proofs:
                return
