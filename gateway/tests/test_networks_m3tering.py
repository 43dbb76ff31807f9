"""M3tering: the published messages, numbers without a gap, and a Console's answers heeded, over every bad line."""

import asyncio
import itertools
import random
import struct
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal

import aiomqtt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from emulator.networks import m3tering as sandbox
from emulator.networks.base import Ledger
from wattness.broker import Broker
from wattness.clock import Clock
from wattness.config import NetworkConfig
from wattness.endpoints import connection
from wattness.errors import ConfigError, OutdatedError, RefusedError, UnavailableError
from wattness.keys.held import HeldEd25519
from wattness.model import Reading, Report
from wattness.networks import m3tering_payload as payload
from wattness.networks import mqtt
from wattness.networks.base import Sources
from wattness.networks.m3tering import open_network
from wattnet.faults import Faults

M3 = bytes.fromhex(
    "0000000100001cfca378fcfd6a0334b248db81cf15fb786e20c4053c31bf9f333f5a2f9fb43da15ca881a5bf1ee9fa4c25300f53fe3dfb91f8"
    "7adba566968202b01896ac06c95b03090103a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8f8a67d05464e"
)
SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER, OTHER = HeldEd25519(SECRET), HeldEd25519(Ed25519PrivateKey.from_private_bytes(bytes(32)))
KEY = SIGNER.public_key
NOON_MS, STEP_MS = 1_790_000_100_000, 300_000


def report(index=0, mwh=7420, **changes):
    a = NOON_MS + index * STEP_MS
    figures = {"energy": {} if mwh is None else {"energy_export": mwh}, "covered_ms": STEP_MS}
    about = {"board_key": bytes(32), "device": "0", "role": "pv", "profile": "sunspec", "a": a, "b": a + STEP_MS}
    about |= {"figures": figures, "evidence": [[1, 1, 9]], "root": bytes(32)}
    return Report(**(about | changes))


def sources(folder, *values):
    async def readings(_key, _device, a, _b):
        return [Reading(a + index * 10_000, value) for index, value in enumerate(values)]

    return Sources(None, None, readings, Clock(), folder)


class World:
    """A Console with a broker, and lives of an adapter."""

    def __init__(self, folder, stack, script):
        self.folder, self.stack, self.script = folder, stack, script
        self.console = sandbox.Console(KEY, Ledger())
        self.ledger = self.console.ledger
        self.values = [{"voltage": Decimal("230.5")}, {"power": Decimal(5)}]

    async def serve(self):
        faults = Faults(script=list(self.script))
        self.served = await self.stack.enter_async_context(sandbox.serving_console(self.console, faults))

    async def life(self, signer=SIGNER, **changes):
        config = NetworkConfig(
            name="m", kind="m3tering", url=self.served.url, settings=self.served.settings | {"answer_s": 0.3} | changes
        )
        opened = open_network(config, signer, sources(self.folder, *self.values))
        return await self.stack.enter_async_context(opened)


@asynccontextmanager
async def world(folder, *script):
    async with AsyncExitStack() as stack:
        made = World(folder, stack, script)
        await made.serve()
        yield made


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(mqtt, "TIMEOUT_S", 0.5)


async def signed(network, *reports, memory=None):
    draft = await network.validate(reports, memory or {})
    return await network.sign(draft.body), draft.memory


async def test_windows_are_numbered_and_taken(tmp_path):
    async with world(tmp_path) as made:
        network = await made.life()
        memory = {}
        for index in range(3):
            body, memory = await signed(network, report(index, 100), report(index + 10, 23), memory=memory)
            receipt = await network.send(body)
            assert receipt.id == f"nonce {index + 1}"
            assert receipt.detail["is_on"] is True
            assert receipt.detail["latitude"] == 6.5
        assert made.console.energy_mwh == [123, 123, 123]
        assert made.ledger.counts() == {"taken": 3, "again": 0, "conflicts": 0, "refused": {}}
        assert made.console.extensions == [b"", b"", b""]


async def test_cumulative_energy_is_a_setting(tmp_path):
    async with world(tmp_path) as made:
        network = await made.life(energy="cumulative")
        memory = {}
        for index in range(3):
            body, memory = await signed(network, report(index, 100 + index), memory=memory)
            await network.send(body)
        assert made.console.energy_mwh == [100, 201, 303]
        with pytest.raises(RefusedError, match="out_of_range"):
            await network.validate([report(4, 4_294_967_000)], memory)


