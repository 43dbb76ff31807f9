"""The envelope and the link: one form, and no bit of it can be changed."""

import hashlib
import hmac as stdlib_hmac

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wattwire import cbor, cose, hmac, link, p256
from wattwire.errors import WireError

SECRET = hashlib.sha256(b"a board").digest()
PUBLIC = p256.public_key(SECRET)
KID = cose.kid(PUBLIC)
PAYLOAD = cbor.encode({0: 3, 14: {"heap_free": 91232}})
SEALED = cose.sign1(SECRET, KID, PAYLOAD)
KEY = bytes(range(32))


def reason(function, *given_values):
    with pytest.raises(WireError) as caught:
        function(*given_values)
    return caught.value.reason


def pyca_verifies(public65, message, signature):
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public65)
    try:
        key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


@settings(max_examples=40)
@given(st.binary(max_size=400), st.sampled_from([b"wattwire/1", b"wattnet/1", b"", b"x" * 30]))
@example(bytes(23), cose.AAD)
@example(bytes(24), cose.AAD)
@example(bytes(255), cose.AAD)
@example(bytes(256), cose.AAD)
def test_what_is_signed_comes_back(payload, aad):
    sealed = cose.sign1(SECRET, KID, payload, aad)
    assert cose.verify(PUBLIC, sealed, aad) == payload
    kid, found, signature = cose.parse(sealed)
    assert (kid, found) == (KID, payload)
    to_be_signed = cose.to_be_signed(kid, payload, aad)
    assert pyca_verifies(PUBLIC, to_be_signed, signature)
    protected = cbor.encode({1: -7, 4: KID})
    assert to_be_signed == cbor.encode(["Signature1", protected, aad, payload])
    assert sealed == b"\xd2" + cbor.encode([protected, {}, payload, signature])
    assert cose.join(kid, payload, signature) == sealed


def test_every_flipped_bit_is_refused():
    for bit in range(len(SEALED) * 8):
        data = bytearray(SEALED)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WireError):
            cose.verify(PUBLIC, bytes(data))


@pytest.mark.parametrize("size", range(0, len(SEALED), 3))
def test_every_cut_is_truncated(size):
    assert reason(cose.parse, SEALED[:size]) == "truncated"


def replaced(at, text):
    data = bytes.fromhex(text)
    return SEALED[:at] + data + SEALED[at + len(data) :]


HIGH_S = SEALED[:-32] + (p256.ORDER - int.from_bytes(SEALED[-32:], "big")).to_bytes(32, "big")
REFUSED = [
    (SEALED + b"\x00", "trailing_bytes"),
    (HIGH_S, "high_s"),
    (SEALED[:-32] + b"\xff" * 32, "high_s"),
    (replaced(0, "d1"), "bad_tag"),
    (replaced(0, "84"), "bad_tag"),
    (SEALED[1:], "bad_tag"),
    (replaced(1, "85"), "bad_tag"),
    (replaced(5, "27"), "bad_algorithm"),
    (replaced(5, "3822"), "bad_algorithm"),
    (replaced(2, "4e"), "bad_form"),
    (replaced(3, "a104"), "bad_form"),
    (replaced(7, "47"), "bad_form"),
    (replaced(16, "a1"), "bad_form"),
    (replaced(17, "f6"), "bad_form"),
    (replaced(17, "5a"), "bad_form"),
    (SEALED[:17] + b"\x58\x05" + bytes(5) + SEALED[-66:], "not_deterministic"),
    (SEALED[:17] + b"\x59\x00\x05" + bytes(5) + SEALED[-66:], "not_deterministic"),
    (replaced(len(SEALED) - 66, "583f"), "bad_form"),
    (SEALED[:17] + b"\x59", "truncated"),
    (SEALED[:17] + b"\x59\xff\xff" + bytes(100), "truncated"),
    (b"\xd2" * 8193, "too_long"),
    (b"x", "bad_tag"),
    (b"", "truncated"),
]


@pytest.mark.parametrize(("data", "expected"), REFUSED)
def test_other_forms_are_refused(data, expected):
    assert reason(cose.parse, data) == expected
    assert reason(cose.verify, PUBLIC, data) == expected


@settings.get_profile("parsers")
@given(st.binary(max_size=200) | st.binary(max_size=150).map(lambda data: SEALED[:17] + data))
def test_any_bytes_give_a_value_or_a_wire_error(data):
    try:
        kid, payload, signature = cose.parse(data)
    except WireError:
        return
    assert cose.join(kid, payload, signature) == data


