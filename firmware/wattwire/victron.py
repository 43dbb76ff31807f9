"""Victron instant readout: adverts with encrypted records. The AES-128 block function is an argument.

An advert has no check sum of its own beside the radio's: only its head, the first byte of the key, and the length that
its record's type needs. A value is (integer, exponent) or None; current and power are positive while charging.
"""

from collections import namedtuple

from .errors import WireError

COMPANY = 0x02E1
HEAD_BYTES = 8
RECORD_MAX = 16
KEY_BYTES = 16
SOLAR, BATTERY, VEBUS = 0x01, 0x02, 0x0C
OTHER_TYPES = {  # that are known, and whose layout is not among our facts
    0x03: "inverter",
    0x04: "DC-DC converter",
    0x05: "smart lithium",
    0x08: "AC charger",
    0x0A: "Lynx BMS",
    0x0B: "Multi RS",
    0x0D: "DC energy meter",
    0x0F: "Orion XS",
}
AUX_NAMES = ("starter_voltage", "midpoint_voltage", "temperature")  # by the aux mode; 3 is none
KELVIN_C = 27315  # 0 °C in 0.01 K

# (name, bits, signed, exponent, the pattern that means no value), the low bits first
_SOLAR = (
    ("state", 8, False, 0, 0xFF),
    ("error", 8, False, 0, 0xFF),
    ("battery_voltage", 16, True, -2, 0x7FFF),
    ("battery_current", 16, True, -1, 0x7FFF),
    ("yield_today", 16, False, 1, 0xFFFF),
    ("power", 16, False, 0, 0xFFFF),
    ("load_current", 9, False, -1, 0x1FF),
)
_BATTERY = (
    ("remaining_time", 16, False, 0, 0xFFFF),
    ("voltage", 16, True, -2, 0x7FFF),
    ("alarm", 16, False, 0, None),
    ("aux", 16, False, -2, None),
    ("aux_mode", 2, False, 0, None),
    ("current", 22, True, -3, 0x3FFFFF),
    ("consumed_charge", 20, False, -1, 0xFFFFF),
    ("soc", 10, False, -1, 0x3FF),
)
_VEBUS = (
    ("state", 8, False, 0, 0xFF),
    ("error", 8, False, 0, 0xFF),
    ("battery_current", 16, True, -1, 0x7FFF),
    ("battery_voltage", 14, False, -2, 0x3FFF),
    ("ac_input", 2, False, 0, 3),
    ("ac_input_power", 19, True, 0, 0x3FFFF),
    ("ac_output_power", 19, True, 0, 0x3FFFF),
    ("alarm", 2, False, 0, 3),
    ("temperature", 7, False, 0, 0x7F),
    ("soc", 7, False, 0, 0x7F),
)
RECORDS = {SOLAR: _SOLAR, BATTERY: _BATTERY, VEBUS: _VEBUS}
UNITS = {
    "yield_today": "Wh",
    "power": "W",
    "ac_input_power": "W",
    "ac_output_power": "W",
    "remaining_time": "min",
    "consumed_charge": "Ah",
    "soc": "%",
    "temperature": "Cel",
}
Advert = namedtuple("Advert", ["model", "type", "iv", "check", "cipher"])


def exponents(kind: int) -> dict:
    """Return the exponents of a record's points by their names."""
    found = {field[0]: field[3] for field in RECORDS[kind]}
    if kind == BATTERY:
        found.update(dict.fromkeys(AUX_NAMES, -2))
        found["power"] = -5
    if kind == VEBUS:
        found["power"] = -3
    return found


def unit(name: str) -> str:
    """Return the unit of a point."""
    if name in UNITS:
        return UNITS[name]
    return "V" if name.endswith("voltage") else "A" if name.endswith("current") else "1"


