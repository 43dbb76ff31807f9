"""Keys of networks: secp256k1 with the bit that recovers them, and Ed25519, each against others' libraries."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from eth_keys import KeyAPI
from eth_keys.backends import NativeECCBackend
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey, VerifyKey

from wattness.errors import ConfigError
from wattness.keys import new_key, open_signer, recovery
from wattness.keys.held import HeldEd25519, HeldSecp256k1

eth_keys = KeyAPI(NativeECCBackend())  # and not the library that we use ourselves
ORDER = recovery.ORDER
scalars = st.integers(1, ORDER - 1) | st.integers(1, 300) | st.integers(ORDER - 300, ORDER - 1)
digests = st.binary(min_size=32, max_size=32) | st.sampled_from([bytes(32), b"\xff" * 32, ORDER.to_bytes(32, "big")])


def key_of(secret: int) -> HeldSecp256k1:
    return HeldSecp256k1(ec.derive_private_key(secret, ec.SECP256K1()))


@settings(max_examples=40, deadline=None)
@given(scalars, digests)
@example(1, bytes(32))
def test_signatures_equal_those_of_eth_keys(secret, digest):
    theirs = eth_keys.PrivateKey(secret.to_bytes(32, "big"))
    ours = key_of(secret)
    assert ours.public_key == b"\x04" + theirs.public_key.to_bytes()
    signature = asyncio.run(ours.sign_digest(digest))
    assert signature == theirs.sign_msg_hash(digest).to_bytes()
    ours._fast = None  # as where coincurve has no wheel
    assert asyncio.run(ours.sign_digest(digest)) == signature
    recovered = eth_keys.Signature(signature).recover_public_key_from_msg_hash(digest)
    assert recovered == theirs.public_key


@settings(max_examples=40, deadline=None)
@given(scalars, scalars, digests)
@example(1, 1, (1).to_bytes(32, "big"))  # R, the key and the base are one point
@example(1, 2, (1).to_bytes(32, "big"))
@example(ORDER - 1, 1, (1).to_bytes(32, "big"))
def test_any_nonce_gives_the_bit_of_its_point(secret, nonce, digest):
    point = ec.derive_private_key(nonce, ec.SECP256K1()).public_key().public_numbers()
    r = point.x
    s = pow(nonce, -1, ORDER) * (int.from_bytes(digest, "big") + r * secret) % ORDER
    if not 0 < r < ORDER or not s:
        return
    assert recovery.recovery_id(digest, r, s, key_of(secret).public_key) == point.y & 1
    assert recovery.recovery_id(digest, r, ORDER - s, key_of(secret).public_key) == (point.y & 1) ^ 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, ORDER), st.integers(0, ORDER), st.binary(min_size=31, max_size=33))
def test_what_is_no_signature_has_no_bit(r, s, digest):
    with pytest.raises(ValueError, match="signature"):
        recovery.recovery_id(digest, r, s, key_of(5).public_key)


def test_a_signature_by_another_key_has_no_bit():
    digest = b"\x07" * 32
    signature = asyncio.run(key_of(6).sign_digest(digest))
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"))
    assert recovery.with_id(digest, der, key_of(6).public_key) == signature
    with pytest.raises(ValueError, match="not by this key"):
        recovery.with_id(digest, der, key_of(7).public_key)


def test_a_sum_of_nothing_is_no_signature():
    # s·R = z·G + r·Q is the point at infinity where z = −r·q
    with pytest.raises(ValueError, match="not by this key"):
        recovery.recovery_id((ORDER - 5 * 9 % ORDER).to_bytes(32, "big"), 9, 1, key_of(5).public_key)


@pytest.mark.parametrize(
    "public_key",
    [b"", b"\x04" + bytes(64), b"\x02" + key_of(5).public_key[1:], key_of(5).public_key[:-1] + b"\x00", bytes(65)],
)
def test_a_point_off_the_curve_is_refused(public_key):
    with pytest.raises(ValueError, match="no uncompressed point"):
        recovery.recovery_id(bytes(31) + b"\x01", 1, 1, public_key)


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_ed25519_equals_that_of_nacl(seed, message):
    ours = HeldEd25519(ed25519.Ed25519PrivateKey.from_private_bytes(seed))
    theirs = SigningKey(seed)
    assert ours.public_key == bytes(theirs.verify_key)
    signature = asyncio.run(ours.sign(message))
    assert signature == theirs.sign(message).signature
    VerifyKey(ours.public_key).verify(message, signature)


@pytest.mark.parametrize(("curve", "size"), [("P-256", 65), ("secp256k1", 65), ("Ed25519", 32)])
def test_a_key_of_each_curve_opens_again_and_as_no_other(tmp_path, curve, size):
    made = new_key("file:a.key", tmp_path, curve)
    assert len(made.public_key) == size
    assert open_signer("file:a.key", tmp_path, curve).public_key == made.public_key
    for other in {"P-256", "secp256k1", "Ed25519"} - {curve}:
        with pytest.raises(ConfigError, match=f"another kind; {other} is needed"):
            open_signer("file:a.key", tmp_path, other)


def test_every_network_takes_the_keys_that_we_make(tmp_path):
    for number in range(12):
        made = new_key(f"file:{number}.key", tmp_path, "secp256k1")
        assert made.public_key[-1] % 2 == 0  # compressed it begins with 02, as Glow wants


def test_an_unknown_curve_is_named(tmp_path):
    for act in (open_signer, new_key):
        with pytest.raises(ConfigError, match="no keys of 'P-521'; there are P-256, secp256k1, Ed25519"):
            act("file:a.key", tmp_path, "P-521")


def test_a_foreign_pem_of_the_right_curve_opens(tmp_path):
    secret = ec.derive_private_key(77, ec.SECP256K1())
    file = tmp_path / "a.key"
    file.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    file.chmod(0o600)
    assert open_signer("file:a.key", tmp_path, "secp256k1").public_key == key_of(77).public_key
