"""Verification: good frames pass, everything else has a reason, and the quick CBOR decoder agrees with the wire's."""

import hashlib
import json
import random
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.author import Author, arrival
from emulator.fleet import seal
from wattness import strictcbor, verify
from wattness.errors import ConfigError, RejectedError
from wattness.model import Arrival, Board
from wattness.verify import Verifier
from wattwire import cbor, cose, frame, p256
from wattwire.errors import WireError

VECTORS = json.loads((Path(__file__).parents[2] / "firmware/tests/vectors.json").read_text())
START = 1_790_000_000_000


def board(public_key, board_id=1):
    return Board(board_id, "b", public_key, cose.kid(public_key), cose.board_key(public_key), bytes(32), "password")


@pytest.fixture(scope="module")
def author():
    author = Author(1, bytes(32), START)
    author.streams(START + 1000)
    author.rows(START + 2000, 60)
    author.health(START + 700_000, heap=1234, cause="power")
    return author


@pytest.fixture(scope="module")
def verifier(author):
    return Verifier([board(author.public_key)])


def reason(verifier, raw, kid=None):
    with pytest.raises(RejectedError) as caught:
        verifier.verify(Arrival(kid or raw[8:16], raw))
    return caught.value.reason


def signed(author, payload):
    return seal(author.key, author.kid, payload)


def test_vectors_pass():
    verifier = Verifier([board(bytes.fromhex(VECTORS["key"]["public_hex"]), 7)])
    for vector in VECTORS["frames"]:
        verified = verifier.verify(arrival(bytes.fromhex(vector["hex"])))
        assert (verified.board_id, verified.record.seq) == (7, vector["seq"])
        assert verified.digest == hashlib.sha256(bytes.fromhex(vector["payload"])).digest()


def test_good_frames_pass_in_order_and_others_are_counted(author, verifier):
    junk = Arrival(author.kid, b"junk")
    frames = [arrival(raw) for raw in author.frames]
    good, rejected = verifier.verify_all([frames[0], junk, frames[1], junk, frames[2]])
    assert [verified.record.seq for verified in good] == [1, 2, 3]
    assert rejected == {"bad_tag": 2}


def test_every_flipped_bit_is_rejected(author, verifier):
    raw = author.frames[0]
    for bit in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RejectedError):
            verifier.verify(Arrival(author.kid, bytes(flipped)))


def test_every_cut_is_rejected(author, verifier):
    for end in range(len(author.frames[1])):
        with pytest.raises(RejectedError):
            verifier.verify(Arrival(author.kid, author.frames[1][:end]))


def test_reasons(author, verifier):
    raw = author.frames[0]
    stranger = Author(2, bytes(32), START)
    assert reason(verifier, stranger.streams(START)) == "unknown_board"
    assert reason(verifier, raw, kid=stranger.kid) == "kid_mismatch"
    assert reason(verifier, raw.replace(b"\xa2\x01\x26\x04", b"\xa2\x01\x27\x04"), author.kid) == "bad_algorithm"
    assert reason(verifier, raw[:-1] + bytes((raw[-1] ^ 1,))) == "bad_signature"
    assert reason(verifier, raw + b"\x00") == "trailing_bytes"
    assert reason(verifier, raw[:-40]) == "truncated"
    assert reason(verifier, raw + bytes(9000)) == "too_long"
    high_s = p256.ORDER - int.from_bytes(raw[-32:], "big")
    assert reason(verifier, raw[:-32] + high_s.to_bytes(32, "big")) == "high_s"


@pytest.mark.parametrize(("r", "s"), [(0, 1), (1, 0), (0, 0), (p256.ORDER, 1), ((1 << 256) - 1, 1)])
def test_signatures_out_of_range_are_rejected(author, verifier, r, s):
    raw = author.frames[0][:-64] + r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert reason(verifier, raw) == "bad_signature"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", "truncated"),
        (b"\xa1\x00\x18\x01", "not_deterministic"),
        (b"\xa2\x00\x01\x00\x01", "duplicate_key"),
        (b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", "truncated"),
        (b"\x9b\x80\x00\x00\x00\x00\x00\x00\x00", "truncated"),
        (b"\x81" * 8000, "too_deep"),
        (b"\xa1" * 8000, "bad_type"),
        (b"\xa1\x00" * 4000, "too_deep"),
        (b"\xd8\x23\x61\x28", "bad_type"),
        (b"\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01", "bad_type"),
        (b"\xa1\x00\xf9\x3c\x00", "bad_type"),
        (b"\xa1\x00\xf5", "bad_type"),
        (b"\xbf\xff", "not_deterministic"),
    ],
)
def test_a_signed_payload_of_bad_form_has_a_reason(author, verifier, payload, expected):
    raw = signed(author, payload)
    assert reason(verifier, raw) == expected
    forged = raw[:-64] + bytes(63) + b"\x01"
    assert reason(verifier, forged) == "bad_signature"  # the payload is not looked at before its signature


