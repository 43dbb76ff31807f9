"""From register bytes to an exact integer: number types, word orders, scale factors, markers of no value."""

from .errors import WireError

COUNTS = {"u16": 1, "s16": 1, "enum16": 1, "u32": 2, "s32": 2, "acc32": 2, "float32": 2, "u64": 4}
# SunSpec's bit patterns for "not implemented". An accumulator of 0 is "not accumulated": a brand-new counter stays
# without a value until it counts its first unit, which is safer than claiming that nothing was ever metered.
SUNSPEC_INVALID = {
    "u16": 0xFFFF,
    "s16": 0x8000,
    "enum16": 0xFFFF,
    "u32": 0xFFFFFFFF,
    "s32": 0x80000000,
    "acc32": 0,
    "u64": 0xFFFFFFFFFFFFFFFF,
    "float32": 0x7FC00000,
}
SCALE_FACTOR_MAX = 10
LIMIT = 1 << 63  # |value| on the wire stays below
_SIGN_BITS = {"s16": 16, "s32": 32}


def bits(data: bytes, order: str) -> int:
    """Return the registers in `data` as one unsigned number; `order` little means the low word comes first."""
    if len(data) < 2 or len(data) % 2:
        raise WireError("truncated", "registers come as two bytes each")
    if order == "little":
        data = b"".join([data[at : at + 2] for at in range(len(data) - 2, -1, -2)])
    return int.from_bytes(data, "big")


def integer(kind: str, raw: int, shift: int = 0) -> int | None:
    """Return what the bit pattern `raw` of type `kind` means, or None where no wire integer can say it.

    A float32 gives `value × 10^shift`, rounded half to even; the other types ignore `shift`.
    """
    if kind == "float32":
        return float_integer(raw, shift)
    width = _SIGN_BITS.get(kind)
    if width and raw >> (width - 1):
        raw -= 1 << width
    return raw if raw < LIMIT else None


def float_integer(raw: int, shift: int) -> int | None:
    """Return the IEEE 754 single `raw` × 10^shift as an integer, half to even; None for NaN, infinity, too large."""
    power = (raw >> 23) & 0xFF
    mantissa = raw & 0x7FFFFF
    if power == 0xFF:
        return None
    if power:
        mantissa |= 0x800000
    else:
        power = 1  # subnormal
    if shift > 0:
        mantissa *= 10**shift
    elif shift < 0:
        return _signed(raw, _divide(mantissa << max(power - 150, 0), 10**-shift << max(150 - power, 0)))
    power -= 150
    return _signed(raw, mantissa << power if power >= 0 else _divide(mantissa, 1 << -power))


def _divide(numerator: int, denominator: int) -> int:
    """Return the quotient of two non-negative integers, rounded half to even."""
    quotient = numerator // denominator
    twice = 2 * (numerator - quotient * denominator)
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return quotient


def _signed(raw: int, magnitude: int) -> int | None:
    if magnitude >= LIMIT:
        return None
    return -magnitude if raw >> 31 else magnitude


def scale_factor(raw: int) -> int | None:
    """Return the power of ten in a sunssf register, or None when it is not implemented or out of −10…10."""
    if raw >= 0x8000:
        raw -= 0x10000
    return raw if -SCALE_FACTOR_MAX <= raw <= SCALE_FACTOR_MAX else None


def text(data: bytes) -> str | None:
    """Return the string in `data` up to its first NUL, trimmed, or None if it is empty or not printable ASCII."""
    data = bytes(data).split(b"\x00")[0].strip()
    for byte in data:
        if not 32 <= byte < 127:
            return None
    return data.decode() or None
