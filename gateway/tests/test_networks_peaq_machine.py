"""peaq: the heartbeat, what `check` tells, settings, and each kind of bad event that the sandbox refuses."""

import runpy
from pathlib import Path

import pytest

from emulator.networks import peaq as sandbox
from wattness.config import NetworkConfig
from wattness.errors import ConfigError, RefusedError, UnavailableError
from wattness.networks import evm
from wattness.networks.peaq import Settings, open_network

WORLD = runpy.run_path(str(Path(__file__).with_name("peaq_world.py")))
SET, SIGNER, OTHER = WORLD["SET"], WORLD["SIGNER"], WORLD["OTHER"]
report, signed, sources, world = WORLD["report"], WORLD["signed"], WORLD["sources"], WORLD["world"]


async def test_the_machine_says_that_it_is_there():
    async with world() as (network, ledger, node):
        await network.reconcile(-1)
        await network.reconcile(-1)  # not due yet
        assert node.heartbeats == 1
        assert not ledger.refused


async def test_a_heartbeat_by_another_key_or_digest_is_refused():
    async with world(signer=OTHER) as (network, ledger, _):
        with pytest.raises(RefusedError, match="wrong_signer"):
            await network.reconcile(-1)
        assert ledger.refused == {"heartbeat_wrong_signer": 1}
    async with world(heartbeat_signature="keccak256") as (network, _, _):
        with pytest.raises(RefusedError, match="wrong_signer"):
            await network.reconcile(-1)


async def test_check_tells_what_is_right_and_submits_nothing():
    async with world() as (network, ledger, node):
        checks = await network.check()
        assert all(check.ok for check in checks), checks
        assert {check.subject for check in checks} == {"key", "endpoint", "clock", "gate"}
        node.active = False
        gate = [check for check in await network.check() if not check.ok]
        assert ["subscription" in check.text for check in gate] == [True]
        assert ledger.counts() == {"taken": 0, "again": 0, "conflicts": 0, "refused": {}}
    async with world(chain_id=5, signer=OTHER) as (network, _, _):
        wrong = [check.text for check in await network.check() if not check.ok]
        assert wrong[0].startswith("This is chain 31338")


async def test_no_node_is_said_in_one_sentence():
    config = NetworkConfig(name="p", kind="peaq", url="http://127.0.0.1:1", settings=SET)
    async with open_network(config, SIGNER, sources()) as network:
        assert [check.ok for check in await network.check()] == [True, False]
        body, _ = await signed(network, report())
        with pytest.raises(UnavailableError):
            await network.send(body)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chain_id": 3338}, "production = true"),
        ({"registry": "0x12"}, r"settings\.registry"),
        ({"tip_max_gwei": 200}, "tip_max_gwei"),
        ({"heartbeat_url": "ftp://x"}, "heartbeat_url"),
        ({"unknown": 1}, "unknown"),
    ],
)
async def test_settings_that_cannot_be_are_named(changes, words):
    config = NetworkConfig(name="p", kind="peaq", url="http://127.0.0.1:1", settings=SET | changes)
    with pytest.raises(ConfigError, match=words):
        async with open_network(config, SIGNER, sources()):
            pass


async def raw_event(node, **changes):
    """Send an event that the adapter would not make."""
    event = {"machine": 4711, "type": 1, "currency": "", "at": 1_790_000_000, "trust": 0, "chain": 0} | changes
    about = (event["machine"], event["type"], 0, event["currency"], event["at"], bytes(32), event["trust"])
    data = evm.call_data(sandbox_call(), *about, event["chain"], bytes(32), b"")
    call = evm.Call(bytes.fromhex(sandbox.REGISTRY[2:]), data)
    message = evm.unsigned(sandbox.CHAIN_ID, 0, Settings(**SET).fees(), call)
    node.take("0x" + (await evm.signed(message, SIGNER)).hex())


def sandbox_call():
    return "submitEvent(uint256,uint8,uint256,string,uint256,bytes32,uint8,uint256,bytes32,bytes)"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"machine": 1}, "not_owner"),
        ({"type": 2}, "bad_type"),
        ({"currency": "EUR"}, "bad_currency"),
        ({"type": 0, "currency": "eur"}, "bad_currency"),
        ({"trust": 1}, "bad_trust"),
        ({"chain": 1}, "bad_source"),
        ({"at": 2**40}, "bad_time"),
    ],
)
async def test_the_sandbox_refuses_every_kind_of_bad_event(changes, reason):
    async with world() as (_, ledger, node):
        await raw_event(node, **changes)
        assert ledger.refused == {reason: 1}
        assert not ledger.taken
