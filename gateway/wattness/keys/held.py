"""Signers whose secret is in this process's memory, one for each curve."""

from collections.abc import Callable
from typing import Any, NamedTuple

try:
    from coincurve import PrivateKey
except ImportError:  # no wheel for this Python: `cryptography` signs, and the recovery bit is found out
    PrivateKey = None  # type: ignore[assignment, misc]

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wattness.signing import DigestSigner, Signer, raw_low_s

from . import recovery

_ES256 = ec.ECDSA(SHA256(), deterministic_signing=True)
_OF_DIGEST = ec.ECDSA(Prehashed(SHA256()), deterministic_signing=True)


class HeldP256:
    """A P-256 key: ES256 over messages."""

    def __init__(self, secret: ec.EllipticCurvePrivateKey) -> None:
        self._secret = secret
        self._public_key = secret.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    @property
    def public_key(self) -> bytes:
        """The uncompressed point, 65 bytes."""
        return self._public_key

    async def sign(self, message: bytes) -> bytes:
        """Return r‖s over `message`."""
        return raw_low_s(self._secret.sign(message, _ES256))


class HeldSecp256k1:
    """A secp256k1 key: signatures of hashes, from which the key can be recovered."""

    def __init__(self, secret: ec.EllipticCurvePrivateKey) -> None:
        self._secret = secret
        self._public_key = secret.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._fast = PrivateKey.from_int(secret.private_numbers().private_value) if PrivateKey is not None else None

    @property
    def public_key(self) -> bytes:
        """The uncompressed point, 65 bytes."""
        return self._public_key

    async def sign_digest(self, digest: bytes) -> bytes:
        """Return r‖s‖v over a hash of 32 bytes; the same bytes whichever library signs."""
        if self._fast is not None:
            return self._fast.sign_recoverable(digest, hasher=None)
        return recovery.with_id(digest, self._secret.sign(digest, _OF_DIGEST), self._public_key)


class HeldEd25519:
    """An Ed25519 key: signatures of messages."""

    def __init__(self, secret: ed25519.Ed25519PrivateKey) -> None:
        self._secret = secret
        self._public_key = secret.public_key().public_bytes_raw()

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self._public_key

    async def sign(self, message: bytes) -> bytes:
        """Return 64 bytes over `message`."""
        return self._secret.sign(message)


class Curve(NamedTuple):
    """How keys of one kind are made, told from others, and used."""

    make: Callable[[], Any]
    fits: Callable[[object], bool]
    signer: Callable[[Any], Signer | DigestSigner]


def _on(curve: type[ec.EllipticCurve]) -> Callable[[object], bool]:
    return lambda secret: isinstance(secret, ec.EllipticCurvePrivateKey) and isinstance(secret.curve, curve)


def _secp256k1() -> ec.EllipticCurvePrivateKey:
    """Return a new key whose Y is even, as one in two is: some networks (Glow) take no other, so all ours are so."""
    while True:
        secret = ec.generate_private_key(ec.SECP256K1())
        if secret.public_key().public_numbers().y % 2 == 0:
            return secret


CURVES = {
    "P-256": Curve(lambda: ec.generate_private_key(ec.SECP256R1()), _on(ec.SECP256R1), HeldP256),
    "secp256k1": Curve(_secp256k1, _on(ec.SECP256K1), HeldSecp256k1),
    "Ed25519": Curve(
        ed25519.Ed25519PrivateKey.generate,
        lambda secret: isinstance(secret, ed25519.Ed25519PrivateKey),
        HeldEd25519,
    ),
}


def curve_of(secret: object) -> str | None:
    """Return the curve of a secret key, or None when it is of no curve that we use."""
    return next((name for name, curve in CURVES.items() if curve.fits(secret)), None)
