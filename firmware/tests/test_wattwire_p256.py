"""The board's P-256 against PyCA's, and what it costs."""

import hashlib
import os

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wattwire import p256, p256_table
from wattwire.errors import WireError

CURVE = ec.SECP256R1()
DETERMINISTIC = ec.ECDSA(utils.Prehashed(hashes.SHA256()), deterministic_signing=True)
SECRETS = st.integers(1, p256.ORDER - 1)
DIGESTS = st.binary(min_size=32, max_size=32)
SECRET = bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")  # RFC 6979 A.2.5
DIGEST = hashlib.sha256(b"sample").digest()


def as_bytes(number):
    return number.to_bytes(32, "big")


def pyca_public(key):
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def pyca_signature(key, digest):
    r, s = utils.decode_dss_signature(key.sign(digest, DETERMINISTIC))
    return as_bytes(r) + as_bytes(min(s, p256.ORDER - s))


def pyca_verifies(public65, digest, signature):
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, public65)
        key.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    except (InvalidSignature, ValueError):
        return False
    return True


@settings(max_examples=60)
@given(SECRETS, DIGESTS)
@example(1, bytes(32))
@example(2, b"\xff" * 32)
@example(p256.ORDER - 1, as_bytes(p256.ORDER))
@example(p256.ORDER // 2, as_bytes(p256.ORDER - 1))
def test_signs_like_pyca(secret, digest):
    key = ec.derive_private_key(secret, CURVE)
    public65 = p256.public_key(as_bytes(secret))
    signature = p256.sign(as_bytes(secret), digest)
    assert public65 == pyca_public(key)
    assert signature == pyca_signature(key, digest)
    assert p256.verify(public65, digest, signature)


def test_known_answer_of_rfc_6979():
    public65 = p256.public_key(SECRET)
    assert public65[1:33].hex().startswith("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6")
    signature = p256.sign(SECRET, DIGEST)
    assert signature[:32].hex() == "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    high_s = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8
    assert signature[32:] == as_bytes(p256.ORDER - high_s)
    assert p256.verify(public65, DIGEST, signature[:32] + as_bytes(high_s))  # low S is the envelope's rule


@settings(max_examples=60)
@given(SECRETS, DIGESTS, st.integers(0, 64 * 8 - 1), st.sampled_from(["none", "signature", "digest", "public"]))
def test_verifies_like_pyca(secret, digest, bit, mutated):
    parts = {
        "public": p256.public_key(as_bytes(secret)),
        "digest": digest,
        "signature": p256.sign(as_bytes(secret), digest),
    }
    if mutated != "none":
        data = bytearray(parts[mutated])
        data[bit // 8 % len(data)] ^= 1 << bit % 8
        parts[mutated] = bytes(data)
    expected = pyca_verifies(parts["public"], parts["digest"], parts["signature"])
    assert p256.verify(parts["public"], parts["digest"], parts["signature"]) == expected
    assert expected == (mutated == "none")


@pytest.mark.parametrize("number", [0, p256.ORDER, p256.ORDER + 1, (1 << 256) - 1])
def test_scalars_out_of_range_are_refused(number):
    scalar = as_bytes(number)
    good = p256.sign(SECRET, DIGEST)
    public65 = p256.public_key(SECRET)
    assert not p256.valid_secret(scalar)
    assert not p256.verify(public65, DIGEST, scalar + good[32:])
    assert not p256.verify(public65, DIGEST, good[:32] + scalar)
    for refused in (lambda: p256.public_key(scalar), lambda: p256.sign(scalar, DIGEST)):
        with pytest.raises(WireError) as caught:
            refused()
        assert caught.value.reason == "bad_key"


def test_sizes_are_checked():
    public65 = p256.public_key(SECRET)
    good = p256.sign(SECRET, DIGEST)
    assert not p256.valid_secret(SECRET[1:])
    assert not p256.verify(public65[:-1], DIGEST, good)
    assert not p256.verify(public65, DIGEST[1:], good)
    assert not p256.verify(public65, DIGEST, good + b"\x00")
    with pytest.raises(WireError):
        p256.sign(SECRET, DIGEST[1:])


def test_points_off_the_curve_are_refused():
    good = p256.sign(SECRET, DIGEST)
    public65 = p256.public_key(SECRET)
    x = int.from_bytes(public65[1:33], "big")
    bad = (
        b"\x03" + public65[1:],
        b"\x04" + bytes(64),
        b"\x04" + as_bytes(p256.PRIME) + public65[33:],
        public65[:33] + as_bytes(p256.PRIME),
        b"\x04" + as_bytes(x ^ 1) + public65[33:],
    )
    for point in bad:
        assert not p256.verify(point, DIGEST, good)


def test_sum_of_equal_points_and_of_opposite_ones():
    base = p256.public_key(as_bytes(1))
    # u1 G and u2 Q meet when Q = G and digest = r; they cancel when Q = −G.
    opposite = p256.public_key(as_bytes(p256.ORDER - 1))
    for r in (5, 6, 7):
        signature = as_bytes(r) + as_bytes(9)
        for public65 in (base, opposite):
            assert p256.verify(public65, as_bytes(r), signature) == pyca_verifies(public65, as_bytes(r), signature)


def test_digest_zero_leaves_only_the_key_part():
    for digest in (bytes(32), as_bytes(p256.ORDER)):
        assert p256.verify(p256.public_key(SECRET), digest, p256.sign(SECRET, digest))


def test_nonce_out_of_range_and_zero_halves_are_passed_over(monkeypatch):
    true_nonces = p256._nonces
    true_multiply = p256.multiply_base
    first = {"multiply": True}

    def nonces(seed):
        yield bytes(32)
        yield b"\xff" * 32
        yield as_bytes(7)
        yield from true_nonces(seed)

    def multiply(scalar32):
        if first.pop("multiply", False):
            return (0, 1, 1)  # r would be 0
        return true_multiply(scalar32)

    expected = p256.sign(SECRET, DIGEST)
    monkeypatch.setattr(p256, "_nonces", nonces)
    monkeypatch.setattr(p256, "multiply_base", multiply)
    assert p256.sign(SECRET, DIGEST) == expected


def test_later_candidates_follow_rfc_6979():
    nonces = p256._nonces(SECRET + DIGEST)
    found = [next(nonces) for _ in range(3)]
    assert found[0].hex() == "a6e3c57dd01abe90086538398355dd4c3b17aa873382b0f24d6129493d8aad60"
    assert len(set(found)) == 3


def test_table_holds_the_multiples_it_says():
    assert len(p256_table.TABLE) == 1920
    for half in (0, 1):
        for digit in range(1, 16):
            scalar = sum(1 << (64 * tooth + 32 * half) for tooth in range(4) if digit >> tooth & 1)
            public65 = pyca_public(ec.derive_private_key(scalar, CURVE))
            at = 64 * (15 * half + digit - 1)
            assert p256_table.TABLE[at : at + 64] == public65[1:]


class Counted(int):
    """An integer that counts the multiplications of two numbers too large for one machine word."""

    count = 0

    def __mul__(self, other):
        if abs(self) >> 64 and abs(int(other)) >> 64:
            Counted.count += 1
        return Counted(int(self) * int(other))

    __rmul__ = __mul__

    def __add__(self, other):
        return Counted(int(self) + int(other))

    __radd__ = __add__

    def __sub__(self, other):
        return Counted(int(self) - int(other))

    def __rsub__(self, other):
        return Counted(int(other) - int(self))

    def __mod__(self, other):
        return Counted(int(self) % int(other))


def test_a_signature_takes_fewer_than_a_thousand_multiplications(monkeypatch):
    monkeypatch.setattr(p256, "int", Counted, raising=False)
    counts = []
    for _ in range(20):
        Counted.count = 0
        secret, digest = os.urandom(31).rjust(32, b"\x01"), os.urandom(32)
        signature = p256.sign(secret, digest)
        counts.append(Counted.count)
        assert signature == pyca_signature(ec.derive_private_key(int.from_bytes(secret, "big"), CURVE), digest)
    assert min(counts) > 800
    assert max(counts) < 1000
