"""Sourceful: both schemas and their signs, a token for each connection, and the archived format verified."""

import base64
import json
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal

import aiomqtt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import civilclock
from emulator.networks import sourceful as sandbox
from wattness.broker import Broker
from wattness.cli import main
from wattness.clock import Clock
from wattness.config import NetworkConfig
from wattness.endpoints import connection
from wattness.errors import ConfigError, RefusedError, UnavailableError
from wattness.keys.held import HeldP256
from wattness.model import Reading, Report
from wattness.networks import mqtt, sourceful_token
from wattness.networks.base import Sources
from wattness.networks.sourceful import Claimer, claim, inventory, open_network
from wattness.networks.sourceful_telemetry import Der, telemetry, topic
from wattnet.faults import Faults

SIGNER = HeldP256(ec.derive_private_key(4662, ec.SECP256R1()))
OTHER = HeldP256(ec.derive_private_key(4663, ec.SECP256R1()))
POINT = SIGNER.public_key[1:]
NOON_MS, STEP_MS = 1_790_000_100_000, 300_000
PV = {"power": Decimal(3100), "energy_export": Decimal("12345.5"), "dc_voltage_1": Decimal("381.5")}


class TestClock:
    """A civil time that stands still until it is moved; `wattness.clock` and `civilclock` in one."""

    __test__ = False
    rate = 1

    def __init__(self):
        self.ms = NOON_MS + 10 * STEP_MS

    def now_ms(self):
        return self.ms


def report(index=0, role="pv", **changes):
    a = NOON_MS + index * STEP_MS
    about = {"board_key": bytes(range(32)), "device": "0", "role": role, "profile": "sungrow_sh", "a": a}
    about |= {"b": a + STEP_MS, "figures": {"energy": {}, "covered_ms": STEP_MS}, "evidence": [], "root": bytes(32)}
    return Report(**(about | changes))


def der(kind, **changes):
    return Der(**({"hardware_id": "h", "name": "n", "kind": kind, "make": "m", "model": "mm"} | changes))


class World:
    """A Nova and lives of an adapter."""

    def __init__(self, folder, stack, script):
        self.folder, self.stack, self.clock = folder, stack, TestClock()
        self.nova = sandbox.Nova(SIGNER.public_key, self.clock, Faults(script=list(script)))
        self.ledger = self.nova.ledger
        self.values = [PV]

    async def life(self, signer=SIGNER, **changes):
        async def readings(_key, _device, a, _b):
            return [Reading(a + index * 10_000, value) for index, value in enumerate(self.values)]

        sources = Sources(None, None, readings, self.clock, self.folder)
        settings = self.served.settings | changes
        config = NetworkConfig(name="s", kind="sourceful", url=self.served.url, settings=settings)
        return await self.stack.enter_async_context(open_network(config, signer, sources))


@asynccontextmanager
async def world(folder, *script):
    async with AsyncExitStack() as stack:
        made = World(folder, stack, script)
        made.served = await stack.enter_async_context(sandbox.serving_nova(made.nova))
        yield made


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(mqtt, "TIMEOUT_S", 0.5)


async def signed(network, *reports):
    return await network.sign((await network.validate(reports, {})).body)


async def test_telemetry_is_taken_and_the_acknowledgement_is_the_brokers(tmp_path):
    async with world(tmp_path) as made:
        network = await made.life()
        for index in range(3):
            receipt = await network.send(await signed(network, report(index)))
            assert receipt.detail == {"acknowledged": "PUBACK"}
        assert made.ledger.counts() == {"taken": 3, "again": 0, "conflicts": 0, "refused": {}}
        assert [state["W"] for state in made.nova.states] == [-3100] * 3
        assert made.nova.server.connects == 1
        assert next(iter(made.ledger.taken)).startswith("0001020304050607-0/wattness-solar/")


