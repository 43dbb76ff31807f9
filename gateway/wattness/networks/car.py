"""Content-addressed archives: dag-cbor blocks, their CIDs and the CARv1 file that carries them; bytes in, bytes out."""

import base64
import hashlib
from typing import Any

import cbor2

from wattwire.cbor import head

DAG_CBOR = 0x71
SHA2_256 = 0x12
CID_SIZE = 36
LINK_TAG = 42

_PREFIX = bytes((1, DAG_CBOR, SHA2_256, 32))


def link(cid: bytes) -> cbor2.CBORTag:
    """Return a CID as a value of a block."""
    return cbor2.CBORTag(LINK_TAG, b"\x00" + cid)


def block(value: Any) -> bytes:
    """Return the only dag-cbor encoding of `value`: integers, bytes, text, lists, maps of text, None and links."""
    return cbor2.dumps(value, canonical=True)


def bytes_block(data: bytes) -> bytes:
    """Return the block that holds a byte string and nothing else."""
    return bytes(head(2, len(data))) + data


def cid(data: bytes) -> bytes:
    """Return the CID (version 1, dag-cbor, SHA2-256) of a block."""
    return _PREFIX + hashlib.sha256(data).digest()


def cid_text(raw: bytes) -> str:
    """Return a CID as people write it: base32 in lower case."""
    return "b" + base64.b32encode(raw).decode().rstrip("=").lower()


def header(root: bytes) -> bytes:
    """Return how an archive with the root CID `root` begins."""
    return _prefixed(block({"roots": [link(root)], "version": 1}))


def section(name: bytes, data: bytes) -> bytes:
    """Return a block of an archive, with the CID it has."""
    return _prefixed(name + data)


def section_size(data_size: int) -> int:
    """Return how many bytes a block of so many bytes takes in an archive."""
    size = CID_SIZE + data_size
    return len(_varint(size)) + size


def _prefixed(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _varint(number: int) -> bytes:
    """Return an unsigned LEB128."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
