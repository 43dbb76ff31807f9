"""What every network of the catalog must bear: the real engine and a real store, against the network's sandbox."""

import asyncio
import runpy
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from emulator.networks import SANDBOXES
from wattness.errors import NetworkError
from wattness.model import Receipt
from wattness.networks import sourceful
from wattness.networks.base import Draft, Reconciled
from wattness.networks.catalog import CATALOG
from wattness.store.settings import Wants

WORLD = runpy.run_path(str(Path(__file__).with_name("networks_world.py")))
World, Running = WORLD["World"], WORLD["Running"]
KINDS = [name for name in CATALOG if name in SANDBOXES]
WITHOUT_A_NO = {"glow", "m3tering", "sourceful", "peaq"}  # nobody hears a no over UDP and MQTT; a chain's is in a block


def test_every_network_that_can_be_opened_has_a_sandbox():
    assert {name for name, kind in CATALOG.items() if kind.module} == SANDBOXES.keys()


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
async def make(tmp_path, kind):
    async with AsyncExitStack() as stack:
        yield lambda days: World(stack, tmp_path, kind, days)


async def test_each_report_is_taken_once(make):
    world = make(1)
    await world.start()
    await world.deliver()
    assert await world.given_up() == {}
    assert set(await world.counts()) == {"completed"}
    assert world.taken >= 1
    before = world.served.ledger.counts()
    assert before["conflicts"] == 0
    assert before["refused"] == {}
    async with world.adapter() as network:
        for *_, body in await world.jobs():
            try:
                await network.send(body)
            except NetworkError as error:
                assert "aken" in str(error) or "uplicate" in str(error), error  # noqa: PT017
    after = world.served.ledger.counts()
    assert (after["taken"], after["conflicts"]) == (before["taken"], 0)


async def test_a_report_in_trouble_is_sent_again_unchanged_until_it_is_taken(make, caplog, monkeypatch):
    caplog.set_level("DEBUG")
    minted, mint = [], sourceful.mint

    async def watched(*arguments):
        minted.append(await mint(*arguments))
        return minted[-1]

    monkeypatch.setattr(sourceful, "mint", watched)
    world = make(1)
    await world.start("error", "late_error", "lost", "busy", "timeout", "error")
    await world.deliver()
    assert await world.given_up() == {}
    assert set(await world.counts()) == {"completed"}
    bodies = {body for *_, body in await world.jobs()}
    assert set(world.sent) == bodies
    assert len(world.sent) > len(bodies)
    assert world.served.ledger.counts()["conflicts"] == 0
    assert world.taken >= 1
    secrets = [*world.secrets(), *(token.encode() for token in minted)]
    written = b"".join(file.read_bytes() for file in world.folder.glob("wattness.db*")) + caplog.text.encode()
    assert [secret for secret in secrets if secret in written] == []


class Killed(BaseException):
    """The process ends here."""


async def test_a_restart_between_signing_and_sending_sends_what_was_signed(make):
    world = make(1)
    await world.start()
    async with world.adapter() as network:

        async def deadly(_):
            raise Killed

        network.send = deadly
        with pytest.raises(BaseExceptionGroup):
            await world.forwarding(network)
    signed = [body for *_, body in await world.jobs() if body is not None]
    assert signed
    await world.deliver()
    assert await world.given_up() == {}
    assert set(await world.counts()) == {"completed"}
    assert [body for *_, body in await world.jobs()][: len(signed)] == signed
    assert set(signed) <= set(world.sent)
    assert world.served.ledger.counts()["conflicts"] == 0


async def test_a_restored_backup_claims_nothing_twice(make):
    world = make(1)
    await world.start()
    await world.deliver()
    before = world.served.ledger.counts()
    await world.open_store(world.folder / "restored.db")
    await world.deliver()
    assert set(await world.counts()) <= {"completed", "discarded"}
    assert set(await world.given_up()) <= {"claimed_before", "before_resume", "energy_smaller"}
    after = world.served.ledger.counts()
    assert (after["taken"], after["conflicts"]) == (before["taken"], 0)


async def test_a_no_is_final_and_the_rest_goes_on(make, kind):
    if kind in WITHOUT_A_NO:
        pytest.skip(f"{kind} cannot answer no to a report")
    world = make(1)
    await world.start("refused")
    await world.deliver()
    refused = [(reason, body) for _, state, reason, *_, body in await world.jobs() if state == "discarded"]
    assert len(refused) == 1
    assert refused[0][0]
    assert world.sent.count(refused[0][1]) == 1
    assert refused[0][1] not in world.served.ledger.taken.values()
    assert set(await world.counts()) <= {"completed", "discarded"}


async def test_a_week_without_the_network_is_drained_in_order(make, kind):
    world = make(7)
    await world.start()
    await world.deliver(30)
    jobs = await world.jobs()
    assert {state for _, state, *_ in jobs} <= {"completed", "discarded"}
    assert {reason for _, state, reason, *_ in jobs if state == "discarded"} <= {"expired"}
    oldest_ms = world.clock.now_ms() - CATALOG[kind].age_max_h * 3_600_000
    begun = [begin for _, state, _, _, begin, _ in jobs if state == "discarded" and begin is not None]
    assert all(begin < oldest_ms for begin in begun)
    assert world.served.ledger.counts()["conflicts"] == 0
    assert world.served.ledger.counts()["refused"] == {}
    sent = {body: number for number, body in enumerate(dict.fromkeys(world.sent))}
    for turn in {turn for _, _, _, turn, *_ in jobs if turn is not None}:
        ordered = [(begin, sent[body]) for _, _, _, mine, begin, body in jobs if mine == turn and body in sent]
        assert [number for _, number in sorted(ordered)] == sorted(number for _, number in ordered)


class Other:
    """Another network, which takes everything at once."""

    name = "other"

    async def validate(self, reports, memory):
        return Draft(reports[0].device.encode())

    async def sign(self, body):
        return body

    async def send(self, _):
        return Receipt("taken", {})

    async def find(self, _):
        return None

    async def reconcile(self, _):
        return Reconciled([])


async def test_a_network_that_hangs_delays_no_other(make):
    world = make(1)
    world.others = (Wants("other"),)
    await world.start(timeout=1)
    async with world.adapter() as network, Running(world.forwarding(network)), Running(world.forwarding(Other())):
        while (await world.counts("other")).keys() != {"completed"}:
            await asyncio.sleep(0.02)
    assert (await world.counts()).get("completed", 0) == 0
    assert world.taken == 0


async def test_check_finds_nothing_wrong_and_submits_nothing(make):
    world = make(1)
    await world.start()
    async with world.adapter() as network:
        found = await network.check()
    assert [one for one in found if not one.ok] == []
    assert {"key", "endpoint"} <= {one.subject for one in found}
    assert world.served.ledger.counts() == {"taken": 0, "again": 0, "conflicts": 0, "refused": {}}
