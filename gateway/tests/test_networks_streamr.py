"""Streamr: a window becomes one message, which a node takes with its API key."""

import json
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.networks import streamr as sandbox
from wattness.clock import Clock
from wattness.config import NetworkConfig
from wattness.errors import ConfigError, RefusedError, UnavailableError
from wattness.model import Report
from wattness.networks import streamr
from wattness.networks.base import Sources
from wattness.networks.streamr import message, open_network
from wattnet.faults import Faults

NOON_MS, STEP_MS = 1_790_000_100_000, 300_000
POWER = {"n": 30, "min": -4000, "max": 3_130_000, "mean": 2_665_842}


def report(index=0, mwh=222_083, **changes):
    a = NOON_MS + index * STEP_MS
    figures = {"energy": {"energy_export": mwh}, "covered_ms": STEP_MS - index, "power": POWER}
    about = {"board_key": bytes(range(32)), "device": "0", "role": "pv", "profile": "sunspec", "a": a}
    about |= {"b": a + STEP_MS, "figures": figures, "evidence": [[1, 1, 9]], "root": bytes([index]) * 32}
    return Report(**(about | changes))


@asynccontextmanager
async def world(folder, *script, **changes):
    node = sandbox.Node()
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(sandbox.serving_node(node, Faults(script=list(script))))
        config = NetworkConfig(name="s", kind="streamr", url=served.url, settings=served.settings | changes)
        sources = Sources(None, None, None, Clock(), folder)
        yield await stack.enter_async_context(open_network(config, None, sources)), node


async def signed(network, *reports):
    return await network.sign((await network.validate(reports, {})).body)


def test_a_message_byte_for_byte():
    assert json.dumps(message([report()]), separators=(",", ":")) == (
        f'{{"id":"{bytes(range(32)).hex()}/0/1790000100000","board":"{bytes(range(32)).hex()}","device":"0",'
        '"role":"pv","a":1790000100000,"b":1790000400000,"covered_ms":300000,"energy_mwh":{"energy_export":222083},'
        '"power_mw":{"min":-4000,"max":3130000,"mean":2665842},"flagged":[],"provenance":"board",'
        f'"roots":["{"00" * 32}"],"rules":1}}'
    )


def test_a_window_adds_up_and_leaves_out_what_is_not_good():
    told = message(
        [
            report(0, 10),
            report(1, 20, verdict="quarantined", reasons=["night"]),
            report(2, 30, verdict="flagged", reasons=["clock_step"]),
            report(3, 40, figures={"energy": {"energy_export": 0}, "covered_ms": 0}),
            report(4, 50, figures={"energy": {"energy_import": 7}, "covered_ms": 1}),
        ]
    )
    assert told["energy_mwh"] == {"energy_export": 40, "energy_import": 7}
    assert told["covered_ms"] == 2 * STEP_MS - 2 + 1
    assert (told["a"], told["b"]) == (NOON_MS, NOON_MS + 5 * STEP_MS)
    assert told["flagged"] == ["clock_step"]
    assert [root[:2] for root in told["roots"]] == ["00", "02", "04"]


def test_what_was_not_measured_is_not_told_as_zero():
    bare = {"energy": {}, "covered_ms": 5}
    assert "power_mw" not in message([report(figures=bare)])
    assert message([report(figures=bare)])["energy_mwh"] == {}
    with pytest.raises(RefusedError, match="not_covered"):
        message([report(figures={"energy": {}, "covered_ms": 0})])
    with pytest.raises(RefusedError, match="quarantined: night"):
        message([report(verdict="quarantined", reasons=["night"])])


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=12))
def test_every_message_is_one_that_subscribers_understand(energies):
    body = json.dumps(message([report(index, mwh) for index, mwh in enumerate(energies)])).encode()
    read = sandbox.read_message("application/json", body)
    assert read.energy_mwh == {"energy_export": sum(energies)}
    assert read.power_mw["mean"] == POWER["mean"]


