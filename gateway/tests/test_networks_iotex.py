"""IoTeX tasks: the known answer that Go and Python agree on, what is told of a window, and its server's checks."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from civilclock import Clock as SandboxClock
from emulator.networks import iotex as sandbox
from emulator.networks.base import Ledger
from emulator.networks.cloudevents import BadEventError, raw_members
from wattness.clock import Clock
from wattness.config import NetworkConfig
from wattness.errors import ConfigError, RefusedError, UnavailableError
from wattness.keys.held import HeldSecp256k1
from wattness.model import Report
from wattness.networks import iotex
from wattness.networks.base import Sources
from wattness.networks.http import Answer
from wattness.networks.slots import slot
from wattnet.faults import Faults

START = 1_790_035_200_000
LENGTH = 300_000
SIGNER = HeldSecp256k1(ec.derive_private_key(4662, ec.SECP256K1()))
KNOWN = (
    b'{"nonce":1700000000,"projectID":"6","payload":{"timestamp":1700000000,"note":"a<b&c","data":"0x0102"}}',
    b'{"nonce":1700000000,"projectID":"6","payload":{"timestamp":1700000000,"note":"a\\u003cb\\u0026c","data":"0x0102"}}',
)
KNOWN_FIRST = "b01a0c6cc738a25457c83325fc4d5f947136fb5713dd1587db508e65d7efabbc"
KNOWN_DIGEST = "5c0ca6489ea0ab3b966733f40d717c5ff077fbd5d2861c2edc6a4a1084addf9a"
KNOWN_SIGNATURE = (
    "0xe8c1a22425aa28db2074ef9ba290f4c5acbea00946a0e7223597ed58ab4f23d5"
    "17c3c212a2665bc749dad2780e9f21c831dfcf6c13428dab44ab6a88ac89797d"
)
KNOWN_TASK = "0x31d1cd5219cc4dc545c2c70fd585908382ab180df721268766f5b7dae1327b64"


def report(number: int = 0, energy_mwh: int = 1000, **changes) -> Report:
    a = START + number * LENGTH
    figures = {"covered_ms": LENGTH, "energy": {"energy_import": energy_mwh}, "rows": 5}
    value = {"device": "0", "role": "load", "profile": "x", "a": a, "b": a + LENGTH, "figures": figures}
    return Report(bytes(range(32)), **(value | {"evidence": [[1, 1, 7]], "root": bytes([number]) * 32} | changes))


class Rig:
    """A served API and adapters to it."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack

    async def serve(self, *script: str) -> None:
        serving = sandbox.serving(SIGNER.public_key, SandboxClock(), Faults(script=list(script)))
        self.served = await self.stack.enter_async_context(serving)
        self.ledger = self.served.ledger

    async def open(self, signer=SIGNER, **settings) -> iotex.IotexNetwork:
        wanted = self.served.settings | settings
        config = NetworkConfig(name="tasks", kind="iotex", url=self.served.url, settings=wanted)
        sources = Sources(None, None, None, Clock(), None)
        return await self.stack.enter_async_context(iotex.open_network(config, signer, sources))


@pytest.fixture
async def rig(monkeypatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(iotex, "TIMEOUT_S", 0.5)
    async with AsyncExitStack() as stack:
        made = Rig(stack)
        await made.serve()
        yield made


# Known answers.


async def test_the_known_task_is_signed_as_go_signs_it(rig):
    as_sent, as_signed = KNOWN
    assert iotex.go_json(as_sent) == as_signed
    assert iotex.digest(as_sent, []).hex() == KNOWN_FIRST
    assert iotex.digest(as_sent, ["timestamp"]).hex() == KNOWN_DIGEST
    signed = await (await rig.open()).sign(as_sent)
    assert json.loads(signed)["signature"] == KNOWN_SIGNATURE
    assert KNOWN_TASK in iotex.task_ids(signed)


def test_the_sandbox_knows_the_answer_by_itself():
    members = raw_members(KNOWN[0].replace(b",", b" ,\n ").replace(b":1", b" : 1"))
    first, digest = sandbox.request_digest(members, ["timestamp"])
    assert (first.hex(), digest.hex()) == (KNOWN_FIRST, KNOWN_DIGEST)
    signature = bytes.fromhex(KNOWN_SIGNATURE[2:])
    bit = sandbox.recovery(digest, signature, SIGNER.public_key)
    assert "0x" + sandbox.keccak(signature + bytes((bit,))).hex() == KNOWN_TASK


TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from('<>&\u2028\u2029"\\ \n'), max_size=20)