async def test_roles_settings_and_schema(tmp_path):
    async with world(tmp_path) as made:
        named = {"ab" * 16: {"name": "roof-pv", "make": "SMA", "model": "STP", "capacity_wh": 5000}}
        network = await made.life(schema="unified", ders=named, qos=0)
        receipt = await network.send(await signed(network, report(device="ab" * 16, role="battery")))
        assert "no acknowledgement" in receipt.detail["acknowledged"]
        await network.line.publish("elsewhere", b"")  # QoS 1: after it, what went before has arrived
        assert list(made.ledger.taken) == [f"{'ab' * 16}/roof-pv/{NOON_MS}"]
        (state,) = made.nova.states
        assert (state["w"], state["make"], state["capacity_wh"]) == (3100, "SMA", 5000)


@pytest.mark.parametrize("fate", ["lost", "late_error", "timeout", "error", "busy"])
async def test_without_an_acknowledgement_the_same_bytes_go_again_with_a_new_token(tmp_path, fate):
    async with world(tmp_path, fate) as made:
        network = await made.life()
        body = await signed(network, report())
        with pytest.raises(UnavailableError):
            await network.send(body)
        await network.send(body)
        again = int(fate in {"lost", "late_error"})
        assert made.ledger.counts() == {"taken": 1, "again": again, "conflicts": 0, "refused": {}}
        assert len(made.nova.tokens) == made.nova.server.connects == 2


async def test_every_connection_has_a_token_of_ten_minutes_in_whole_seconds(tmp_path):
    async with world(tmp_path) as made:
        network = await made.life()
        await network.line.open()
        made.clock.ms += 86_400_000
        await network.line.close()
        await network.line.open()
        assert len(made.nova.tokens) == 2
        token = await sourceful_token.mint(SIGNER, "g", 1_790_000_000)
        header, payload = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
        assert header == {"alg": "ES256", "typ": "JWT", "device": "g"}
        assert (payload["iat"], payload["exp"]) == (1_790_000_000, 1_790_000_600)
        assert type(payload["iat"]) is int
        assert sourceful_token.verify(token.encode(), POINT).payload == payload


async def test_the_broker_lets_nobody_else_in(tmp_path):
    async with world(tmp_path) as made:
        foreign = await made.life(signer=OTHER)
        with pytest.raises(UnavailableError, match="does not let us in"):
            await foreign.send(await signed(foreign, report()))
        assert made.ledger.refused == {"bad_token": 1}
        other = await made.life(serial="another")
        with pytest.raises(UnavailableError):
            await other.line.open()
        made.clock.now_ms = lambda: NOON_MS  # this gateway's clock and the broker's are one here
        key, now_s = made.nova._key, NOON_MS // 1000
        for claims, reason in [
            ({"iat": now_s - 700, "exp": now_s - 100, "jti": "a"}, "token_not_in_force"),
            ({"iat": now_s, "exp": now_s + 601, "jti": "a"}, "token_not_in_force"),
            ({"iat": now_s + 100, "exp": now_s + 600, "jti": "a"}, "token_not_in_force"),
            ({"iat": float(now_s), "exp": now_s + 600, "jti": "a"}, "bad_token_times"),
            ({"iat": now_s, "exp": now_s + 600}, "bad_token_times"),
            ({"iat": now_s, "exp": now_s + 600, "jti": ""}, "bad_token_id"),
        ]:
            header = {"alg": "ES256", "typ": "JWT", "device": sandbox.SERIAL}
            token = await sourceful_token.sign(SIGNER, header, claims)
            with pytest.raises(sandbox.BadMessageError, match=reason):
                sandbox.read_token(key, token, now_s)
        token = await sourceful_token.sign(SIGNER, header | {"alg": "none"}, claims)
        with pytest.raises(sandbox.BadMessageError, match="bad_token_header"):
            sandbox.read_token(key, token, now_s)


@pytest.mark.parametrize(
    ("changes", "values", "reason"),
    [
        ({"role": "load"}, [PV], "no_der_type"),
        ({"verdict": "quarantined", "reasons": ["night"]}, [PV], "quarantined"),
        ({}, [], "no_power"),
        ({}, [{"soc": Decimal(1)}], "no_power"),
        ({"device": "7"}, [PV], "unprovisioned"),
    ],
)
async def test_what_nova_would_drop_is_refused_here(tmp_path, changes, values, reason):
    async with world(tmp_path) as made:
        made.values = values
        network = await made.life(ders={"0001020304050607-0": {}})
        with pytest.raises(RefusedError, match=reason):
            await network.validate([report(**changes)], {})