def test_boards_can_be_replaced(author):
    verifier = Verifier()
    assert reason(verifier, author.frames[0]) == "unknown_board"
    verifier.replace([board(author.public_key)])
    assert verifier.verify(arrival(author.frames[0])).record.kind == frame.KIND_STREAMS


@settings(deadline=None)
@given(st.binary(min_size=8, max_size=8), st.integers(0, cose.FRAME_SIZE_MAX - 100))
def test_a_frame_holds_the_bytes_that_are_signed(kid, size):
    payload = bytes(size)
    assert verify._signed_bytes(cose.join(kid, payload, bytes(64))) == cose.to_be_signed(kid, payload)


@pytest.mark.parametrize("public_key", [b"", bytes(65), b"\x04" + bytes(64), b"\x04" + b"\xff" * 64])
def test_a_key_that_is_no_point_is_a_configuration_error(public_key):
    with pytest.raises(ConfigError):
        Verifier([board(public_key)])


def outcome(decode, data):
    try:
        return decode(data)
    except WireError:
        return WireError


def assert_agreement(data):
    expected = outcome(cbor.decode, data)
    found = outcome(strictcbor.decode, data)
    assert found == expected
    assert repr(found) == repr(expected)  # True is not 1, and maps keep their order


NUMBERS = st.one_of(
    st.integers(-30, 30), st.integers(-300, 300), st.integers(-70_000, 70_000), st.integers(-(1 << 63), 1 << 63)
)
VALUES = st.recursive(
    st.one_of(NUMBERS, st.none(), st.binary(max_size=20), st.text(max_size=5), st.booleans(), st.floats()),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(NUMBERS | st.text(max_size=3), inner, max_size=4),
    max_leaves=30,
)


@given(st.binary(max_size=60))
def test_decoders_agree_on_any_bytes(data):
    assert_agreement(data)


@given(VALUES, st.booleans())
def test_decoders_agree_on_any_value(value, canonical):
    assert_agreement(cbor2.dumps(value, canonical=canonical))


@given(st.dictionaries(st.integers(0, 40), VALUES, max_size=6))
def test_decoders_agree_on_maps(value):
    assert_agreement(cbor2.dumps(value, canonical=True))


@given(
    st.integers(0, 10),
    st.sampled_from([b"\x80", b"\xa0", b"\x00", b"\xf6", b"\x82\x80\x80", b"\x82\x00\x80"]),
    st.data(),
)
def test_decoders_agree_on_nested_containers_at_the_limit(depth, inner, data):
    around = data.draw(st.lists(st.sampled_from([b"\x81", b"\x82\x00", b"\xa1\x00"]), min_size=depth, max_size=depth))
    assert_agreement(b"\xa1\x0d" + b"".join(around) + inner)


@pytest.mark.parametrize("inner", [b"\x80", b"\xa0"])
def test_an_empty_container_counts_as_one_level(inner):
    deepest = b"\xa1\x0d" + b"\x81" * (cbor.DEPTH_MAX - 2) + inner
    assert strictcbor.decode(deepest) == cbor.decode(deepest)
    with pytest.raises(WireError, match="too_deep"):
        strictcbor.decode(b"\xa1\x0d" + b"\x81" * (cbor.DEPTH_MAX - 1) + inner)


@given(st.integers(0, 1 << 32))
def test_decoders_agree_on_mutated_payloads(author, seed):
    source = random.Random(seed)
    payload = bytearray(cose.parse(source.choice(author.frames))[1])
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(payload))
        payload[at : at + source.randint(0, 2)] = source.randbytes(source.randint(0, 2))
    assert_agreement(bytes(payload))
    records = [
        outcome(lambda data, d=d: frame.decode(data, d), bytes(payload)) for d in (cbor.decode, strictcbor.decode)
    ]
    assert records[0] == records[1]


def test_rows_take_the_quick_way(author, monkeypatch):
    payload = cose.parse(author.frames[1])[1]
    monkeypatch.setattr(cbor, "decode", None)
    assert strictcbor.decode(payload)[0] == frame.KIND_ROWS


def numbers():
    """32 bytes of any size, with as many leading zeros as there may be, and either sign where they begin."""
    return st.one_of(st.integers(0, (1 << 256) - 1), st.integers(0, 255).map(lambda bits: 1 << bits))


@given(numbers(), numbers())
def test_a_signature_is_the_sequence_that_cryptography_makes(r, s):
    assert verify.der(r.to_bytes(32, "big") + s.to_bytes(32, "big")) == encode_dss_signature(r, s)
