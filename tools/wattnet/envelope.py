"""Signatures: the COSE_Sign1 form of the wire with this network's own context, checked by PyCA."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from wattwire import cbor, cose
from wattwire.errors import WireError

from .refusal import RefusalError

AAD = b"wattnet/1"
PUBLIC_KEY_SIZE = 65
_ES256 = ec.ECDSA(SHA256())


def key_hash(public_key: bytes) -> bytes:
    """SHA-256 over an uncompressed public key: what boards and gateways are known by."""
    return hashlib.sha256(public_key).digest()


@lru_cache(maxsize=4096)
def load_key(public_key: bytes) -> ec.EllipticCurvePublicKey:
    """Return the key object of an uncompressed P-256 point; raises RefusalError."""
    if len(public_key) != PUBLIC_KEY_SIZE or public_key[0] != 4:
        raise RefusalError(422, "bad_key", "expected an uncompressed P-256 point of 65 bytes")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    except ValueError:
        raise RefusalError(422, "bad_key", "the point is not on the curve") from None


def signed_by(public_key: bytes, kid: bytes, payload: bytes, signature: bytes, aad: bytes) -> bool:
    """Whether `signature` (r‖s) is that key's over the Sig_structure of these parts."""
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        load_key(public_key).verify(der, cose.to_be_signed(kid, payload, aad), _ES256)
    except InvalidSignature:
        return False
    return True


def open_envelope(data: bytes, key_of: Callable[[bytes, dict[Any, Any]], bytes]) -> dict[Any, Any]:
    """Return the map that an envelope carries; `key_of(kid, map)` names the key it must be signed with."""
    try:
        kid, payload, signature = cose.parse(data)
        value = cbor.decode(payload)
    except WireError as error:
        raise RefusalError(422, error.reason, error.detail) from None
    if not isinstance(value, dict):
        raise RefusalError(422, "bad_type", "the payload must be a map")
    public_key = key_of(kid, value)
    if key_hash(public_key)[: cose.KID_SIZE] != kid:
        raise RefusalError(422, "bad_kid", "the key id is not of this key")
    if not signed_by(public_key, kid, payload, signature, AAD):
        raise RefusalError(422, "bad_signature")
    return value