@given(st.dictionaries(TEXT, TEXT | st.integers(0, 2**64 - 1), max_size=5), st.integers(0, 2**64 - 1))
def test_both_write_json_as_go_does(values, at):
    task = {"nonce": at, "projectID": "6", "payload": values | {"timestamp": at}}
    body = json.dumps(task, separators=(",", ":"), ensure_ascii=False).encode()
    first, digest = sandbox.request_digest(raw_members(body), ["timestamp"])
    assert iotex.digest(body, []) == first
    assert iotex.digest(body, ["timestamp"]) == digest
    assert not set("<>&\u2028\u2029") & set(iotex.go_json(body).decode())
    assert json.loads(iotex.go_json(body)) == task


MEMBER = (
    st.none()
    | st.integers()
    | st.floats()
    | TEXT
    | st.just("923")
    | st.sampled_from(["0x" + "11" * 64, "0x" + "zz" * 64])
)
PAYLOAD = MEMBER | st.lists(MEMBER, max_size=2) | st.dictionaries(st.just("timestamp") | TEXT, MEMBER, max_size=3)


@given(st.fixed_dictionaries(dict.fromkeys(("nonce", "projectID", "payload", "signature"), MEMBER | PAYLOAD)))
def test_the_sandbox_hears_anything(task):
    tasks = sandbox.Tasks(Ledger(), SIGNER.public_key)
    with pytest.raises((sandbox.BadTaskError, BadEventError)):
        tasks._take(json.dumps(task).encode())


# What is told.


async def test_a_window_is_one_task(rig):
    network = await rig.open(project_version="v1.0")
    draft = await network.validate([report(0), report(1, 250), report(2, 9, verdict="quarantined")], {})
    task = json.loads(draft.body)
    assert list(task) == ["nonce", "projectID", "projectVersion", "payload"]
    assert task["payload"] == {
        "timestamp": START // 1000 + 600,
        "from": START // 1000,
        "to": START // 1000 + 600,
        "energyImportMilliWh": 1250,
        "coveredMs": 600_000,
        "role": "load",
        "board": bytes(range(32)).hex(),
        "device": "0",
        "root": "01" * 32,
        "provenance": "board",
    }


@given(st.lists(st.integers(0, 2**50), min_size=1, max_size=12))
def test_no_energy_is_lost_on_the_way(energies):
    reports = [report(number, energy) for number, energy in enumerate(energies)]
    made = iotex.payload(reports)
    assert made["energyImportMilliWh"] == sum(energies)
    assert "energyExportMilliWh" not in made  # what was not metered is not zero


async def test_what_a_project_needs_and_we_do_not_know_is_never_sent(rig):
    network = await rig.open(project_id="7", signed_keys=["timestamp", "energyImportMilliWh"])
    with pytest.raises(RefusedError, match="missing_signed_value"):
        await network.validate([report(figures={"covered_ms": 0, "energy": {}})], {})
    with pytest.raises(RefusedError, match="quarantined"):
        await network.validate([report(verdict="quarantined", reasons=["future_time"])], {})
    for value in (-1, 2**64, True, "5"):
        body = json.dumps({"payload": {"timestamp": value}}).encode()
        with pytest.raises(RefusedError, match="missing_signed_value"):
            iotex.digest(body, ["timestamp"])


def test_a_slot_is_one_and_the_same():
    assert slot([report(0)], 0) == slot([report(0, 7)], 0)
    assert slot([report(0), report(1)], 3600) == slot([report(1)], 3600)  # a life that lacks an interval
    assert len({slot([report(at, device=unit)], 0) for at in range(20) for unit in ("0", "1", "a1")}) == 60


# Its server.


async def signed_by(network, *reports) -> bytes:
    return await network.sign((await network.validate(reports or [report()], {})).body)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"project_version": "v2"},
        {"project_id": "7", "signed_keys": ["timestamp", "energyImportMilliWh"]},
        {"project_id": "8", "signed_keys": []},
    ],
)
async def test_everything_good_is_taken_and_the_same_again_changes_nothing(rig, settings):
    network = await rig.open(**settings)
    for number in range(3):
        signed = await signed_by(network, report(number))
        assert signed == await signed_by(network, report(number))
        receipt = await network.send(signed)
        assert receipt.id in iotex.task_ids(signed)
        assert await network.send(signed) == receipt
    assert rig.ledger.counts() == {"taken": 3, "again": 3, "conflicts": 0, "refused": {}}