def parse(data: bytes) -> Advert:
    """Return the Advert in a maker's data of an advertisement, behind the company's number; raises WireError."""
    if not HEAD_BYTES < len(data) <= HEAD_BYTES + RECORD_MAX:
        raise WireError("wrong_length", "an instant readout has 9 to 24 bytes, heard %d" % len(data))
    if data[0] != 0x10:
        raise WireError("bad_frame", "no instant readout: enable it in the maker's app")
    model, iv = data[2] | data[3] << 8, data[5] | data[6] << 8
    return Advert(model, data[4], iv, data[7], bytes(data[8:]))


def maker_data(advertisement: bytes) -> bytes | None:
    """Return the maker's data of Victron's in an advertisement's payload, or None; any bytes will do."""
    at = 0
    while at + 1 < len(advertisement):
        size = advertisement[at]
        field = advertisement[at + 1 : at + 1 + size]
        if len(field) < size or not size:
            return None
        if size > 3 and field[0] == 0xFF and field[1] | field[2] << 8 == COMPANY:
            return bytes(field[3:])
        at += 1 + size
    return None


def decode(data: bytes, key: bytes, block) -> dict:
    """Return {name: (integer, exponent) | None} of a maker's data; raises WireError.

    `block(key, 16 bytes)` is AES-128 of one block.
    """
    advert = parse(data)
    if len(key) != KEY_BYTES:
        raise WireError("bad_range", "the key has 16 bytes")
    if advert.type not in RECORDS:
        what = OTHER_TYPES.get(advert.type, "record")
        raise WireError("unknown_type", "%s, type %02X: its layout is not known here" % (what, advert.type))
    if advert.check != key[0]:
        raise WireError("wrong_key", "the advert is of a device with another key")
    fields = RECORDS[advert.type]
    need = -(-sum([field[1] for field in fields]) // 8)
    if len(advert.cipher) < need:
        raise WireError("truncated", "a record of %d bytes where %d are meant" % (len(advert.cipher), need))
    found = _fields(fields, _decrypted(advert, key, block))
    return _finished(advert.type, found)


def _decrypted(advert: Advert, key: bytes, block) -> bytes:
    """Return the plain record: AES in counter mode; a record is one block, its counter the IV, low byte first."""
    stream = block(key, bytes((advert.iv & 0xFF, advert.iv >> 8)) + bytes(14))
    return bytes([byte ^ stream[index] for index, byte in enumerate(advert.cipher)])


def _fields(fields: tuple, plain: bytes) -> dict:
    number = int.from_bytes(plain, "little")
    found = {}
    for name, bits, signed, exponent, nothing in fields:
        raw = number & ((1 << bits) - 1)
        number >>= bits
        value = raw - (1 << bits) if signed and raw >> (bits - 1) else raw
        found[name] = None if raw == nothing else (value, exponent)
    return found


def _finished(kind: int, found: dict) -> dict:
    """Return the points of a record's fields: what the auxiliary input is, zero points, the power."""
    if kind == VEBUS:
        if found["temperature"] is not None:
            found["temperature"] = (found["temperature"][0] - 40, 0)
        found["power"] = _product(found["battery_voltage"], found["battery_current"])
    if kind == BATTERY:
        aux, mode = found.pop("aux")[0], found.pop("aux_mode")[0]
        for index, name in enumerate(AUX_NAMES):
            found[name] = _aux(index, aux) if index == mode else None
        found["power"] = _product(found["voltage"], found["current"])
    if found.get("soc") is not None and found["soc"][0] > 100 * 10 ** -found["soc"][1]:
        found["soc"] = None
    return found


def _aux(mode: int, raw: int) -> tuple | None:
    if mode == 0:
        return None if raw == 0x7FFF else (raw - 0x10000 if raw >= 0x8000 else raw, -2)
    if raw == 0xFFFF:
        return None
    return (raw, -2) if mode == 1 else (raw - KELVIN_C, -2)


def _product(left: tuple | None, right: tuple | None) -> tuple | None:
    return None if left is None or right is None else (left[0] * right[0], left[1] + right[1])
