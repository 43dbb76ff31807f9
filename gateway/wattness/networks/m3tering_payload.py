"""M3tering's payloads: the 72 bytes that a meter signs, what may follow them, a Console's answer, and the genesis form.

V2 is `nonce u32 | energy u32 | Ed25519 signature over these 8 bytes`, big-endian; energy is kWh × 10⁶, which are our
mWh. Unsigned, and each only behind the one before: voltage, the device's public key, its place.
"""

import base64
import binascii
import json
import math
import re
import struct
from decimal import Decimal
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wattness.errors import RefusedError, RejectedError

HEAD = struct.Struct(">II")
SIGNATURE_SIZE = 64
CORE_SIZE = HEAD.size + SIGNATURE_SIZE
KEY_SIZE = 32
U32_MAX = 0xFFFF_FFFF  # in energy 4,294.967295 kWh
DECIVOLTS_MAX = 0xFFFF
DEGREE = 100_000
PLACE_MAX = (1 << 23) - 1  # 83.88607°: three bytes reach no further
EXTENDED_SIZES = (0, 2, 2 + KEY_SIZE, 2 + KEY_SIZE + 6)

_GENESIS = re.compile(r"\[(\d{1,10}),(\d{1,6}(?:\.\d{1,9})?),(\d{1,6}(?:\.\d{1,9})?),(\d{1,9}(?:\.\d{1,9})?)\]")


class Extension(NamedTuple):
    """What may follow the signed core; a field needs the ones before it."""

    decivolts: int | None = None
    device: bytes = b""  # its public key
    place: tuple[int, int] | None = None  # longitude and latitude in 10⁻⁵ degrees


class Payload(NamedTuple):
    """A message, taken apart."""

    nonce: int
    energy_mwh: int
    signature: bytes
    extension: Extension


class Answer(NamedTuple):
    """What a Console says in a downlink; `nonce` is the last one that it took, told when ours was not the next."""

    is_on: bool
    nonce: int | None
    latitude: float | None
    longitude: float | None


class Genesis(NamedTuple):
    """A reading of the first version, whose energy is of its own interval."""

    nonce: int
    volts: Decimal
    amperes: Decimal
    kwh: Decimal
    public_key: bytes


def place_of(longitude: float, latitude: float) -> tuple[int, int]:
    """Return a place in the payload's unit; raises RefusedError for one that three bytes do not reach."""
    place = (round(longitude * DEGREE), round(latitude * DEGREE))
    if any(abs(value) > PLACE_MAX for value in place):
        raise RefusedError("out_of_reach", "M3tering's coordinates end at ±83.88°")
    return place


def encode(nonce: int, energy_mwh: int, extension: Extension) -> bytes:
    """Return a message without its signature; raises RefusedError for what does not fit."""
    if not 0 <= nonce <= U32_MAX or not 0 <= energy_mwh <= U32_MAX:
        raise RefusedError("out_of_range", f"nonce {nonce} and {energy_mwh} mWh must fit in 32 bits each")
    return HEAD.pack(nonce, energy_mwh) + _extend(extension)


def join(body: bytes, signature: bytes) -> bytes:
    """Return the message to send, from what `encode` gave and the signature over its head."""
    return body[: HEAD.size] + signature + body[HEAD.size :]


def decode(raw: bytes) -> Payload:
    """Take a message apart; raises RejectedError. Its signature is another matter, see `is_signed`."""
    if len(raw) - CORE_SIZE not in EXTENDED_SIZES:
        raise RejectedError("bad_length", f"{len(raw)} bytes")
    nonce, energy_mwh = HEAD.unpack_from(raw)
    rest = raw[CORE_SIZE:]
    decivolts = int.from_bytes(rest[:2], "big") if rest else None
    place = None
    if len(rest) == EXTENDED_SIZES[-1]:
        place = (int.from_bytes(rest[-6:-3], "big", signed=True), int.from_bytes(rest[-3:], "big", signed=True))
    extension = Extension(decivolts, rest[2 : 2 + KEY_SIZE], place)
    return Payload(nonce, energy_mwh, raw[HEAD.size : CORE_SIZE], extension)


def is_signed(raw: bytes, public_key: bytes) -> bool:
    """Whether a message's core carries that key's signature."""
    return _verifies(public_key, raw[HEAD.size : CORE_SIZE], raw[: HEAD.size])


def parse_answer(raw: bytes) -> Answer:
    """Read a downlink `[is_on][nonce][latitude][longitude]`, of which all but the first may be missing."""
    if len(raw) not in {1, 5, 9, 13} or raw[0] > 1:
        raise RejectedError("bad_answer", raw[:16].hex())
    has_nonce = len(raw) in {5, 13}
    nonce = int.from_bytes(raw[1:5], "big") if has_nonce else None
    latitude, longitude = struct.unpack(">ff", raw[-8:]) if len(raw) > 5 else (None, None)
    if latitude is not None and not (math.isfinite(latitude) and math.isfinite(longitude)):
        raise RejectedError("bad_answer", "a place that is no number")
    return Answer(bool(raw[0]), nonce, latitude, longitude)


def verify_genesis(payload: object) -> Genesis:
    """Return the reading of a first-version triple `[text, signature, key]`; raises RejectedError.

    What was signed is the text as JSON writes it: with its quotes, and digit for digit as it came.
    """
    text, signature, public_key = _triple(payload)
    found = _GENESIS.fullmatch(text)
    if found is None:
        raise RejectedError("bad_form", "expected [nonce,voltage,current,energy] without spaces")
    if not _verifies(public_key, signature, json.dumps(text).encode()):
        raise RejectedError("bad_signature")
    return Genesis(int(found[1]), Decimal(found[2]), Decimal(found[3]), Decimal(found[4]), public_key)


def _triple(payload: object) -> tuple[str, bytes, bytes]:
    if not isinstance(payload, list) or len(payload) != 3 or not all(isinstance(part, str) for part in payload):
        raise RejectedError("bad_form", "expected [text, signature, public key]")
    parts: list[Any] = payload
    try:
        return parts[0], base64.b64decode(parts[1], validate=True), base64.b64decode(parts[2], validate=True)
    except (binascii.Error, ValueError):
        raise RejectedError("bad_form", "signature and key are base64") from None


def _extend(extension: Extension) -> bytes:
    decivolts, device, place = extension
    if decivolts is None:
        return b""
    if not 0 <= decivolts <= DECIVOLTS_MAX:
        raise RefusedError("out_of_range", f"{decivolts} tenths of a volt must fit in 16 bits")
    if not device:
        return decivolts.to_bytes(2, "big")
    if len(device) != KEY_SIZE:
        raise RefusedError("bad_device", "a device's id is its public key of 32 bytes")
    if place is None:
        return decivolts.to_bytes(2, "big") + device
    if any(abs(value) > PLACE_MAX for value in place):
        raise RefusedError("out_of_reach", "M3tering's coordinates end at ±83.88°")
    return decivolts.to_bytes(2, "big") + device + b"".join(value.to_bytes(3, "big", signed=True) for value in place)


def _verifies(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