@pytest.mark.parametrize(("wanted", "size"), [("none", 0), ("voltage", 2), ("device", 34), ("location", 40)])
async def test_extensions_are_settings(tmp_path, wanted, size):
    async with world(tmp_path) as made:
        network = await made.life(extension=wanted, longitude=-4.81667, latitude=3.45678)
        body, _ = await signed(network, report())
        await network.send(body)
        (extension,) = made.console.extensions
        assert len(extension) == size
        if size:
            assert struct.unpack(">H", extension[:2]) == (2305,)
        assert body == M3[: 72 + size]  # the same key, nonce, energy, voltage and place
        made.values[:] = [{"power": Decimal(5)}]
        unknown = await made.life(extension=wanted, longitude=0, latitude=0)
        body, _ = await signed(unknown, report(1), memory={"nonce": 1})
        assert len(body) == 72  # a missing voltage is not 0 V


async def test_a_place_out_of_reach_is_a_configuration_error(tmp_path):
    async with world(tmp_path) as made:
        for wrong in ({"longitude": -118.2, "latitude": 34.0}, {"longitude": 1.0}, {}):
            with pytest.raises(ConfigError, match=r"longitude|83\.88"):
                await made.life(extension="location", **wrong)
        for wrong in ({"energy": "both"}, {"port": 0}, {"dev_eui": "XY"}, {"nonsense": 1}):
            with pytest.raises(ConfigError, match=r"\$\.network\[m\]\.settings"):
                await made.life(**wrong)


@pytest.mark.parametrize("fate", ["lost", "late_error"])
async def test_a_lost_answer_leads_to_the_same_bytes_and_one_message(tmp_path, fate):
    async with world(tmp_path, fate) as made:
        network = await made.life()
        body, memory = await signed(network, report())
        with pytest.raises(UnavailableError):
            await network.send(body)
        again = await (await made.life()).send(body)
        assert again.id == "nonce 1"
        assert made.ledger.counts() == {"taken": 1, "again": 1, "conflicts": 0, "refused": {}}
        body, _ = await signed(network, report(1), memory=memory)
        assert (await network.send(body)).id == "nonce 2"


@pytest.mark.parametrize("fate", ["timeout", "error", "busy"])
async def test_what_did_not_arrive_is_sent_again(tmp_path, fate):
    async with world(tmp_path, fate) as made:
        network = await made.life()
        body, _ = await signed(network, report())
        with pytest.raises(UnavailableError):
            await network.send(body)
        assert not made.ledger.taken
        await network.send(body)
        assert made.ledger.counts() == {"taken": 1, "again": 0, "conflicts": 0, "refused": {}}


async def test_an_answer_given_twice_is_not_taken_for_the_next_one(tmp_path):
    async with world(tmp_path, *["twice"] * 6) as made:
        network, memory = await made.life(), {}
        for index in range(6):
            body, memory = await signed(network, report(index), memory=memory)
            await network.send(body)
        assert made.ledger.counts()["taken"] == 6


async def test_a_nonce_in_the_answer_is_heeded(tmp_path):
    async with world(tmp_path) as made:
        made.console.last = 41
        network = await made.life(energy="cumulative")
        body, memory = await signed(network, report(), memory={"nonce": 7, "energy_mwh": 1000})
        assert memory["energy_mwh"] == 8420
        with pytest.raises(OutdatedError) as outdated:
            await network.send(body)
        assert outdated.value.memory["nonce"] == 41
        body, memory = await signed(network, report(), memory=outdated.value.memory)
        assert (await network.send(body)).id == "nonce 42"
        assert made.console.energy_mwh == [8420]
        body, memory = await signed(network, report(1), memory=memory)
        await network.send(body)
        assert made.console.energy_mwh == [8420, 15_840]


async def test_a_console_that_forgot_is_followed(tmp_path):
    async with world(tmp_path) as made:
        network = await made.life()
        body, _ = await signed(network, report(), memory={"nonce": 7})
        with pytest.raises(OutdatedError) as outdated:
            await network.send(body)
        body, _ = await signed(network, report(), memory=outdated.value.memory)
        assert (await network.send(body)).id == "nonce 1"


async def test_first_contact_asks_for_the_nonce(tmp_path):
    async with world(tmp_path) as made:
        made.console.last = 1  # a gateway before this one
        network = await made.life()
        with pytest.raises(RefusedError, match="before_resume"):
            await network.validate([report()], {})
        network._life.began_ms = float("-inf")  # a report of this life
        body, memory = await signed(network, report())
        assert memory["nonce"] == 2
        assert payload.decode(body).nonce == 2