async def test_messages_are_published_once(tmp_path):
    async with world(tmp_path) as (network, node):
        for index in range(3):
            body = await signed(network, report(index))
            receipt = await network.send(body)
            assert receipt.id.endswith(f"/0/{NOON_MS + index * STEP_MS}")
        assert [one.a for one in node.published] == [NOON_MS + index * STEP_MS for index in range(3)]
        assert node.ledger.counts() == {"taken": 3, "again": 0, "conflicts": 0, "refused": {}}
        assert [check.ok for check in await network.check()] == [True, True, True, True]
        assert await network.find([report()]) is None
        assert (await network.reconcile(-1)).rewards == []


@pytest.mark.parametrize("fate", ["lost", "late_error", "timeout", "error", "busy"])
async def test_without_an_answer_the_same_bytes_go_again(tmp_path, monkeypatch, fate):
    monkeypatch.setattr(streamr, "TIMEOUT_S", 0.3)
    async with world(tmp_path, fate) as (network, node):
        body = await signed(network, report())
        with pytest.raises(UnavailableError):
            await network.send(body)
        await network.send(body)
        again = int(fate in {"lost", "late_error"})
        assert node.ledger.counts() == {"taken": 1, "again": again, "conflicts": 0, "refused": {}}


async def test_a_bad_message_is_final_and_a_wrong_key_is_not(tmp_path):
    async with world(tmp_path) as (network, node):
        with pytest.raises(RefusedError, match="http_400"):
            await network.send(b'{"id":""}')
        assert node.ledger.refused == {"bad_message": 1}
    wrong = tmp_path / "key"
    wrong.write_text("another")
    wrong.chmod(0o600)
    for changes, reason in (({"api_key_file": "key"}, "bad_api_key"), ({"stream": "0x1/x"}, "no_publish_grant")):
        async with world(tmp_path, **changes) as (network, node):
            with pytest.raises(UnavailableError, match="API key"):
                await network.send(await signed(network, report()))
            assert node.ledger.refused == {reason: 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"b": 0}, "bad_times"),
        ({"covered_ms": 10**9}, "bad_times"),
        ({"id": "x"}, "bad_id"),
        ({"energy_mwh": {"energy_export": -1}}, "bad_message"),
        ({"energy_mwh": {"energy_export": 1.5}}, "bad_message"),
        ({"more": 1}, "bad_message"),
    ],
)
def test_the_sandbox_refuses_what_subscribers_were_not_promised(change, reason):
    body = json.dumps(message([report()]) | change).encode()
    with pytest.raises(ValueError, match=reason):
        sandbox.read_message("application/json", body)


def test_the_sandbox_refuses_what_is_no_json():
    for kind, body, reason in (("text/plain", b"{}", "bad_content_type"), ("application/json", b"{", "bad_json")):
        with pytest.raises(ValueError, match=reason):
            sandbox.read_message(kind, body)


async def test_a_message_that_is_too_long_is_refused_here(tmp_path, monkeypatch):
    monkeypatch.setattr(streamr, "MESSAGE_BYTES_MAX", 2000)
    async with world(tmp_path) as (network, _):
        with pytest.raises(RefusedError, match="window_s"):
            await network.validate([report(index) for index in range(60)], {})


async def test_the_api_key_is_the_owners_alone(tmp_path):
    file = tmp_path / "key"
    for text, mode, reason in (
        ("secret", 0o644, "chmod 600"),
        ("", 0o600, "must hold one line"),
        ("a\nb", 0o600, "one line"),
    ):
        file.write_text(text)
        file.chmod(mode)
        with pytest.raises(ConfigError, match=reason):
            async with world(tmp_path, api_key_file="key"):
                pass
    for wrong in ({"api_key_file": "missing"}, {"path": "streams"}, {"nonsense": 1}, {"stream": ""}):
        with pytest.raises(ConfigError):
            async with world(tmp_path, **wrong):
                pass
