"""What is paid: integers that lose nothing, epochs that close in order, proofs that anyone can check."""

import hashlib
import json
import random
from contextlib import closing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattnet import books, settle
from wattnet.guard import answer
from wattnet.ledger import Ledger
from wattnet.payout_check import Row, check, check_file
from wattnet.refusal import RefusalError
from wattnet.report import Report, read
from wattnet.simulated import SimulatedBoard, SimulatedKey, sealed

START = 1_790_000_000_000
MINUTE = 60_000
GATEWAY = SimulatedKey(1)
STREAM = settle.Stream(GATEWAY.hash, bytes(32), "0")


@pytest.fixture
def ledger(tmp_path):
    with closing(Ledger(tmp_path / "wattnet.db")) as opened:
        opened.add_gateway(GATEWAY.public_key, START)
        yield opened


def claim(ledger: Ledger, board: SimulatedBoard, at: int, epoch: int, **changes) -> int:
    """Take a claim for five minutes from `at` minutes on, by a gateway that may claim for the board."""
    gateway = ledger.gateway(GATEWAY.hash[:8])
    ledger.bind(gateway, board.public_key, "", START)
    value = report_of(board, at, **changes)
    return ledger.add_claim(gateway, read(value)[0], sealed(GATEWAY, value), START, epoch)


def report_of(board: SimulatedBoard, at: int, mwh: int = 30_001, covered_ms: int = 299_999, **changes) -> dict:
    figures = {
        "covered_ms": covered_ms,
        "counter_resets": 0,
        "energy": {"energy_export": mwh},
        "gap_energy": {},
        "rows": 30,
    }
    a = START + at * MINUTE
    return {
        "rules": 1,
        "board": board.hash,
        "device": "0",
        "role": "pv",
        "profile": "eastron_sdm120",
        "a": a,
        "b": a + 5 * MINUTE,
        "figures": figures,
        "evidence": [[1, 1, 7]],
        "root": bytes(32),
        "verdict": "accepted",
        "reasons": [],
        "rated_w": None,
        "provenance": "board",
    } | changes


def board(seed: int = 2) -> SimulatedBoard:
    return SimulatedBoard(seed, GATEWAY.hash, START)


def test_every_role_of_the_wire_has_a_weight():
    roles = Report.__annotations__["role"].__args__
    assert set(settle.WEIGHTS) == set(roles)


def test_value_is_energy_by_coverage_by_quality():
    energy = {"energy_export": 10_000, "energy_import": 500}
    assert settle.value_millipoints("pv", energy, 300_000, 300_000, "accepted") == 1_000_000
    assert settle.value_millipoints("pv", energy, 150_000, 300_000, "accepted") == 500_000
    assert settle.value_millipoints("pv", energy, 300_000, 300_000, "flagged") == 500_000
    assert settle.value_millipoints("pv", energy, 0, 300_000, "accepted") == 0
    assert settle.value_millipoints("grid", energy, 300_000, 300_000, "accepted") == 101_000
    assert settle.value_millipoints("battery", {}, 300_000, 300_000, "accepted") == 0


@given(st.lists(st.lists(st.tuples(st.just(0), st.integers(0, 10**14)), max_size=5), max_size=8))
def test_no_millipoint_is_lost_or_made_over_many_epochs(epochs):
    carried, paid = 0, 0
    for number, values in enumerate(epochs):
        entry = settle.payout(number, STREAM, values, carried)
        carried, paid = entry.carried_out, paid + entry.amount
        assert 0 <= carried < settle.MILLIPOINTS
    assert paid * settle.MILLIPOINTS + carried == sum(value for values in epochs for _, value in values)


@given(st.integers(0, 10**12), st.integers(0, 300_000))
def test_value_never_exceeds_the_full_price(mwh, covered_ms):
    value = settle.value_millipoints("pv", {"energy_export": mwh}, covered_ms, 300_000, "accepted")
    assert 0 <= value <= mwh * 100


def test_remainder_is_carried_to_the_same_stream(ledger):
    made = board()
    for epoch in range(3):
        claim(ledger, made, 5 * epoch, epoch)
    assert books.settle_due(ledger, 3, START) == [0, 1, 2]
    rows = books.payouts(ledger, GATEWAY.hash[:8], -1)
    value = settle.value_millipoints("pv", {"energy_export": 30_001}, 299_999, 300_000, "accepted")
    assert value % 1000
    assert [row["value"] for row in rows] == [value] * 3
    assert [row["carried_in"] for row in rows] == [0, value % 1000, 2 * value % 1000]
    assert sum(row["amount"] for row in rows) == 3 * value // 1000
    assert books.summary(ledger)["paid_points"] == 3 * value // 1000


def test_an_epoch_waits_for_its_challenges_and_later_ones_wait_for_it(ledger):
    made = board()
    challenged = claim(ledger, made, 0, 1)
    claim(ledger, made, 5, 2)
    ledger.add_challenge(challenged, "c" * 32, 0, 1000)
    assert books.settle_due(ledger, 3, START) == []
    ledger.expire(1000)
    assert books.settle_due(ledger, 3, START) == []
    ledger.expire(1001)
    assert books.settle_due(ledger, 3, START) == [2]
    assert books.summary(ledger)["lost_by"] == {"deadline": 1}
    assert books.epoch(ledger, 1) is None


