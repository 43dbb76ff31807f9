"""The gateway's key: made once on request, private on disk, ES256 in the one form that everybody takes."""

import asyncio
import os
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from wattness.errors import ConfigError
from wattness.keys import new_key, open_signer
from wattness.keys.held import HeldP256
from wattness.signing import ORDER, key_hash, kid, raw_low_s
from wattwire import cose, p256

URI = "file:gateway.key"
# RFC 6979 A.2.5, P-256 with SHA-256; the s of "sample" is above n/2 there and comes out as n − s.
SECRET = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
KNOWN = {
    b"sample": "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    "0834e36ad29a83bf2bc9385e491d6099c8fdf9d1ed67aa7ea5f51f93782857a9",
    b"test": "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
    "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
}


def pem(secret) -> bytes:
    return secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write(tmp_path, content: bytes, mode: int = 0o600) -> None:
    file = tmp_path / "gateway.key"
    file.write_bytes(content)
    file.chmod(mode)


async def test_new_key_is_private_and_opens_again(tmp_path):
    made = new_key(URI, tmp_path)
    file = tmp_path / "gateway.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    opened = open_signer(URI, tmp_path)
    assert opened.public_key == made.public_key
    assert len(opened.public_key) == 65
    assert await opened.sign(b"x") == await made.sign(b"x")


def test_new_key_ignores_a_generous_umask_and_never_overwrites(tmp_path):
    before = os.umask(0)
    try:
        new_key(URI, tmp_path)
    finally:
        os.umask(before)
    content = (tmp_path / "gateway.key").read_bytes()
    assert stat.S_IMODE((tmp_path / "gateway.key").stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="never overwritten"):
        new_key(URI, tmp_path)
    assert (tmp_path / "gateway.key").read_bytes() == content


def test_new_key_in_a_missing_folder_says_so(tmp_path):
    with pytest.raises(ConfigError, match="cannot be made"):
        new_key("file:nowhere/gateway.key", tmp_path)


def test_missing_key_names_the_command_and_makes_nothing(tmp_path):
    with pytest.raises(ConfigError, match="run `wattness key new`"):
        open_signer(URI, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o601])
def test_key_that_others_can_touch_is_refused(tmp_path, mode):
    write(tmp_path, pem(ec.generate_private_key(ec.SECP256R1())), mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        open_signer(URI, tmp_path)


@pytest.mark.parametrize("uri", ["", "gateway.key", "file:", "pkcs11:token", "tpm:0x81000001"])
def test_unknown_uri_names_the_setting(tmp_path, uri):
    with pytest.raises(ConfigError, match=r"\$\.key"):
        open_signer(uri, tmp_path)
    with pytest.raises(ConfigError, match=r"\$\.key"):
        new_key(uri, tmp_path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "no PEM key"),
        (b"-----BEGIN PRIVATE KEY-----\njunk\n-----END PRIVATE KEY-----\n", "no PEM key"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "another kind"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "another kind"),
    ],
)
def test_other_content_is_refused(tmp_path, content, text):
    write(tmp_path, content)
    with pytest.raises(ConfigError, match=text):
        open_signer(URI, tmp_path)


def test_a_folder_is_no_key(tmp_path):
    (tmp_path / "gateway.key").mkdir(mode=0o700)
    with pytest.raises(ConfigError):
        open_signer(URI, tmp_path)


async def test_known_answers_of_rfc_6979_with_low_s(tmp_path):
    write(tmp_path, pem(ec.derive_private_key(SECRET, ec.SECP256R1())))
    signer = open_signer(URI, tmp_path)
    for message, signature in KNOWN.items():
        assert (await signer.sign(message)).hex() == signature


@settings(max_examples=20, deadline=None)
@given(st.integers(1, ORDER - 1), st.binary(max_size=200))
def test_signatures_equal_those_of_the_wire(secret, message):
    signer = HeldP256(ec.derive_private_key(secret, ec.SECP256R1()))
    assert signer.public_key == p256.public_key(secret.to_bytes(32, "big"))
    signature = asyncio.run(signer.sign(cose.to_be_signed(kid(signer.public_key), message)))
    envelope = cose.sign1(secret.to_bytes(32, "big"), kid(signer.public_key), message)
    assert envelope == cose.join(kid(signer.public_key), message, signature)
    assert key_hash(signer.public_key) == cose.board_key(signer.public_key)


def test_high_s_is_turned_low():
    assert raw_low_s(encode_dss_signature(5, ORDER - 7)) == (5).to_bytes(32, "big") + (7).to_bytes(32, "big")
    assert raw_low_s(encode_dss_signature(5, 7)) == (5).to_bytes(32, "big") + (7).to_bytes(32, "big")
