"""Secrets sealed by a passphrase: scrypt makes the key, AES-256-GCM seals, and what stands beside is sealed in as well.

A sealed file is one JSON object: `form` says what it is, `about` may be read without the passphrase but not changed.
"""

import os
import unicodedata
from typing import Annotated, Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from wattness.errors import ConfigError

COST = 1 << 17  # scrypt's N: 128 MB and some 0.4 s for each guess
COST_MAX = 1 << 20  # a file that asks for more than 1 GB is refused
BLOCK_SIZE = 8  # scrypt's r
SALT_SIZE, NONCE_SIZE, KEY_SIZE = 16, 12, 32
PASSPHRASE_MIN, PASSPHRASE_MAX = 8, 1024  # characters


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a sealed file holds; bytes are base64 in it."""

    form: str
    about: dict[str, Any]
    cost: Annotated[int, msgspec.Meta(ge=2, le=COST_MAX)]
    salt: Annotated[bytes, msgspec.Meta(min_length=SALT_SIZE, max_length=SALT_SIZE)]
    nonce: Annotated[bytes, msgspec.Meta(min_length=NONCE_SIZE, max_length=NONCE_SIZE)]
    sealed: bytes


def seal(form: str, about: dict[str, Any], secret: bytes, passphrase: str) -> bytes:
    """Return a file that only `passphrase` opens; raises ConfigError for one that is too short."""
    if not PASSPHRASE_MIN <= len(passphrase) <= PASSPHRASE_MAX:
        raise ConfigError(f"A passphrase has {PASSPHRASE_MIN} to {PASSPHRASE_MAX} characters; this one is not taken.")
    head = Sealed(form, about, COST, os.urandom(SALT_SIZE), os.urandom(NONCE_SIZE), b"")
    sealed = _cipher(head, passphrase).encrypt(head.nonce, secret, _bound(head))
    return msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(head, sealed=sealed)), indent=1) + b"\n"


def parse(content: bytes, form: str) -> Sealed | None:
    """Return a sealed file of that form, or None when it is something else."""
    try:
        sealed = msgspec.json.decode(content, type=Sealed)
    except (msgspec.DecodeError, RecursionError):
        return None
    return sealed if sealed.form == form and not sealed.cost & (sealed.cost - 1) else None


def unseal(sealed: Sealed, passphrase: str) -> bytes | None:
    """Return the secret, or None when it is another passphrase or the file was changed."""
    try:
        return _cipher(sealed, passphrase).decrypt(sealed.nonce, sealed.sealed, _bound(sealed))
    except InvalidTag:
        return None


def _cipher(head: Sealed, passphrase: str) -> AESGCM:
    typed = unicodedata.normalize("NFC", passphrase).encode()  # terminals differ in how they send accents
    return AESGCM(Scrypt(salt=head.salt, length=KEY_SIZE, n=head.cost, r=BLOCK_SIZE, p=1).derive(typed))


def _bound(head: Sealed) -> bytes:
    return msgspec.json.encode([head.form, head.about, head.cost], order="deterministic")
