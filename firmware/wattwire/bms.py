"""Battery monitors over BLE, what their families share: pieces into frames, points, units. Sans-I/O.

A decoder has `service`, `notify` and `write` (16-bit UUIDs), `exponents` of its points and of those that are
`numbered` (cells, sensors), `streams` (whether it talks on once it was `told`),
`requests()` (what to write, one at a time), and `feed(notification)`, which returns the points of a whole frame, {} of
one without points, None while there is none, or raises WireError. A point is (integer, exponent) or None; current and
power are positive while charging.
"""

from .errors import WireError

FAMILIES = ("jbd", "daly", "jk")
CELLS_MAX = 32
SENSORS_MAX = 8
COLDEST, HOTTEST = -60, 200  # degrees that a sensor means
UNITS = {
    "voltage": "V",
    "current": "A",
    "power": "W",
    "soc": "%",
    "soh": "%",
    "charge": "Ah",
    "capacity": "Ah",
    "cycles": "1",
    "errors": "1",
    "charge_switch": "1",
    "discharge_switch": "1",
    "temperature": "Cel",
    "cell_voltage": "V",
}


def decoder(family: str):
    """Return a new decoder of a family; only its own module is loaded."""
    if family == "jbd":
        from .bms_jbd import Jbd

        return Jbd()
    if family == "daly":
        from .bms_daly import Daly

        return Daly()
    if family == "jk":
        from .bms_jk import Jk

        return Jk()
    raise WireError("bad_range", "no family %s: there are %s" % (family, ", ".join(FAMILIES)))


def unit(name: str) -> str:
    """Return the unit of a point; cells and sensors are numbered, as cell_voltage_1."""
    return UNITS.get(name) or UNITS[name.rsplit("_", 1)[0]]


class Pieces:
    """Notifications into frames that begin with `head` and are `size(frame)` long, which is None while unknown."""

    def __init__(self, head: bytes, size) -> None:
        self._head = head
        self._size = size
        self._buffer = b""

    @property
    def pending(self) -> bool:
        """Tell whether a frame is under way."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> bytes | None:
        """Return a whole frame, or None; raises WireError for what cannot be one, and begins anew."""
        data = bytes(data)
        if data[: len(self._head)] == self._head and self._size(data) == len(data):
            self._buffer = b""  # whole by itself: what was under way has lost its end
        self._buffer += data
        buffer = self._buffer
        if buffer[: len(self._head)] != self._head[: len(buffer)]:
            self._buffer = b""
            raise WireError("bad_frame", "no frame begins with %s" % buffer[:4].hex())
        size = self._size(buffer)
        if size is None or len(buffer) < size:
            return None
        self._buffer = b""
        if len(buffer) > size:
            raise WireError("trailing_bytes", "a frame of %d bytes has %d" % (size, len(buffer)))
        return buffer


def percent(raw: int) -> tuple | None:
    """Return a share in whole percent; more than 100 is no value."""
    return (raw, 0) if raw <= 100 else None


def cells(millivolts: list) -> dict:
    """Return the points of the cells."""
    return {"cell_voltage_%d" % (index + 1): (raw, -3) for index, raw in enumerate(millivolts)}


def temperatures(raws: list, exponent: int) -> dict:
    """Return the points of the sensors; one that is not there reads as what no battery survives."""
    one = 10**-exponent
    return {
        "temperature_%d" % (index + 1): (raw, exponent) if COLDEST * one < raw < HOTTEST * one else None
        for index, raw in enumerate(raws)
    }
