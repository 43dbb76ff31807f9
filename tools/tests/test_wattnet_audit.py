"""The challenge's check: only the very frames behind a claim prove it, and every lie has its reason."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattness import aggregate
from wattness.store import closing
from wattnet.audit import FRAMES_MAX, AuditError, audit
from wattnet.guard import PROOF_BYTES_MAX
from wattnet.refusal import RefusalError
from wattnet.report import read
from wattnet.simulated import SimulatedBoard, SimulatedKey
from wattwire import cbor, cose, evidence, frame, merkle

START = 1_790_000_000_000
GATEWAY = SimulatedKey(1)


def board(seed: int = 2, gateway: bytes = GATEWAY.hash, until: int = 360_000) -> SimulatedBoard:
    made = SimulatedBoard(seed, gateway, START)
    made.run(START + until)
    return made


BOARD = board()
HONEST = BOARD.report(START, START + 300_000)


def judge(report: dict[str, Any], frames: list[bytes], of: SimulatedBoard = BOARD) -> str:
    parsed, figures = read(report)
    try:
        audit(parsed, figures, of.public_key, GATEWAY.hash, frames)
    except AuditError as error:
        return error.reason
    return "passed"


def test_honest_frames_pass():
    assert judge(HONEST, BOARD.frames) == "passed"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("covered_ms", lambda f: f | {"covered_ms": f["covered_ms"] - 1}),
        ("energy", lambda f: f | {"energy": {"energy_export": f["energy"]["energy_export"] + 1}}),
        ("gap_energy", lambda f: f | {"gap_energy": {}}),
        ("rows", lambda f: f | {"rows": f["rows"] + 1}),
        ("counter_resets", lambda f: f | {"counter_resets": 1}),
        ("power", lambda f: f | {"power": f["power"] | {"max": f["power"]["max"] + 1}}),
        ("no power", lambda f: {name: value for name, value in f.items() if name != "power"}),
    ],
)
def test_figures_are_recomputed_to_the_last_digit(name, change):
    assert judge(HONEST | {"figures": change(HONEST["figures"])}, BOARD.frames) == "bad_figures"


def test_altered_payload_is_a_bad_signature():
    raw = bytearray(BOARD.frames[2])
    raw[-80] ^= 1
    assert judge(HONEST, [*BOARD.frames[:2], bytes(raw), *BOARD.frames[3:]]) == "bad_signature"


def test_frame_forged_with_another_key():
    forger = SimulatedKey(99)
    payload = cose.parse(BOARD.frames[2])[1]
    own = forger.seal(payload, cose.AAD)
    assert judge(HONEST, [*BOARD.frames[:2], own, *BOARD.frames[3:]]) == "wrong_board"
    disguised = cose.join(BOARD.hash[:8], payload, cose.parse(own)[2])
    assert judge(HONEST, [*BOARD.frames[:2], disguised, *BOARD.frames[3:]]) == "bad_signature"


def test_missing_replayed_extra_and_reordered_frames():
    frames = BOARD.frames
    assert judge(HONEST, frames[:-1]) == "missing_frames"
    assert judge(HONEST, frames[1:]) == "missing_frames"
    assert judge(HONEST, frames[:3] + frames[4:]) == "missing_frames"
    assert judge(HONEST, []) == "missing_frames"
    assert judge(HONEST, [*frames[:3], frames[2], *frames[3:]]) == "replayed_frame"
    assert judge(HONEST, [frames[1], frames[0], *frames[2:]]) == "bad_order"
    longer = board(until=600_000)
    assert judge(HONEST, longer.frames) == "extra_frame"


def test_frames_of_another_day_are_not_these():
    other = SimulatedBoard(2, GATEWAY.hash, START - 86_400_000)
    other.run(START - 86_400_000 + 360_000)
    assert judge(HONEST, other.frames) == "bad_root"


def test_streams_record_must_name_the_claiming_gateway():
    theirs = board(gateway=SimulatedKey(7).hash)
    assert judge(theirs.report(START, START + 300_000), theirs.frames, theirs) == "wrong_gateway"


def test_stream_must_be_what_is_claimed():
    assert judge(HONEST | {"role": "battery"}, BOARD.frames) == "bad_stream"
    assert judge(HONEST | {"profile": "eastron_sdm630"}, BOARD.frames) == "bad_stream"
    assert judge(HONEST | {"device": "1"}, BOARD.frames) == "unknown_stream"


def test_rows_need_their_streams_record():
    frames = BOARD.frames[1:]
    report = HONEST | {"evidence": [[1, 2, len(BOARD.frames)]], "root": merkle.root(frames)}
    assert judge(report, frames) == "missing_frames"


def test_chain_must_hold():
    made = board(until=120_000)
    made.prev = bytes(16)
    made.run(START + 360_000)
    assert judge(made.report(START, START + 300_000), made.frames, made) == "broken_chain"


def test_the_boards_own_time_must_rise():
    made = board(until=120_000)
    made.append(frame.KIND_HEALTH, frame.Health({}), START + 5_000)
    made.run(START + 360_000)
    assert judge(made.report(START, START + 300_000), made.frames, made) == "equivocation"


def test_a_declared_hole_is_no_missing_frame():
    made = board(until=120_000)
    seq = made.records[-1].seq
    at = made.next_ms + 60_000
    made.append(frame.KIND_HEALTH, frame.Health({}), at - 1, lost=(seq + 1, seq + 4))
    made.next_ms = at
    made.run(START + 360_000)
    report = made.report(START, START + 300_000)
    assert judge(report, made.frames, made) == "passed"
    spanning = report | {"evidence": [[1, 1, made.records[-1].seq]]}
    assert judge(spanning, made.frames, made) == "passed"


def test_frames_inside_the_interval_cannot_be_left_out():
    frames = BOARD.frames[:3] + BOARD.frames[4:]
    report = BOARD.report(START, START + 300_000, frames)
    assert report["figures"] != HONEST["figures"]
    assert judge(report, frames) == "missing_frames"


def test_frames_outside_the_interval_may_be_left_out():
    made = board(until=900_000)
    frames = [made.frames[0], *made.frames[6:13]]
    report = made.report(START + 360_000, START + 660_000, frames)
    assert len(report["evidence"]) == 2
    assert judge(report, frames, made) == "passed"


def test_two_logs_join_by_the_word_of_the_second():
    first = board(until=120_000)
    second = SimulatedBoard(2, GATEWAY.hash, first.next_ms, log=2)
    previous = (first.records[-1].seq, first.prev)
    body = second.records[0].body._replace(previous=previous)
    second.open(body)
    second.run(START + 360_000)
    frames = first.frames + second.frames
    assert judge(first.report(START, START + 300_000, frames), frames, first) == "passed"
    cut = first.frames[:-1] + second.frames
    assert judge(first.report(START, START + 300_000, cut), cut, first) == "missing_frames"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_flipped_bit_costs_the_claim(data):
    at = data.draw(st.integers(0, len(BOARD.frames) - 1))
    raw = bytearray(BOARD.frames[at])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert judge(HONEST, [*BOARD.frames[:at], bytes(raw), *BOARD.frames[at + 1 :]]) != "passed"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(BOARD.frames), max_size=10).filter(lambda frames: frames != BOARD.frames))
def test_only_these_frames_pass(frames):
    assert judge(HONEST, frames) != "passed"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=4))
def test_junk_costs_the_claim_and_nothing_else(frames):
    assert judge(HONEST, frames) in {"bad_form", "missing_frames", "replayed_frame"}


def test_evidence_functions_agree_with_the_report():
    records = [frame.decode(cose.parse(raw)[1]) for raw in BOARD.frames]
    assert evidence.figures(records, "0", START, START + 300_000) == HONEST["figures"]
    assert HONEST["figures"]["covered_ms"] == 300_000


def changed(**changes) -> SimulatedBoard:
    """Return a board whose stream changes two minutes into the interval."""
    made = board(until=120_000)
    stream = made.records[0].body.streams[0]._replace(**changes)
    made.append(frame.KIND_STREAMS, made.records[0].body._replace(streams=(stream,)), made.next_ms - 1)
    made.streams_hash = made.prev
    made.run(START + 660_000)
    return made


@pytest.mark.parametrize("changes", [{"profile": "eastron_sdm630"}, {"role": "grid"}])
def test_a_stream_is_what_the_last_record_in_force_says(changes):
    made = changed(**changes)
    until = [raw for raw, record in zip(made.frames, made.records, strict=True) if record.unix <= START + 300_000]
    report = made.report(START, START + 300_000, until)
    assert judge(report | changes, until, made) == "passed"
    assert judge(report, until, made) == "bad_stream"


def test_a_claim_of_as_many_frames_as_a_gateway_makes_is_heard():
    made = board(until=-1)
    for at in range(FRAMES_MAX - 1):
        made.rows(START + at * 50, [3000], 1)
    report = made.report(START, START + 300_000)
    assert FRAMES_MAX >= closing.FRAMES_MAX == aggregate.SPANS_MAX == len(made.frames)
    assert judge(report, made.frames, made) == "passed"
    assert judge(report, [*made.frames, made.frames[-1]], made) == "too_long"


def test_a_proof_of_the_longest_frames_fits():
    longest = len(cbor.encode([bytes(cose.FRAME_SIZE_MAX)])) - 1
    assert len(cbor.encode([b""] * FRAMES_MAX)) + FRAMES_MAX * longest <= PROOF_BYTES_MAX


def test_every_range_of_the_longest_evidence_may_stand_alone():
    apart = [[1, 2 * at + 1, 2 * at + 1] for at in range(FRAMES_MAX)]
    assert len(read(HONEST | {"evidence": apart})[0].evidence) == FRAMES_MAX
    with pytest.raises(RefusalError, match="evidence"):
        read(HONEST | {"evidence": [*apart, [2, 1, 1]]})