async def test_a_task_of_an_earlier_life_is_found(rig):
    network = await rig.open()
    assert await network.find([report()]) is None
    receipt = await network.send(await signed_by(network))
    assert (await (await rig.open()).find([report()])).id == receipt.id


@pytest.mark.parametrize("word", ["error", "late_error", "lost", "timeout", "busy"])
async def test_trouble_is_for_later_with_the_same_bytes(rig, word):
    await rig.serve(word)
    network = await rig.open()
    signed = await signed_by(network)
    with pytest.raises(UnavailableError):
        await network.send(signed)
    await network.send(signed)
    assert len(rig.ledger.taken) == 1
    assert not rig.ledger.conflicts


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"energyImportMilliWh":1000', b'"energyImportMilliWh":9000', "bad_signature"),
        (b'"timestamp":1790035500', b'"timestamp":1790035501', "bad_signature"),
        (b'"timestamp":1790035500,', b"", "missing_signed_key"),
        (b'"timestamp":1790035500', b'"timestamp":-1', "missing_signed_key"),
        (b'"projectID":"923"', b'"projectID":923', "bad_request"),
        (b'"payload"', b'"pay"', "bad_request"),
        (b'"signature":"0x', b'"signature":"', "bad_signature"),
        (b"}", b"", "bad_json"),
    ],
)
async def test_a_bad_task_is_refused_for_good(rig, old, new, reason):
    network = await rig.open()
    signed = await signed_by(network)
    assert old in signed
    with pytest.raises(RefusedError) as caught:
        await network.send(signed.replace(old, new, 1))
    assert (caught.value.reason, reason in str(caught.value)) == ("http_400", True)
    assert rig.ledger.refused == {reason: 1}


async def test_only_the_low_one_of_two_signatures_counts(rig):
    network = await rig.open()
    signed = await signed_by(network)
    text = json.loads(signed)["signature"]
    other = f"{text[:66]}{sandbox.ORDER - int(text[66:], 16):064x}"
    with pytest.raises(RefusedError, match="high_s"):
        await network.send(signed.replace(text.encode(), other.encode()))


async def test_a_project_that_has_not_approved_us_costs_no_report(rig):
    network = await rig.open(project_id="6")
    with pytest.raises(UnavailableError, match="must approve this device"):
        await network.send(await signed_by(network))


async def test_another_device_is_refused(rig):
    network = await rig.open(HeldSecp256k1(ec.derive_private_key(7, ec.SECP256K1())))
    with pytest.raises(RefusedError, match="bad_signature"):
        await network.send(await signed_by(network))


async def test_other_bytes_under_the_same_nonce_are_a_conflict(rig):
    network = await rig.open()
    await network.send(await signed_by(network, report(0)))
    with pytest.raises(RefusedError, match="nonce_taken"):
        await network.send(await signed_by(network, report(0, 1001)))
    assert len(rig.ledger.conflicts) == 1


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", b'{"taskID":5}', b'{"taskID":"0x12"}', b'{"taskID":"0x' + b"a" * 64 + b'"}']
)
async def test_an_answer_about_something_else_is_no_receipt(rig, monkeypatch, answer):
    network = await rig.open()
    signed = await signed_by(network)

    async def said(*_, **__):
        return Answer(200, answer)

    monkeypatch.setattr(network.client, "exchange", said)
    with pytest.raises(UnavailableError):
        await network.send(signed)


async def test_check_tells_of_key_clock_endpoint_and_gate(rig):
    found = {check.subject: check for check in await (await rig.open()).check()}
    assert found.keys() == {"key", "clock", "endpoint", "gate"}
    assert all(check.ok for check in found.values())
    assert "did:io:0x499f455fed78a78fd462a617974fa494fa31d000" in found["key"].text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"project_id": ""}, r"settings\.project_id"),
        ({"project_id": "6<"}, r"settings\.project_id"),
        ({"signed_keys": ["latitude"]}, r"settings\.signed_keys: 'latitude'"),
        ({"project": "6"}, r"settings"),
    ],
)
async def test_wrong_settings_are_named(rig, settings, message):
    with pytest.raises(ConfigError, match=message):
        await rig.open(**settings)
