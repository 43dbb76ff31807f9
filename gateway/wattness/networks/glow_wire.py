"""Glow's protocol as bytes: slots, signed UDP reports, and the TCP answer that tells which of them arrived."""

import struct
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from .ethereum import keccak256

GENESIS_UNIX_MS = 1_700_352_000_000  # 2023-11-19 00:00 UTC
SLOT_MS = 300_000
SLOTS_AWAY_MAX = 432  # a server takes no report that is further from its own slot
ZERO = 2  # "reported, and it was nothing"; 0 is "none", 1 "banned", 3 "the sensor failed"
ZERO_BELOW_MWH = 24

_HEAD = struct.Struct("<IIQ")
_PACKET = struct.Struct("<IIQ64s")
_FRONT = struct.Struct("<32sI504s32sI")  # device key, first slot, bit field, next GCA key, next ShortID
_BACK = struct.Struct("<64sQ64s")  # migration signature, unix seconds, server's signature
SYNC_SIZE_MIN = _FRONT.size + _BACK.size
_ECDSA = ec.ECDSA(Prehashed(SHA256()))  # whatever made the 32 bytes


class Packet(NamedTuple):
    """One report as it goes over the line."""

    short_id: int
    slot: int
    output: int  # mWh in two's complement, or a sentinel
    signature: bytes


class Synced(NamedTuple):
    """What a server says it holds of one device."""

    public_key: bytes  # X of the compressed point
    first_slot: int
    bits: bytes
    next_short_id: int  # not 0: the device is being handed over to another auditor
    unix_s: int

    def has(self, slot: int) -> bool | None:
        """Whether the slot's report arrived; None when the server's history does not reach it."""
        at = slot - self.first_slot
        return bool(self.bits[at // 8] >> at % 8 & 1) if 0 <= at < 8 * len(self.bits) else None


def slot_at(unix_ms: int) -> int:
    """Return the number of the five minutes that an instant lies in."""
    return (unix_ms - GENESIS_UNIX_MS) // SLOT_MS


def output(net_mwh: int) -> int:
    """Return what a report says of a slot's energy, never a sentinel by accident."""
    return ZERO if abs(net_mwh) < ZERO_BELOW_MWH else net_mwh % (1 << 64)


def head(short_id: int, slot: int, net_mwh: int) -> bytes:
    """Return the part of a report that is signed."""
    return _HEAD.pack(short_id, slot, output(net_mwh))


def digest(signed_part: bytes) -> bytes:
    """Return the hash that a report's signature covers."""
    return keccak256(b"EquipmentReport" + signed_part)


def parse(packet: bytes) -> Packet:
    """Read a report of ours."""
    return Packet(*_PACKET.unpack(packet))


def parse_sync(reply: bytes, server_key: bytes) -> Synced:
    """Read what follows the length of a server's answer; raises ValueError when this server did not sign it."""
    if len(reply) < SYNC_SIZE_MIN:
        raise ValueError(f"it has {len(reply)} bytes, and at least {SYNC_SIZE_MIN} were expected")
    public_key, first_slot, bits, _, next_short_id = _FRONT.unpack_from(reply)
    _, unix_s, signature = _BACK.unpack_from(reply, len(reply) - _BACK.size)
    try:
        _verify(server_key, keccak256(reply[:-64]), signature)
    except InvalidSignature:
        raise ValueError("its signature is not by settings.server_key") from None
    return Synced(public_key, first_slot, bits, next_short_id, unix_s)


def fits(public_key: bytes) -> bool:
    """Whether Glow can take an uncompressed key: its compressed form must begin with 02."""
    return public_key[-1] % 2 == 0


def is_point(key: bytes) -> bool:
    """Whether 32 bytes are the X of a key."""
    try:
        _point(key)
    except ValueError:
        return False
    return True


def _point(key: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), b"\x02" + key)


def _verify(key: bytes, hashed: bytes, signature: bytes) -> None:
    """Verify r‖s by a key that is known by its X alone; raises InvalidSignature."""
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    _point(key).verify(encode_dss_signature(r, s), hashed, _ECDSA)
