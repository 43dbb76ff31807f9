"""Reads a board's day back from a CARv1 file, and believes nothing of it: blocks, frames' signatures, Merkle roots."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

PREFIX = bytes.fromhex("01711220")  # CID version 1, dag-cbor, SHA2-256, 32 bytes
KEYS = {
    "format", "board", "public_key", "gateway", "provenance", "day", "rules", "frames", "frame_bytes", "streams",
}  # fmt: skip


class DayError(Exception):
    """What is wrong with an archive; `reason` is a snake_case code."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """`detail` is for people."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Day(NamedTuple):
    """A day that is right in every respect."""

    root: bytes  # CID
    value: dict[str, Any]
    frames: int
    intervals: int


def check_archive(data: bytes, gateway: bytes | None = None) -> Day:
    """Return the day in a CARv1 file, of a board that reports to this gateway (its key's hash); raises DayError."""
    root, blocks = _parse(data)
    names = list(blocks)
    if not names or names[0] != root:
        raise DayError("bad_car", "the root block does not come first")
    value = decode(blocks[root])
    check_root(value, gateway)
    frames = _frames(value, blocks)
    if len(blocks) != len(frames) + 1:
        raise DayError("bad_car", "there are blocks that nobody promised")
    for raw in frames.values():
        _check_signature(raw, value["public_key"])
    return Day(root, value, len(frames), _check_roots(value, frames))


def check_root(value: Any, gateway: bytes | None = None) -> None:
    """Raise DayError unless a root block has its form."""
    if not isinstance(value, dict) or set(value) != KEYS or value["format"] != "wattness/day/1":
        raise DayError("bad_root", "form")
    if hashlib.sha256(value["public_key"]).digest() != value["board"]:
        raise DayError("bad_root", "board")
    if gateway not in {None, value["gateway"]}:
        raise DayError("foreign_gateway", value["gateway"].hex())
    ends = [(log, first + len(links) - 1) for log, first, links in value["frames"]]
    begins = [(log, first) for log, first, _ in value["frames"]]
    if any(not begin > end for end, begin in zip(ends, begins[1:], strict=False)):
        raise DayError("bad_root", "order")


def decode(block: bytes) -> Any:
    """Return the value of a dag-cbor block; raises DayError for any but the one encoding of it."""
    try:
        value = cbor2.loads(block)
        again = cbor2.dumps(value, canonical=True)
    except (ValueError, cbor2.CBORError) as error:
        raise DayError("bad_block", str(error)) from None
    if again != block:
        raise DayError("bad_block", "not canonical")
    return value


def text(cid: bytes) -> str:
    """Return a CID in base32."""
    return "b" + base64.b32encode(cid).decode().rstrip("=").lower()


def _parse(data: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Return the root and all blocks, each of which has the hash that its CID says."""
    size, at = _varint(data, 0)
    head = decode(data[at : at + size])
    if not isinstance(head, dict) or head.get("version") != 1 or len(head.get("roots", ())) != 1:
        raise DayError("bad_car", "header")
    at += size
    blocks: dict[bytes, bytes] = {}
    while at < len(data):
        size, at = _varint(data, at)
        cid, block = data[at : at + 36], data[at + 36 : at + size]
        at += size
        if at > len(data) or cid in blocks:
            raise DayError("bad_car", "cut off, or a block twice")
        if cid != PREFIX + hashlib.sha256(block).digest():
            raise DayError("bad_cid", cid.hex())
        blocks[cid] = block
    return _target(head["roots"][0]), blocks


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(data) or shift > 28:
            raise DayError("bad_car", "length")
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return number, at


def _target(link: Any) -> bytes:
    if not isinstance(link, cbor2.CBORTag) or link.tag != 42 or not link.value.startswith(b"\x00" + PREFIX):
        raise DayError("bad_root", "link")
    return bytes(link.value[1:])


def _frames(value: Mapping[str, Any], blocks: Mapping[bytes, bytes]) -> dict[tuple[int, int], bytes]:
    found: dict[tuple[int, int], bytes] = {}
    for log, first, links in value["frames"]:
        for number, link in enumerate(links):
            block = blocks.get(_target(link))
            if block is None:
                raise DayError("missing_block", f"frame {first + number} of log {log}")
            raw = decode(block)
            if not isinstance(raw, bytes):
                raise DayError("bad_block", "a frame is a byte string")
            record = cbor2.loads(cbor2.loads(raw).value[2])
            if (record[1], record[2]) != (log, first + number):
                raise DayError("bad_root", "a frame of another place")
            found[log, first + number] = raw
    return found


def _check_signature(raw: bytes, public_key: bytes) -> None:
    protected, _, payload, signature = cbor2.loads(raw).value
    signed = cbor2.dumps(["Signature1", protected, b"wattwire/1", payload])
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
        key.verify(der, signed, ec.ECDSA(SHA256()))
    except (ValueError, InvalidSignature):
        raise DayError("bad_signature", "of a frame") from None


def _check_roots(value: Mapping[str, Any], frames: Mapping[tuple[int, int], bytes]) -> int:
    """Return how many intervals there are; raises DayError unless the frames prove each of them."""
    count = 0
    for stream in value["streams"]:
        for _, _, _, root, ranges in stream["intervals"]:
            places = [(log, seq) for log, first, last in sorted(map(tuple, ranges)) for seq in range(first, last + 1)]
            if not set(places) <= set(frames) or _merkle([frames[place] for place in places]) != root:
                raise DayError("bad_evidence", f"of {stream['device']}")
            count += 1
    return count


def _merkle(leaves: list[bytes]) -> bytes:
    """Return the root of RFC 9162 §2.1.1."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + _merkle(leaves[:half]) + _merkle(leaves[half:])).digest()