def test_another_key_or_context_is_a_bad_signature():
    other = p256.public_key(hashlib.sha256(b"another board").digest())
    assert reason(cose.verify, other, SEALED) == "bad_signature"
    assert reason(cose.verify, PUBLIC, SEALED, b"wattnet/1") == "bad_signature"
    stolen = cose.sign1(hashlib.sha256(b"another board").digest(), KID, PAYLOAD)
    assert reason(cose.verify, PUBLIC, stolen) == "bad_signature"
    zeros = SEALED[:-64] + bytes(64)
    assert reason(cose.verify, PUBLIC, zeros) == "bad_signature"


def test_size_limit_is_exact():
    room = cose.FRAME_SIZE_MAX - (len(SEALED) - len(PAYLOAD)) - 2  # its head takes two bytes more
    largest = cose.sign1(SECRET, KID, bytes(room))
    assert len(largest) == cose.FRAME_SIZE_MAX
    assert cose.verify(PUBLIC, largest) == bytes(room)
    assert reason(cose.sign1, SECRET, KID, bytes(room + 1)) == "too_long"


def test_parts_have_their_sizes():
    assert reason(cose.join, KID[1:], PAYLOAD, bytes(64)) == "bad_form"
    assert reason(cose.join, KID, PAYLOAD, bytes(63)) == "bad_form"
    assert cose.board_key(PUBLIC) == hashlib.sha256(PUBLIC).digest()
    assert cose.board_key(PUBLIC)[:8] == KID


@given(st.binary(max_size=150), st.binary(max_size=200))
@example(bytes(64), b"")
@example(bytes(65), b"")
def test_hmac_is_the_standard_one(key, message):
    found = hmac.hmac_sha256(key, message)
    assert found == stdlib_hmac.digest(key, message, "sha256")
    assert hmac.equal(found, bytes(found))
    assert not hmac.equal(found, found[:-1])
    assert not hmac.equal(found, found[:-1] + bytes([found[-1] ^ 1]))


def test_topics():
    assert link.topic(bytes.fromhex("d4784063a6065a33"), "ack") == "wattness/1/d4784063a6065a33/ack"
    assert reason(link.topic, bytes(7), "ack") == "bad_form"
    assert reason(link.topic, bytes(8), "ask") == "bad_form"


@given(st.binary(max_size=100), st.integers(0, 10_000))
def test_link_opens_what_it_sealed_and_nothing_else(body, bit):
    topic = link.topic(KID, "cmd")
    sealed = link.seal(KEY, topic, body)
    assert sealed == body + stdlib_hmac.digest(KEY, topic.encode() + b"\x00" + body, "sha256")[:16]
    assert link.open(KEY, topic, sealed) == body
    changed = bytearray(sealed)
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    assert reason(link.open, KEY, topic, bytes(changed)) == "bad_tag"
    assert reason(link.open, KEY, link.topic(KID, "ack"), sealed) == "bad_tag"
    assert reason(link.open, KEY[::-1], topic, sealed) == "bad_tag"


def test_link_sizes():
    assert reason(link.open, KEY, "t", bytes(15)) == "truncated"
    assert reason(link.open, KEY, "t", bytes(8192 + 17)) == "too_long"
    assert reason(link.seal, KEY[1:], "t", b"") == "bad_key"
    assert link.open(KEY, "t", link.seal(KEY, "t", bytes(8192))) == bytes(8192)


@given(st.tuples(*[st.integers(0, 2**63 - 1)] * 3))
def test_acks(values):
    assert link.decode_ack(link.encode_ack(*values)) == values


@pytest.mark.parametrize("args", [None, [0, 5], {"a": b"x"}, "text", 7])
def test_commands(args):
    assert link.decode_command(link.encode_command(9, "resend", args)) == (9, "resend", args)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "bad_type"),
        ([1, 2], "bad_form"),
        ([1, 2, 3, 4], "bad_form"),
        ([1, -2, 3], "bad_range"),
        ([1, None, 3], "bad_type"),
        ([1, 2, "x"], "bad_type"),
    ],
)
def test_refused_acks(body, expected):
    assert reason(link.decode_ack, cbor.encode(body)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([1, "reset"], "bad_form"),
        ([-1, "reset", None], "bad_range"),
        ([b"1", "reset", None], "bad_type"),
        ([1, 2, None], "bad_type"),
        ([1, "", None], "bad_form"),
    ],
)
def test_refused_commands(body, expected):
    assert reason(link.decode_command, cbor.encode(body)) == expected


def test_the_error_says_what_and_why():
    error = WireError("bad_range", "seq")
    assert (error.reason, error.detail, str(error)) == ("bad_range", "seq", "bad_range: seq")
    assert str(WireError("truncated")) == "truncated"
