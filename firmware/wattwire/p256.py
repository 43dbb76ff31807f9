"""P-256 in plain integers: RFC 6979 signatures with low S for boards that have no ECDSA of their own.

Not constant time: whoever holds the board and an oscilloscope is out of scope.
"""

from wattwire.errors import WireError
from wattwire.hmac import hmac_sha256
from wattwire.p256_table import TABLE

PRIME = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

PUBLIC_SIZE = 65
SCALAR_SIZE = 32
SIGNATURE_SIZE = 64

# Points are Jacobian (x, y, z), which stands for (x / z², y / z³); z = 0 is the point at infinity.
INFINITY = (0, 1, 0)


def valid_secret(secret32: bytes) -> bool:
    """Tell whether `secret32` is a scalar from 1 to the order − 1."""
    return len(secret32) == SCALAR_SIZE and 0 < int.from_bytes(secret32, "big") < ORDER


def public_key(secret32: bytes) -> bytes:
    """Return the uncompressed public key of a secret."""
    if not valid_secret(secret32):
        raise WireError("bad_key", "secret out of range")
    x, y = affine(multiply_base(secret32))
    return b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")


def sign(secret32: bytes, digest32: bytes) -> bytes:
    """Return r ‖ s with s ≤ order / 2; the same secret and digest give the same bytes."""
    if not valid_secret(secret32) or len(digest32) != SCALAR_SIZE:
        raise WireError("bad_key", "secret or digest out of range")
    secret = int.from_bytes(secret32, "big")
    digest = int.from_bytes(digest32, "big") % ORDER
    nonces = _nonces(secret32 + digest.to_bytes(32, "big"))
    while True:
        nonce = next(nonces)
        if not valid_secret(nonce):
            continue
        r = affine(multiply_base(nonce))[0] % ORDER
        s = inverse(int.from_bytes(nonce, "big"), ORDER) * (digest + r * secret) % ORDER
        if r and s:
            return r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")


def verify(public65: bytes, digest32: bytes, sig64: bytes) -> bool:
    """Tell whether `sig64` is a signature of the digest; false for invalid keys and scalars as well."""
    from wattwire import p256_verify  # boards only sign

    return p256_verify.verify(public65, digest32, sig64)


def _nonces(seed):
    """Yield the candidates of RFC 6979 §3.2 for `seed`, which is secret ‖ reduced digest."""
    value = b"\x01" * 32
    key = bytes(32)
    for step in (b"\x00", b"\x01"):
        key = hmac_sha256(key, value + step + seed)
        value = hmac_sha256(key, value)
    while True:
        value = hmac_sha256(key, value)
        yield value
        key = hmac_sha256(key, value + b"\x00")
        value = hmac_sha256(key, value)


def multiply_base(scalar32):
    """Return scalar × base point by the comb: 4 teeth of 64 columns, 2 sub-tables of 32."""
    point = INFINITY
    for column in range(31, -1, -1):
        if point[2]:
            point = double(point)
        for half in (0, 1):
            digit = _digit(scalar32, column + 32 * half)
            if digit:
                point = add(point, _table_point(15 * half + digit - 1))
    return point


def _digit(scalar32, column):
    """Return the bits column, column + 64, + 128 and + 192 of a big-endian scalar as one number."""
    at = 31 - (column >> 3)
    shift = column & 7
    return (
        (scalar32[at] >> shift & 1)
        | (scalar32[at - 8] >> shift & 1) << 1
        | (scalar32[at - 16] >> shift & 1) << 2
        | (scalar32[at - 24] >> shift & 1) << 3
    )


def _table_point(index):
    at = index * 64
    return int.from_bytes(TABLE[at : at + 32], "big"), int.from_bytes(TABLE[at + 32 : at + 64], "big")


def double(point):
    """Return 2 × a Jacobian point."""
    x, y, z = point
    delta = z * z % PRIME
    gamma = y * y % PRIME
    beta = x * gamma % PRIME
    alpha = 3 * (x - delta) * (x + delta) % PRIME
    x3 = (alpha * alpha - 8 * beta) % PRIME
    y3 = (alpha * (4 * beta - x3) - 8 * gamma * gamma) % PRIME
    return x3, y3, 2 * y * z % PRIME


def add(point, other):
    """Return a Jacobian point + an affine one."""
    x1, y1, z1 = point
    x2, y2 = other
    if not z1:
        return x2, y2, 1
    zz = z1 * z1 % PRIME
    h = (x2 * zz - x1) % PRIME
    r = (y2 * (z1 * zz % PRIME) - y1) % PRIME
    if not h and not r:
        return double(point)
    hh = h * h % PRIME
    hhh = h * hh % PRIME
    v = x1 * hh % PRIME
    x3 = (r * r - hhh - 2 * v) % PRIME
    y3 = (r * (v - x3) - y1 * hhh) % PRIME
    return x3, y3, z1 * h % PRIME


def affine(point):
    """Return (x, y) of a Jacobian point."""
    x, y, z = point
    one_by_z = inverse(z, PRIME)
    square = one_by_z * one_by_z % PRIME
    return x * square % PRIME, y * (square * one_by_z % PRIME) % PRIME


def inverse(value, modulus):
    """Return 1 / value by extended Euclid, three times cheaper here than `pow`."""
    r0, r1 = modulus, value
    t0, t1 = 0, 1
    while r1:
        quotient = r0 // r1
        r0, r1 = r1, r0 - quotient * r1
        t0, t1 = t1, t0 - quotient * t1
    return t0 % modulus
