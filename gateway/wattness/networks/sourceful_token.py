"""ES256 JSON web tokens as Sourceful uses them: one per connection, and in its archived format one per reading."""

import base64
import binascii
import json
import uuid
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from wattness.errors import RejectedError
from wattness.jsontext import once
from wattness.signing import Signer

TTL_S = 600
TOKEN_BYTES_MAX = 1 << 20
POINT_SIZE = 64  # X‖Y
SIGNATURE_SIZE = 64  # r‖s


class Token(NamedTuple):
    """A token whose signature is good."""

    header: dict[str, Any]
    payload: dict[str, Any]


async def mint(signer: Signer, serial: str, now_s: int) -> str:
    """Return the password of one connection, good for ten minutes."""
    header = {"alg": "ES256", "typ": "JWT", "device": serial}
    return await sign(signer, header, {"iat": now_s, "exp": now_s + TTL_S, "jti": str(uuid.uuid4())})


async def sign(signer: Signer, header: dict[str, Any], payload: dict[str, Any]) -> str:
    """Return a compact token."""
    signed = ".".join(_encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, payload))
    return f"{signed}.{_encode(await signer.sign(signed.encode()))}"


def verify(text: bytes, point: bytes) -> Token:
    """Return what a token of the key X‖Y says; raises RejectedError."""
    if len(text) > TOKEN_BYTES_MAX:
        raise RejectedError("too_long", f"more than {TOKEN_BYTES_MAX} bytes")
    parts = text.strip().split(b".")
    if len(parts) != 3:
        raise RejectedError("bad_form", "a token is three parts with dots between them")
    header, payload, signature = (_decode(part) for part in parts)
    _check_signature(point, b".".join(parts[:2]), signature)
    token = Token(_object(header), _object(payload))
    if token.header.get("alg") != "ES256" or token.header.get("typ") != "JWT":
        raise RejectedError("bad_header", "alg must be ES256 and typ JWT")
    return token


def _check_signature(point: bytes, message: bytes, signature: bytes) -> None:
    if len(point) != POINT_SIZE:
        raise RejectedError("bad_key", "a public key is X and Y, 64 bytes together")
    if len(signature) != SIGNATURE_SIZE:
        raise RejectedError("bad_signature", "r and s are 64 bytes together")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key = ec.EllipticCurvePublicNumbers(
            int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big"), ec.SECP256R1()
        ).public_key()
    except ValueError:
        raise RejectedError("bad_key", "X and Y are no point of P-256") from None
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise RejectedError("bad_signature") from None


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise RejectedError("bad_form", f"no JSON: {error}") from None
    if not isinstance(value, dict):
        raise RejectedError("bad_form", "header and payload are JSON objects")
    return value


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: bytes) -> bytes:
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise RejectedError("bad_form", "the parts are base64url") from None
    if _encode(data).encode() != text:
        raise RejectedError("bad_form", "the parts are base64url without padding")
    return data
