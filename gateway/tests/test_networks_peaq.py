"""peaq: what the adapter sends is what the sandbox takes, once, whatever happens on the way."""

import asyncio
import json
import runpy
from pathlib import Path

import pytest
from eth_account import Account
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from emulator.networks.peaq_events import parse_event
from wattness.errors import OutdatedError, RefusedError, UnavailableError
from wattness.networks.peaq import Settings, make_event

WORLD = runpy.run_path(str(Path(__file__).with_name("peaq_world.py")))
SET, NOON_MS, STEP_MS, OTHER = WORLD["SET"], WORLD["NOON_MS"], WORLD["STEP_MS"], WORLD["OTHER"]
report, signed, world = WORLD["report"], WORLD["signed"], WORLD["world"]


async def test_a_day_becomes_one_event_with_the_hash_of_its_exact_bytes():
    async with world() as (network, ledger, node):
        body, memory = await signed(network, *(report(index) for index in range(4)))
        receipt = await network.send(body)
        (key,) = ledger.taken
        assert key == f"4711/{keccak(receipt.detail['data'].encode()).hex()}"
        assert memory == {"nonce": 1}
        event = parse_event(node.mined[receipt.id].fields["data"])
        assert (event.event_type, event.value, event.currency, event.trust_level) == (1, 0, "", 0)
        assert (event.source_chain_id, event.source_tx_hash, event.metadata) == (0, bytes(32), b"")
        assert event.timestamp_s * 1000 == NOON_MS + 4 * STEP_MS
        data = json.loads(receipt.detail["data"])
        assert data["streams"][0]["energy_mwh"] == {"energy_export": 4 * 125_500}
        assert node.mined[receipt.id].sender == Account.from_key((4662).to_bytes(32, "big")).address


async def test_the_same_bytes_again_are_the_same_event():
    async with world() as (network, ledger, _):
        body, _ = await signed(network, report())
        first, second = await network.send(body), await network.send(body)
        assert first == second
        assert len(ledger.taken) == 1
        assert not ledger.conflicts
        again, _ = await signed(network, report())
        assert again == body  # signatures are deterministic, and so are the figures


@pytest.mark.parametrize("fate", ["error", "late_error", "lost", "busy"])
async def test_what_goes_wrong_on_the_way_costs_nothing(fate):
    async with world([fate]) as (network, ledger, _):
        body, _ = await signed(network, report())
        with pytest.raises(UnavailableError):
            await network.send(body)
        await network.send(body)
        assert len(ledger.taken) == 1
        assert not ledger.conflicts


async def test_a_transaction_that_waits_in_the_pool_is_waited_for():
    async with world(["late_error"]) as (network, ledger, _):
        body, _ = await signed(network, report())
        with pytest.raises(UnavailableError):
            await network.send(body)  # taken; this time the node says that it knows it, or it is in a block by now
        assert (await network.send(body)).detail["block"] > 0
        assert len(ledger.taken) == 1


async def until_right(network, reports, memory):
    """Do as the engine does: the same bytes until the network knows, or new ones once it proves that it never will."""
    for _ in range(50):
        body, after = await signed(network, *reports, memory=memory)
        while True:
            try:
                return await network.send(body), after
            except UnavailableError:
                await asyncio.sleep(0.03)
            except OutdatedError as error:
                memory = error.memory
                break
    raise AssertionError("never delivered")


async def test_a_ledger_that_forgot_its_nonce_learns_it_and_sends_once():
    async with world() as (network, ledger, _):
        _, memory = await until_right(network, [report(0)], {})
        await until_right(network, [report(1)], memory)
        receipt, memory = await until_right(network, [report(2)], {})
        assert memory == {"nonce": 3}
        assert len(ledger.taken) == 3
        assert not ledger.conflicts
        assert receipt.detail["data"]


async def test_a_nonce_whose_report_was_given_up_leaves_no_gap():
    async with world() as (network, ledger, _):
        _, memory = await until_right(network, [report(0)], {"nonce": 5})
        assert memory == {"nonce": 1}
        assert list(ledger.taken)


async def test_a_nonce_that_is_not_expected_is_never_sent():
    async with world(forget_blocks=1000) as (network, ledger, _):
        body, _ = await signed(network, report(), memory={"nonce": 3})
        for _ in range(3):
            with pytest.raises(UnavailableError, match="blocks to be sure"):
                await network.send(body)
        assert not ledger.refused
        assert not ledger.taken


