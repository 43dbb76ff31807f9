"""The half of `p256` that checks signatures, which a board hardly ever does."""

from wattwire.p256 import (
    INFINITY,
    ORDER,
    PRIME,
    PUBLIC_SIZE,
    SCALAR_SIZE,
    SIGNATURE_SIZE,
    add,
    affine,
    double,
    inverse,
    multiply_base,
    valid_secret,
)

B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def verify(public65: bytes, digest32: bytes, sig64: bytes) -> bool:
    """Tell whether `sig64` is a signature of the digest; false for invalid keys and scalars as well."""
    point = _parse_public(public65)
    if point is None or len(sig64) != SIGNATURE_SIZE or len(digest32) != SCALAR_SIZE:
        return False
    if not valid_secret(sig64[:32]) or not valid_secret(sig64[32:]):
        return False
    r = int.from_bytes(sig64[:32], "big")
    one_by_s = inverse(int.from_bytes(sig64[32:], "big"), ORDER)
    for_base = int.from_bytes(digest32, "big") * one_by_s % ORDER
    total = _multiply(point, (r * one_by_s % ORDER).to_bytes(32, "big"))
    if for_base:
        total = add(total, affine(multiply_base(for_base.to_bytes(32, "big"))))
    return total[2] != 0 and affine(total)[0] % ORDER == r


def _parse_public(public65):
    """Return the affine point of an uncompressed key, or None when it is none on the curve."""
    if len(public65) != PUBLIC_SIZE or public65[0] != 4:
        return None
    x = int.from_bytes(public65[1:33], "big")
    y = int.from_bytes(public65[33:], "big")
    if x >= PRIME or y >= PRIME or (y * y - (x * x - 3) * x - B) % PRIME:
        return None
    return x, y


def _multiply(point, scalar32):
    """Return scalar × an affine point, bit by bit: for boards a signature to check is rare."""
    total = INFINITY
    for byte in scalar32:
        for shift in range(7, -1, -1):
            total = double(total)
            if byte >> shift & 1:
                total = add(total, point)
    return total
