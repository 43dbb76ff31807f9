"""The tree that a contract checks, and whose points are in it when."""

from contextlib import closing

import eth_abi
import pytest
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from wattnet import accounts, books, shares
from wattnet.ledger import Ledger
from wattnet.report import read
from wattnet.simulated import SimulatedBoard, SimulatedKey, sealed

START = 1_790_000_000_000
ALICE, BOB = bytes(19) + b"\x01", bytes(19) + b"\x02"
SHARES = st.lists(
    st.builds(shares.Share, st.integers(0, 2**60), st.binary(min_size=20, max_size=20), st.integers(0, 2**62)),
    min_size=1,
    max_size=20,
)


@given(SHARES, st.data())
def test_every_share_is_proven_and_no_other(drawn, data):
    index = data.draw(st.integers(0, len(drawn) - 1))
    root, path = shares.root(drawn), shares.proof(drawn, index)
    assert shares.check(drawn[index], path, root)
    assert not shares.check(drawn[index]._replace(points=drawn[index].points + 1), path, root)
    assert len(path) <= (len(drawn) - 1).bit_length()


def test_a_leaf_is_openzeppelins():
    share = shares.Share(7, ALICE, 1234)
    packed = eth_abi.encode(["uint256", "address", "uint256"], [7, "0x" + ALICE.hex(), 1234])
    assert share.leaf() == keccak(keccak(packed))


@pytest.fixture
def ledger(tmp_path):
    with closing(Ledger(tmp_path / "wattnet.db")) as opened:
        for seed in (1, 2):
            opened.add_gateway(SimulatedKey(seed).public_key, START)
        yield opened


def claim(ledger, seed, epoch, mwh):
    """Let a gateway of this seed claim five minutes of its own board in an epoch."""
    key = SimulatedKey(seed)
    board = SimulatedBoard(10 + seed, key.hash, START)
    a = START + epoch * 300_000
    figures = {
        "covered_ms": 300_000,
        "counter_resets": 0,
        "energy": {"energy_export": mwh},
        "gap_energy": {},
        "rows": 30,
    }
    about = {"rules": 1, "board": board.hash, "device": "0", "role": "pv", "profile": "eastron_sdm120", "a": a}
    more = {"b": a + 300_000, "figures": figures, "evidence": [[1, 1, 7]], "root": bytes(32), "verdict": "accepted"}
    value = about | more | {"reasons": [], "rated_w": 6000, "provenance": "board"}
    ledger.bind(gateway(ledger, seed), board.public_key, "", START)
    ledger.add_claim(gateway(ledger, seed), read(value)[0], sealed(key, value), START, epoch)


def gateway(ledger, seed):
    return ledger.gateway(SimulatedKey(seed).hash[:8])


def settle(ledger, epoch):
    assert books.settle_due(ledger, epoch + 1, START) == [epoch]


def found(ledger, account, after=-1):
    return [(row["epoch"], row["points"]) for row in accounts.settlements(ledger, account, after)]


def test_what_was_earned_before_an_account_was_named_comes_with_the_next_epoch(ledger):
    claim(ledger, 1, 1, 30_000)
    settle(ledger, 1)
    assert found(ledger, ALICE) == []
    assert accounts.name_account(ledger, gateway(ledger, 1), ALICE, START)
    assert not accounts.name_account(ledger, gateway(ledger, 1), ALICE, START)
    claim(ledger, 1, 2, 10_000)
    settle(ledger, 2)
    assert found(ledger, ALICE) == [(2, 4_000)]
    assert found(ledger, ALICE, after=2) == []
    (row,) = accounts.settlements(ledger, ALICE, -1)
    assert [(one["epoch"], one["amount"]) for one in row["payouts"]] == [(1, 3_000), (2, 1_000)]


def test_accounts_share_an_epoch_and_each_has_its_proof(ledger):
    for seed, account in ((1, ALICE), (2, BOB)):
        accounts.name_account(ledger, gateway(ledger, seed), account, START)
        claim(ledger, seed, 3, 10_000 * seed)
    settle(ledger, 3)
    (open_,) = accounts.unposted(ledger)
    assert open_["points"] == 3_000
    for account, points in ((ALICE, 1_000), (BOB, 2_000)):
        (row,) = accounts.settlements(ledger, account, -1)
        assert shares.check(shares.Share(3, account, points), row["proof"], open_["root"])
    accounts.note_posted(ledger, 3, "0x1")
    assert accounts.unposted(ledger) == []


def test_two_gateways_of_one_account_are_one_share(ledger):
    for seed in (1, 2):
        accounts.name_account(ledger, gateway(ledger, seed), ALICE, START)
        claim(ledger, seed, 1, 10_000)
    settle(ledger, 1)
    assert found(ledger, ALICE) == [(1, 2_000)]


def test_another_account_is_paid_from_the_next_epoch_on(ledger):
    accounts.name_account(ledger, gateway(ledger, 1), ALICE, START)
    claim(ledger, 1, 1, 10_000)
    settle(ledger, 1)
    assert accounts.name_account(ledger, gateway(ledger, 1), BOB, START)
    claim(ledger, 1, 2, 20_000)
    settle(ledger, 2)
    assert (found(ledger, ALICE), found(ledger, BOB)) == ([(1, 1_000)], [(2, 2_000)])


def test_less_than_a_point_makes_no_share(ledger):
    accounts.name_account(ledger, gateway(ledger, 1), ALICE, START)
    claim(ledger, 1, 1, 9)
    settle(ledger, 1)
    assert accounts.unposted(ledger) == []