async def test_a_revert_is_final_and_says_why():
    async with world(machine_id=4712) as (network, ledger, _):
        body, memory = await signed(network, report())
        with pytest.raises(RefusedError, match="not owner"):
            await network.send(body)
        with pytest.raises(RefusedError, match="not owner"):
            await network.send(body)
        assert ledger.refused == {"not_owner": 1}
        assert memory == {"nonce": 1}  # a reverted transaction uses its nonce


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda kept: kept | {"data": kept["data"].replace("125500", "125501")}, "damaged"),
        (lambda kept: kept | {"transaction": kept["transaction"][:-1] + "0"}, "not_ours"),
        (lambda kept: kept | {"transaction": kept["transaction"][:-2]}, "damaged"),
        (lambda kept: kept | {"transaction": "0xzz"}, "damaged"),
        (lambda kept: {"data": kept["data"]}, "damaged"),
    ],
)
async def test_what_the_disk_spoilt_is_never_sent(change, reason):
    async with world() as (network, ledger, _):
        body, _ = await signed(network, report())
        with pytest.raises(RefusedError, match=reason):
            await network.send(json.dumps(change(json.loads(body))).encode())
        assert not ledger.taken
        assert not ledger.refused


async def test_an_account_without_coin_waits_for_it():
    async with world(signer=OTHER) as (network, ledger, _):
        body, _ = await signed(network, report())
        with pytest.raises(UnavailableError, match="send this account coin"):
            await network.send(body)
        assert ledger.refused == {"no_funds": 1}


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"chain_id": 5}, RefusedError, "wrong_chain"),
        ({"gas_max": 21_000}, RefusedError, "gas"),
    ],
)
async def test_what_the_node_will_never_take_is_final(changes, error, reason):
    async with world(**changes) as (network, ledger, _):
        body, _ = await signed(network, report())
        with pytest.raises(error):
            await network.send(body)
        assert ledger.refused == {reason: 1}


async def test_what_was_sent_before_a_backup_was_restored_is_found():
    async with world() as (network, ledger, node):
        receipts, memory = [], {}
        now_ms = node.clock.now_ms()
        reports = [report(index, a=now_ms - STEP_MS, b=now_ms, device=str(index)) for index in range(3)]
        for one in reports[:2]:
            receipt, memory = await until_right(network, [one], memory)
            receipts.append(receipt)
        assert [await network.find([one]) for one in reports] == [*receipts, None]
        assert len(ledger.taken) == 2


async def test_what_was_reverted_is_not_found():
    async with world(machine_id=4712) as (network, _, node):
        now_ms = node.clock.now_ms()
        one = report(a=now_ms - STEP_MS, b=now_ms)
        body, _ = await signed(network, one)
        with pytest.raises(RefusedError):
            await network.send(body)
        assert await network.find([one]) is None


async def test_a_quarantined_interval_is_left_out_and_a_window_of_them_refused():
    async with world() as (network, _, _):
        bad = report(1, verdict="quarantined", reasons=["night"])
        draft = await network.validate([report(0), bad], {})
        assert json.loads(json.loads(draft.body)["data"])["streams"][0]["intervals"] == 1
        with pytest.raises(RefusedError, match="quarantined"):
            await network.validate([bad], {})


@pytest.mark.parametrize(
    ("changes", "value", "trust"),
    [
        ({"value": "generation_wh"}, 125, 0),
        ({"trust_level": 2}, 0, 2),
    ],
)
def test_value_and_trust_are_settings(changes, value, trust):
    event = make_event([report()], Settings(**(SET | changes)))
    assert (event.value, event.trust_level) == (value, trust)


def test_what_a_gateway_read_itself_is_never_called_hardware():
    event = make_event([report(), report(1, provenance="gateway")], Settings(**SET, trust_level=2))
    assert event.trust_level == 0


ENERGY = st.dictionaries(st.sampled_from(["energy_import", "energy_export"]), st.integers(0, 2**50))


@given(st.lists(ENERGY, min_size=1, max_size=6), st.permutations(range(3)))
def test_the_sums_are_exact_and_the_order_of_streams_is_nothing(energies, order):
    settings = Settings(**SET, value="generation_wh")
    reports = [report(index, figures={"energy": e, "covered_ms": 1}) for index, e in enumerate(energies)]
    streams = [[report(9, device=str(number), role="load")] for number in range(1, 3)] + [reports]
    event = make_event([one for number in order for one in streams[number]], settings)
    sums = next(stream for stream in json.loads(event.data)["streams"] if stream["device"] == "0")["energy_mwh"]
    for name in ("energy_import", "energy_export"):
        given_ = [energy[name] for energy in energies if name in energy]
        assert sums.get(name) == (sum(given_) if given_ else None)  # a missing energy is never zero
    assert event.value == sums.get("energy_export", 0) // 1000
    assert event == make_event([one for stream in streams for one in stream], settings)