async def test_what_a_lost_life_sent_is_not_sent_again(tmp_path):
    async with world(tmp_path) as made:
        network, memory, memories = await made.life(energy="cumulative"), {}, []
        for index in range(4):
            body, memory = await signed(network, report(index, 10 + index), memory=memory)
            memories.append(memory)
            await network.send(body)
        restored = await made.life(energy="cumulative")  # from a backup of after the second message
        memory = memories[1]
        for index in (2, 3):
            assert await restored.find([report(index, 10 + index)]) is None
            with pytest.raises(RefusedError, match="taken_before"):
                await restored.validate([report(index, 10 + index)], memory)
        body, memory = await signed(restored, report(4, 14), memory=memory)
        await restored.send(body)
        assert memory["nonce"] == 5
        assert made.console.energy_mwh == [10, 21, 33, 46, 60]
        assert not made.ledger.conflicts


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mwh": None}, "no_energy"),
        ({"figures": {"energy": {"energy_export": 0}, "covered_ms": 0}}, "not_covered"),
        ({"verdict": "quarantined", "reasons": ["too_much"]}, "quarantined"),
        ({"mwh": 4_294_967_296}, "out_of_range"),
    ],
)
async def test_what_the_network_cannot_take_is_refused_here(tmp_path, changes, reason):
    async with world(tmp_path) as made:
        network = await made.life()
        with pytest.raises(RefusedError, match=reason):
            await network.validate([report(**changes)], {"nonce": 0})


async def test_a_message_of_another_key_is_given_up_and_the_next_one_goes(tmp_path):
    async with world(tmp_path) as made:
        body, memory = await signed(await made.life(signer=OTHER), report(), memory={"nonce": 0})
        network = await made.life()
        with pytest.raises(RefusedError, match="other_key"):
            await network.send(body)
        body, _ = await signed(network, report(1), memory=memory)  # which is of the other key's meter
        assert (await network.send(body)).id == "nonce 1"


async def test_a_second_stream_is_another_meter(tmp_path):
    async with world(tmp_path) as made:
        network = await made.life()
        _, memory = await signed(network, report())
        with pytest.raises(RefusedError, match="second_stream"):
            await network.validate([report(device="1")], memory)


async def test_checking_says_whether_the_console_knows_the_key(tmp_path, free_ports):
    async with world(tmp_path) as made:
        checks = await (await made.life()).check()
        assert [(check.subject, check.ok) for check in checks] == [("key", True), ("endpoint", True), ("gate", True)]
        checks = await (await made.life(signer=OTHER)).check()
        assert [(check.subject, check.ok) for check in checks] == [("key", True), ("endpoint", True), ("gate", False)]
        assert "M3ter NFT" in checks[-1].text
        assert not made.ledger.taken
    config = NetworkConfig(name="m", kind="m3tering", url=f"mqtt://127.0.0.1:{free_ports(1)[0]}")
    async with open_network(config, SIGNER, sources(tmp_path)) as network:
        assert [check.ok for check in await network.check()] == [True, False]
        with pytest.raises(UnavailableError):
            await network.send(M3[:72])


async def test_a_prover_takes_the_core_over_http(tmp_path):
    console = sandbox.Console(KEY, Ledger())
    faults = Faults(script=["error", "lost"], paths=("/batch-payloads",))
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(sandbox.proving(console, faults))
        settings = served.settings | {"extension": "voltage", "last_nonce": 0}
        config = NetworkConfig(name="m", kind="m3tering", url=served.url, settings=settings)
        opened = open_network(config, SIGNER, sources(tmp_path, {"voltage_l1": Decimal(231)}))
        network = await stack.enter_async_context(opened)
        body, memory = await signed(network, report())
        assert len(body) == 74
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await network.send(body)
        assert (await network.send(body)).id == "nonce 1"
        assert memory["nonce"] == 1
        assert console.ledger.counts() == {"taken": 1, "again": 1, "conflicts": 0, "refused": {}}
        with pytest.raises(RefusedError, match="http_400"):
            await network.way.deliver(payload.join(body[:8], bytes(64)))
        assert [check.ok for check in await network.check()] == [True, True, True]
    with pytest.raises(ConfigError, match="m3ter_id"):
        async with open_network(NetworkConfig(name="m", kind="m3tering", url=served.url), SIGNER, sources(tmp_path)):
            pass