def telemetry_of(**changes):
    state = json.loads(telemetry(der("solar"), Reading(NOON_MS, PV), "legacy")) | changes
    return json.dumps({name: value for name, value in state.items() if value is not None}).encode()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{", "bad_json"),
        (b"[]", "bad_json"),
        (telemetry_of(type="wind"), "unknown_type"),
        (telemetry_of(w=1), "unknown_field"),
        (telemetry_of(W=None), "no_power"),
        (telemetry_of(W=1), "solar_takes_power"),
        (telemetry_of(W="1"), "bad_value"),
        (telemetry_of(timestamp="yesterday"), "bad_time"),
        (telemetry_of(timestamp="2036-03-02T12:00:05Z"), "in_the_future"),
    ],
)
async def test_the_sandbox_drops_what_is_not_good(tmp_path, payload, reason):
    async with world(tmp_path) as made:
        network = await made.life()
        where = topic(sandbox.SERIAL, der("solar")).encode()
        await network.send(where + b"\n" + payload)
        assert made.ledger.refused == {reason: 1}
        assert not made.ledger.taken


async def test_the_sandbox_drops_other_topics_and_second_stories(tmp_path):
    async with world(tmp_path) as made:
        network = await made.life()
        where = topic(sandbox.SERIAL, der("solar")).encode()
        for whose in (b"elsewhere", topic("another", der("solar")).encode()):
            await network.send(whose + b"\n" + telemetry_of())
        await network.line.publish(where.decode(), telemetry_of(), retain=True)
        made.nova.provisioned = {"x"}
        await network.send(where + b"\n" + telemetry_of())
        assert made.ledger.refused == {"bad_topic": 2, "retained": 1, "unprovisioned": 1}
        made.nova.provisioned = {"h"}
        await network.send(where + b"\n" + telemetry_of())
        await network.send(where + b"\n" + telemetry_of(W=-1))
        assert len(made.ledger.conflicts) == 1


async def test_the_inventory_is_told_on_connection_on_change_and_every_quarter_hour(tmp_path):
    async with world(tmp_path) as made:
        network = await made.life()
        await network.reconcile(-1)
        assert made.nova.server.connects == 0  # nothing to tell yet
        await network.validate([report()], {})
        for minutes, expected in ((0, 1), (1, 1), (13, 1), (1, 2), (14, 2)):
            made.clock.ms += minutes * 60_000
            await network.reconcile(-1)
            assert len(made.nova.inventories) == expected
        await network.validate([report(device="1", role="grid")], {})
        await network.reconcile(-1)
        assert [one["type"] for one in made.nova.inventories[-1]["drivers"]] == ["solar", "meter"]
        await network.line.close()
        await network.line.open()
        await network.reconcile(-1)
        await network.reconcile(-1)
        assert len(made.nova.inventories) == 4
        assert list(made.nova.server.retained) == [f"gateways/{sandbox.SERIAL}/inventory/drivers/json/v1"]
        silent = await made.life(inventory=False)
        await silent.validate([report()], {})
        await silent.reconcile(-1)
        assert len(made.nova.inventories) == 4


def test_an_inventory_that_is_too_long_says_how_many_it_omits():
    ders = [der("solar", hardware_id="h" * 64, name=f"{n:064}", make="m" * 64, model="m" * 64) for n in range(500)]
    data = inventory("g", NOON_MS, ders)
    value = json.loads(data)
    assert len(data) <= 128 * 1024
    assert value["omitted"] + len(value["drivers"]) == 500


async def test_checking_says_what_is_missing(tmp_path, free_ports):
    async with world(tmp_path) as made:
        assert [check.ok for check in await (await made.life()).check()] == [True, True, True]
        assert [check.ok for check in await (await made.life(signer=OTHER, ders={})).check()] == [True, False, False]
        assert POINT.hex() in (await (await made.life()).check())[0].text
        with pytest.raises(ConfigError, match=r"settings\.schema"):
            await made.life(schema="new")
        config = NetworkConfig(name="s", kind="sourceful", url="http://x", settings={})
        with pytest.raises(ConfigError, match="mqtt://"):
            async with open_network(config, SIGNER, Sources(None, None, None, Clock(), tmp_path)):
                pass


