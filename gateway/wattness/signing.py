"""What signs for the gateway, and the ES256 arithmetic around it."""

import hashlib
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

KID_SIZE = 8
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256


class Signer(Protocol):
    """A P-256 or Ed25519 key that signs; where the secret lives is its own business."""

    @property
    def public_key(self) -> bytes:
        """P-256: the uncompressed point, 65 bytes. Ed25519: 32 bytes."""
        ...

    async def sign(self, message: bytes) -> bytes:
        """Return 64 bytes. P-256: ES256 as r‖s, deterministic (RFC 6979), low S. Ed25519: RFC 8032."""
        ...


class DigestSigner(Protocol):
    """A secp256k1 key that signs hashes, from whose signatures the key can be recovered."""

    @property
    def public_key(self) -> bytes:
        """The uncompressed point, 65 bytes."""
        ...

    async def sign_digest(self, digest: bytes) -> bytes:
        """Return r‖s‖v over a hash of 32 bytes: deterministic (RFC 6979), low S, v 0 or 1."""
        ...


def key_hash(public_key: bytes) -> bytes:
    """SHA-256 over a public key: what streams records and networks know a gateway by."""
    return hashlib.sha256(public_key).digest()


def kid(public_key: bytes) -> bytes:
    """The key id in an envelope."""
    return key_hash(public_key)[:KID_SIZE]


def raw_low_s(der: bytes, order: int = ORDER) -> bytes:
    """Return a DER signature as r‖s with s ≤ n/2: of the two valid forms everybody accepts only this one."""
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + min(s, order - s).to_bytes(32, "big")
