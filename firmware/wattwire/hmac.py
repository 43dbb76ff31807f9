"""HMAC-SHA256 (RFC 2104) and a comparison that tells nothing by its time."""

import hashlib

BLOCK_SIZE = 64


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return the 32 bytes of HMAC-SHA256 over `message`."""
    if len(key) > BLOCK_SIZE:
        key = hashlib.sha256(key).digest()
    key = key + bytes(BLOCK_SIZE - len(key))
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
    inner.update(message)
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))
    outer.update(inner.digest())
    return outer.digest()


def equal(left: bytes, right: bytes) -> bool:
    """Compare two byte strings; the time depends on their lengths only."""
    if len(left) != len(right):
        return False
    difference = 0
    for one, other in zip(left, right):
        difference |= one ^ other
    return difference == 0