def test_a_lost_claim_is_not_paid_and_its_slot_stays_taken(ledger):
    made = board()
    ledger.add_challenge(claim(ledger, made, 0, 1), "c" * 32, 0, 1000)
    ledger.resolve("c" * 32, "bad_root", 1)
    ledger.resolve("c" * 32, "", 2)
    with pytest.raises(RefusalError, match="slot_taken"):
        claim(ledger, made, 0, 1, verdict="flagged")
    assert books.settle_due(ledger, 2, START) == []
    assert books.summary(ledger)["lost"] == 1


@pytest.mark.parametrize(("at", "reason"), [(0, "slot_taken"), (1, "slot_overlaps"), (-1, "slot_overlaps")])
def test_slots_of_one_stream_never_overlap(ledger, at, reason):
    made = board()
    claim(ledger, made, 0, 1)
    with pytest.raises(RefusalError, match=reason):
        claim(ledger, made, at, 1, verdict="flagged")
    claim(ledger, made, 5, 1)
    claim(ledger, made, -5, 1)
    claim(ledger, made, 0, 1, device="1")
    claim(ledger, board(3), 0, 1)


def test_a_second_gateway_does_not_get_the_slot(ledger):
    made, other = board(), SimulatedKey(5)
    claim(ledger, made, 0, 1)
    ledger.add_gateway(other.public_key, START)
    second = ledger.gateway(other.hash[:8])
    ledger.bind(second, made.public_key, "", START)
    with pytest.raises(RefusalError, match="slot_taken"):
        ledger.add_claim(second, read(report_of(made, 0))[0], b"other bytes", START, 1)


def test_paid_twice_is_counted_from_what_was_paid(ledger):
    claim(ledger, board(), 0, 1)
    books.settle_due(ledger, 2, START)
    assert books.summary(ledger)["twice_paid"] == 0
    ledger.db.execute("INSERT INTO epoch VALUES (7, x'00', 1, 1, 1)")
    ledger.db.execute(
        "INSERT INTO payout SELECT 7, position, gateway_id, board_id, device, 1, 1, 1, 0, 1, 0, x'00' FROM payout"
    )
    ledger.db.execute("INSERT INTO payment SELECT claim_id, 7, position FROM payment")
    assert books.summary(ledger)["twice_paid"] == 1


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 13])
def test_payouts_carry_proofs_that_anyone_can_check(ledger, tmp_path, capsys, count):
    source = random.Random(count)
    for seed in range(count):
        for at in range(source.randint(1, 3)):
            claim(ledger, board(10 + seed), 5 * at, 4, mwh=source.randint(0, 10**6))
    assert books.settle_due(ledger, 5, START) == [4]
    text = answer({"payouts": books.payouts(ledger, GATEWAY.hash[:8], -1)}).text
    rows = msgspec.convert(json.loads(text)["payouts"], list[Row])
    assert len(rows) == count
    assert [check(row) for row in rows] == [""] * count
    file = tmp_path / "payouts.json"
    file.write_text(text)
    root = books.epoch(ledger, 4)["root"].hex()
    assert check_file(file, root) == 0
    assert check_file(file, hashlib.sha256(b"another").hexdigest()) == 1
    assert "proven" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["epoch", "position", "device", "claims", "useful_mwh", "value", "amount", "carried_out"]
)
def test_an_altered_payout_is_not_proven(ledger, name):
    for seed in range(3):
        claim(ledger, board(10 + seed), 0, 4)
    books.settle_due(ledger, 5, START)
    row = json.loads(answer(books.payouts(ledger, GATEWAY.hash[:8], -1)).text)[1]
    row[name] = "7" if name == "device" else row[name] + 1
    assert check(msgspec.convert(row, Row))


def test_a_file_without_payouts_is_an_error(tmp_path):
    file = tmp_path / "x.json"
    assert check_file(file, None) == 2
    file.write_text('{"other": []}')
    assert check_file(file, None) == 2


def test_payouts_come_in_pages_of_whole_epochs(ledger):
    made = board()
    for epoch in range(books.EPOCHS_PER_ANSWER + 3):
        claim(ledger, made, 5 * epoch, epoch)
    books.settle_due(ledger, 100, START)
    first = books.payouts(ledger, GATEWAY.hash[:8], -1)
    assert [row["epoch"] for row in first] == list(range(books.EPOCHS_PER_ANSWER))
    rest = books.payouts(ledger, GATEWAY.hash[:8], first[-1]["epoch"])
    assert [row["epoch"] for row in rest] == [20, 21, 22]


def test_books_survive_a_restart(tmp_path):
    with closing(Ledger(tmp_path / "w.db")) as ledger:
        ledger.add_gateway(GATEWAY.public_key, START)
        claim(ledger, board(), 0, 1)
        secret = ledger.secret
    with closing(Ledger(tmp_path / "w.db")) as ledger:
        assert ledger.secret == secret
        assert books.settle_due(ledger, 2, START) == [1]
        assert books.settle_due(ledger, 2, START) == []
