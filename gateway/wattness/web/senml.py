"""Readings as SenML (RFC 8428): rows of a stream in, records of a pack out, piece by piece.

Units are the registry's primary ones, so that a reader of version 10 takes them: energies are joules, distances metres.
Names begin with a URN of the device: `urn:dev:org:` (RFC 9039) for who has an enterprise number. A home has none, and
gets a UUID made from the board's key and the device, which is as unique and as lasting.
"""

import uuid
from collections.abc import Iterable, Iterator
from hashlib import sha256

import msgspec

from wattness.store.readings import Part
from wattness.store.views import StreamView

MEDIA_TYPE = "application/senml+json"
UNITS = {  # on the wire → SenML's unit, numerator and denominator
    "W": ("W", 1, 1),
    "VA": ("VA", 1, 1),
    "var": ("var", 1, 1),
    "Wh": ("J", 3600, 1),
    "V": ("V", 1, 1),
    "A": ("A", 1, 1),
    "Hz": ("Hz", 1, 1),
    "Cel": ("Cel", 1, 1),
    "%": ("/", 1, 100),
    "km": ("m", 1000, 1),
    "km/h": ("m/s", 10, 36),
}
OWN_UNITS = {"soc": ("%EL", 1, 1), "power_factor": ("/", 1, 1)}  # by the point's name
NO_UNIT = ("", 1, 1)


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record, with the labels of RFC 8428; the first one of a pack has what holds for all."""

    n: str
    v: int | float
    t: int | float = 0
    u: str = ""
    bn: str = ""
    bt: int = 0


def base_name(stream: StreamView, enterprise: int) -> str:
    """Return what the names of a stream's points begin with."""
    if enterprise:
        return f"urn:dev:org:{enterprise}-{stream.board_key}_{stream.device}_"
    raw = bytearray(sha256(f"wattness {stream.board_key} {stream.device}".encode()).digest()[:16])
    raw[6], raw[8] = raw[6] & 0x0F | 0x80, raw[8] & 0x3F | 0x80  # version 8 of RFC 9562: made as we see fit
    return f"urn:uuid:{uuid.UUID(bytes=bytes(raw))}_"


def pack(stream: StreamView, parts: Iterable[Part], enterprise: int) -> Iterator[bytes]:
    """Yield a pack in pieces, one for each part that has readings; nothing at all when there are none."""
    units = {point.name: OWN_UNITS.get(point.name) or UNITS.get(point.unit, NO_UNIT) for point in stream.points}
    base: int | None = None
    for times, columns in parts:
        records = []
        for row, at in enumerate(times):
            for name, column in columns.items():
                milli = column[row]
                if milli is None:  # a value that is missing has no record
                    continue
                unit, numerator, denominator = units.get(name, NO_UNIT)
                value, name_base = number(milli * numerator, 1000 * denominator), ""
                if base is None:
                    base, name_base = at // 1000, base_name(stream, enterprise)
                since = number(at - base * 1000, 1000)
                records.append(Record(name, value, since, unit, name_base, base if name_base else 0))
        if records:
            body = msgspec.json.encode(records)[1:-1]
            yield (b"[" if records[0].bn else b",\n") + body
    if base is not None:
        yield b"]\n"


def number(numerator: int, denominator: int) -> int | float:
    """Return a fraction as JSON has it: whole when it is."""
    return numerator // denominator if numerator % denominator == 0 else numerator / denominator
