"""Which of two points a secp256k1 signature stands for: the bit that lets others recover the key.

Public values only: neither the secret nor its nonce comes here, so the time it takes tells nothing.
"""

from collections.abc import Sequence
from functools import lru_cache

from wattness.signing import raw_low_s

PRIME = 2**256 - 2**32 - 977
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
BASE = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
WINDOW = 7  # bits; a table has 37 rows of 64 points: 0.5 MB and some 50 ms to make
KEYS_MAX = 16  # tables that are kept; the key unused for longest makes room
PAIRED_MIN = 20  # fewer points are added one after another

Point = tuple[int, int]  # affine
Table = tuple[tuple[Point, ...], ...]  # row j, column i: (i + 1) · 2^(7 j) · point


def recovery_id(digest: bytes, r: int, s: int, public_key: bytes) -> int:
    """Return v, 0 or 1, of a signature by `public_key` (65 bytes); raises ValueError when it is not one."""
    if len(digest) != 32 or not 0 < r < ORDER or not 0 < s < ORDER:
        raise ValueError("no signature over 32 bytes")
    one_by_s = pow(s, -1, ORDER)
    points = _chosen(_table(BASE), int.from_bytes(digest, "big") * one_by_s % ORDER)
    points += _chosen(_table(_parsed(public_key)), r * one_by_s % ORDER)
    try:
        x, y = _sum(points)
    except ZeroDivisionError:  # two partial sums met: never by chance
        x, y = _sum_exactly(points)
    if x != r:  # an x beyond the order, once in 2^128 signatures, has no v of 0 or 1
        raise ValueError("the signature is not by this key")
    return y & 1


def with_id(digest: bytes, der: bytes, public_key: bytes) -> bytes:
    """Return a DER signature of a hash by `public_key` as r‖s‖v with s ≤ n/2; raises ValueError when it is not one."""
    raw = raw_low_s(der, ORDER)
    v = recovery_id(digest, int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"), public_key)
    return raw + bytes((v,))


def _parsed(public_key: bytes) -> Point:
    x, y = int.from_bytes(public_key[1:33], "big"), int.from_bytes(public_key[33:], "big")
    on_curve = x < PRIME and y < PRIME and (y * y - x * x * x - 7) % PRIME == 0
    if len(public_key) != 65 or public_key[0] != 4 or not on_curve:
        raise ValueError("no uncompressed point of secp256k1")
    return x, y


@lru_cache(maxsize=KEYS_MAX)
def _table(point: Point) -> Table:
    bases = [point]
    for _ in range(256 // WINDOW):
        for _ in range(WINDOW):
            point = _double(point, pow(2 * point[1], -1, PRIME))
        bases.append(point)
    inverses = _inverses([2 * y for _, y in bases])
    columns = [bases, [_double(base, inverse) for base, inverse in zip(bases, inverses, strict=True)]]
    while len(columns) < 1 << WINDOW - 1:
        columns.append(_added(columns[-1], bases))
    return tuple(zip(*columns, strict=True))


def _chosen(table: Table, scalar: int) -> list[Point]:
    """Return the points of a table whose sum is scalar · its point, at most one of each row."""
    chosen = []
    for row in table:
        digit = scalar & (1 << WINDOW) - 1
        scalar >>= WINDOW
        if digit > len(row):
            digit -= 1 << WINDOW
            scalar += 1
        if digit > 0:
            chosen.append(row[digit - 1])
        elif digit:
            x, y = row[-digit - 1]
            chosen.append((x, PRIME - y))
    return chosen


def _sum(points: Sequence[Point]) -> Point:
    """Return the sum of points; raises ZeroDivisionError where two to be added have the same x."""
    while len(points) > PAIRED_MIN:  # side by side they share one inversion
        odd = points[len(points) & ~1 :]
        points = [*_added(points[: len(points) & ~1 : 2], points[1::2]), *odd]
    x, y, z = (*points[0], 1)  # from here as (x / z², y / z³)
    for other_x, other_y in points[1:]:
        zz = z * z % PRIME
        h = other_x * zz % PRIME - x
        slope = other_y * zz % PRIME * z % PRIME - y
        hh = h * h % PRIME
        hhh = h * hh % PRIME
        v = x * hh % PRIME
        x = (slope * slope - hhh - 2 * v) % PRIME
        y = (slope * (v - x) - y * hhh) % PRIME
        z = z * h % PRIME
    (one_by_z,) = _inverses([z])
    square = one_by_z * one_by_z % PRIME
    return x * square % PRIME, y * square % PRIME * one_by_z % PRIME


def _sum_exactly(points: Sequence[Point]) -> Point:
    """Return the sum of points, whatever they are; raises ValueError when it is the point at infinity."""
    total: Point | None = None
    for point in points:
        if total is None:
            total = point
        elif total[0] != point[0]:
            (total,) = _added([total], [point])
        elif total == point:
            total = _double(point, pow(2 * point[1], -1, PRIME))
        else:
            total = None
    if total is None:
        raise ValueError("the signature is not by this key")
    return total


def _added(left: Sequence[Point], right: Sequence[Point]) -> list[Point]:
    inverses = _inverses([b[0] - a[0] for a, b in zip(left, right, strict=True)])
    sums = []
    for (x1, y1), (x2, y2), inverse in zip(left, right, inverses, strict=True):
        slope = (y2 - y1) * inverse % PRIME
        x = (slope * slope - x1 - x2) % PRIME
        sums.append((x, (slope * (x1 - x) - y1) % PRIME))
    return sums


def _double(point: Point, inverse: int) -> Point:
    """Return 2 · point; `inverse` is that of 2 y, which is never 0 on this curve."""
    x, y = point
    slope = 3 * x * x * inverse % PRIME
    double_x = (slope * slope - 2 * x) % PRIME
    return double_x, (slope * (x - double_x) - y) % PRIME


def _inverses(values: Sequence[int]) -> list[int]:
    """Return 1 / each value, with one inversion for all of them; raises ZeroDivisionError when one is 0."""
    product, before = 1, []
    for value in values:
        before.append(product)
        product = product * value % PRIME
    if not product:
        raise ZeroDivisionError
    inverse = pow(product, -1, PRIME)
    inverses = []
    for value, earlier in zip(reversed(values), reversed(before), strict=True):
        inverses.append(inverse * earlier % PRIME)
        inverse = inverse * value % PRIME
    return inverses[::-1]