async def test_through_a_real_broker_with_the_console_as_its_client(tmp_path, free_ports):
    console = sandbox.Console(KEY, Ledger())
    async with Broker(tmp_path / "broker", f"127.0.0.1:{free_ports(1)[0]}", []) as broker:
        place = broker.endpoint

        async def listen(ready):
            async with connection(place, None) as client:
                await client.subscribe("application/+/device/+/event/up", qos=1)
                ready.set()
                async for message in client.messages:
                    answer = console.hear(message.topic.value, message.payload)
                    if answer is not None:
                        await client.publish(*answer)

        secret = tmp_path / "password"
        secret.write_text(place.password)
        secret.chmod(0o600)
        config = NetworkConfig(
            name="m",
            kind="m3tering",
            url=f"mqtt://{place.user}@{place.host}:{place.port}",
            settings={"password_file": "password", "extension": "device"},
        )
        ready = asyncio.Event()
        listening = asyncio.create_task(listen(ready))
        await ready.wait()
        async with open_network(config, SIGNER, sources(tmp_path, {"voltage": Decimal("230.5")})) as network:
            memory = {}
            for index in range(3):
                body, memory = await signed(network, report(index), memory=memory)
                await network.send(body)
        listening.cancel()
        with pytest.raises((asyncio.CancelledError, aiomqtt.MqttError)):
            await listening
    assert console.ledger.counts() == {"taken": 3, "again": 0, "conflicts": 0, "refused": {}}


class Outbox:
    """What a gateway keeps over its lives: the next report, its signed bytes, and the adapter's memory."""

    def __init__(self, reports):
        self.reports, self.signed, self.memory, self.left_out = list(reports), None, {}, []

    async def step(self, network):
        """Make, sign and send the next report as the engine does; True when it is done with."""
        try:
            if self.signed is None:
                self.signed, self.memory = await signed(network, self.reports[0], memory=self.memory)
            await network.send(self.signed)
        except UnavailableError:
            return False
        except OutdatedError as error:
            self.signed, self.memory = None, error.memory
            return False
        except RefusedError as error:
            self.left_out.append(error.reason)
        self.reports.pop(0)
        self.signed = None
        return True


@pytest.mark.parametrize("energy", ["delta", "cumulative"])
@pytest.mark.parametrize("seed", range(4))
async def test_over_any_line_each_report_is_counted_once(tmp_path, monkeypatch, seed, energy):
    monkeypatch.setattr(mqtt, "TIMEOUT_S", 0.1)
    chance = random.Random(seed)
    fates = ["ok", "ok", "ok", "error", "lost", "late_error", "twice", "busy", "timeout"]
    async with world(tmp_path, *(chance.choice(fates) for _ in range(40))) as made:
        settings = {"energy": energy, "answer_s": 0.1}
        energies = [chance.randrange(1, 1000) for _ in range(16)]
        outbox = Outbox(report(index, mwh) for index, mwh in enumerate(energies))
        network = await made.life(**settings)
        while outbox.reports:
            if chance.random() < 0.2:  # killed between any two steps
                network = await made.life(**settings)
            await outbox.step(network)
        assert outbox.left_out == []
        assert list(made.ledger.taken) == [str(nonce) for nonce in range(1, 17)]
        expected = energies if energy == "delta" else list(itertools.accumulate(energies))
        assert made.console.energy_mwh == expected
        assert made.ledger.conflicts == []
        assert made.ledger.refused == {}


@pytest.mark.parametrize("seed", range(4))
async def test_after_a_restored_backup_nothing_is_claimed_twice(tmp_path, seed):
    chance = random.Random(seed)
    async with world(tmp_path) as made:
        outbox = Outbox(report(index, 10 + index) for index in range(12))
        network, backup = await made.life(energy="cumulative"), None
        back, lost = chance.randrange(1, 6), chance.randrange(6, 10)
        for step in range(lost):
            if step == back:
                backup = (list(outbox.reports), dict(outbox.memory))
            await outbox.step(network)
        outbox.reports, outbox.memory = backup
        network = await made.life(energy="cumulative")
        await network.find([outbox.reports[0]])
        while outbox.reports:
            await outbox.step(network)
        assert outbox.left_out == ["taken_before"] * (lost - back)
        assert made.console.energy_mwh == list(itertools.accumulate(10 + index for index in range(12)))
        assert made.ledger.conflicts == []