async def test_through_a_real_broker(tmp_path, free_ports, monkeypatch):
    """The login there is the broker's own: what reaches Nova behind it is what the sandbox would have taken."""
    nova = sandbox.Nova(SIGNER.public_key, civilclock.Clock(), Faults())

    async def readings(_key, _device, a, _b):
        return [Reading(a, PV)]

    async with Broker(tmp_path / "broker", f"127.0.0.1:{free_ports(1)[0]}", []) as broker:
        place = broker.endpoint

        async def token(*_):
            return place.password

        monkeypatch.setattr("wattness.networks.sourceful.mint", token)
        settings = {"serial": place.user, "ders": {"*": {}}}
        config = NetworkConfig(name="s", kind="sourceful", url=f"mqtt://{place.host}:{place.port}", settings=settings)
        sources = Sources(None, None, readings, Clock(), tmp_path)
        async with connection(place, None) as client, open_network(config, SIGNER, sources) as network:
            await client.subscribe("gateways/#", qos=1)
            assert await network.send(await signed(network, report()))
            await network.reconcile(-1)
            came = [await anext(client.messages) for _ in range(2)]
    state, at_ms = sandbox.read_state(came[0].payload)
    assert (state["W"], at_ms) == (-3100, NOON_MS)
    assert sandbox.INVENTORY.fullmatch(came[1].topic.value)
    assert nova.ledger.counts()["taken"] == 0
    assert isinstance(came[0], aiomqtt.Message)


async def test_a_claim_is_signed_by_the_gateways_key():
    made = await claim(SIGNER, "wattness-1", Claimer("idt-1", "org-1"), 1_790_000_000)
    assert made["public_key"] == POINT.hex()
    assert sandbox.read_claim(made, 1_790_000_030) == ("wattness-1", "idt-1")
    for wrong in ({"gateway_serial": "other"}, {"public_key": OTHER.public_key[1:].hex()}, {"org_id": ""}):
        with pytest.raises(sandbox.BadMessageError, match="bad_claim"):
            sandbox.read_claim(made | wrong, 1_790_000_000)


def test_an_operator_gets_the_claim_from_the_command_line(tmp_path, monkeypatch, capsys):
    entry = '[[network]]\nname = "{}"\nkind = "{}"\nurl = "{}://x"\n'
    (tmp_path / "gateway.toml").write_text(
        entry.format("nova", "sourceful", "mqtt") + entry.format("w", "wattnet", "http")
    )
    key = tmp_path / "nova.key"
    key.touch(mode=0o600)
    key.write_bytes(SIGNER._secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["wattness", "--home", str(tmp_path), "network", "claim", *words])
        monkeypatch.setattr(os, "umask", lambda _: 0)
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    code, out, _ = run("nova", "--claimer", "idt-1", "--org", "org-1")
    assert code == 0
    serial, claimer = sandbox.read_claim(json.loads(out), Clock().now_ms() // 1000)
    assert (claimer, json.loads(out)["public_key"]) == ("idt-1", POINT.hex())
    assert serial.startswith("wattness-")
    for words, said in (
        (("w", "--claimer", "i", "--org", "o"), "kind wattnet"),
        (("nova", "--claimer", "a|b", "--org", "o"), "|"),
    ):
        code, _, error = run(*words)
        assert code == 2
        assert said in error


async def test_checking_does_not_end_the_gateways_own_connection(tmp_path):
    async with world(tmp_path) as made:
        network = await made.life()
        await network.send(await signed(network, report()))
        await (await made.life()).check()
        await network.send(await signed(network, report(1)))
        assert sorted(made.nova.clients) == [f"wattness-nova-{sandbox.SERIAL}", f"wattness-nova-{sandbox.SERIAL}-check"]
