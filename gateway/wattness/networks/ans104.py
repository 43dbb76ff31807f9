"""Arweave's bundled data items (ANS-104), signed by an Ethereum key: bytes in, bytes out."""

import base64
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

ETHEREUM = 3  # the signature type: EIP-191 over the deep hash, secp256k1
SIGNATURE_SIZE = 65
OWNER_SIZE = 65

Tags = Sequence[tuple[str, str]]


class Blob:
    """The deep hash of bytes that come piece by piece."""

    def __init__(self, data: bytes = b"") -> None:
        self.size = 0
        self._hash = hashlib.sha384()
        self.update(data)

    def update(self, data: bytes) -> None:
        """Take the next piece."""
        self._hash.update(data)
        self.size += len(data)

    def digest(self) -> bytes:
        """Return the deep hash of all pieces."""
        tag = hashlib.sha384(b"blob%d" % self.size).digest()
        return hashlib.sha384(tag + self._hash.digest()).digest()


class Item(NamedTuple):
    """Everything of a data item but its signature and its data."""

    owner: bytes  # the uncompressed point, 65 bytes
    tags: Tags

    def message(self, data: Blob) -> bytes:
        """Return the deep hash that the owner signs."""
        parts = [b"dataitem", b"1", b"%d" % ETHEREUM, self.owner, b"", b"", encode_tags(self.tags)]
        digest = hashlib.sha384(b"list%d" % (len(parts) + 1)).digest()
        for part in (*(Blob(part).digest() for part in parts), data.digest()):
            digest = hashlib.sha384(digest + part).digest()
        return digest

    def head(self, signature: bytes) -> bytes:
        """Return the item up to where its data begins; neither target nor anchor."""
        tags = encode_tags(self.tags)
        return b"".join(
            (
                ETHEREUM.to_bytes(2, "little"),
                signature,
                self.owner,
                b"\x00\x00",
                len(self.tags).to_bytes(8, "little"),
                len(tags).to_bytes(8, "little"),
                tags,
            )
        )


def split(item: bytes) -> tuple[bytes, bytes]:
    """Return the head and the data of an item whose head `Item.head` made."""
    at = 2 + SIGNATURE_SIZE + OWNER_SIZE + 2 + 8
    end = at + 8 + int.from_bytes(item[at : at + 8], "little")
    return item[:end], item[end:]


def item_id(signature: bytes) -> str:
    """Return the id by which Arweave knows an item."""
    return base64.urlsafe_b64encode(hashlib.sha256(signature).digest()).decode().rstrip("=")


def signature_of(head: bytes) -> bytes:
    """Return the signature in the head of an item."""
    return head[2 : 2 + SIGNATURE_SIZE]


def encode_tags(tags: Tags) -> bytes:
    """Return tags as Avro writes an array of records of two strings."""
    if not tags:
        return b""
    out = bytearray(_long(len(tags)))
    for pair in tags:
        for text in pair:
            raw = text.encode()
            out += _long(len(raw)) + raw
    return bytes(out + _long(0))


def _long(number: int) -> bytes:
    """Return a natural number as Avro's zigzag varint."""
    number <<= 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
