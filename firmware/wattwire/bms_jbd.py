"""JBD or Xiaoxiang: `DD A5 command 00 …` out, `DD command status length data sum 77` in."""

from .bms import CELLS_MAX, SENSORS_MAX, Pieces, cells, percent, temperatures
from .errors import WireError

HEAD = 0xDD
END = 0x77
READ = 0xA5
INFO = 3
CELLS = 4
INFO_BYTES = 23
AROUND = 7  # bytes of a frame beside its data


class Jbd:
    """The decoder of one device."""

    service, notify, write = 0xFF00, 0xFF01, 0xFF02
    exponents = {
        "voltage": -2,
        "current": -2,
        "power": -4,
        "soc": 0,
        "charge": -2,
        "capacity": -2,
        "cycles": 0,
        "errors": 0,
    }
    numbered = {"cell_voltage": -3, "temperature": -1}
    streams = False

    def __init__(self) -> None:
        self.told = False
        self.pieces = Pieces(b"\xdd", _size)

    def requests(self) -> tuple:
        """Return what to write: for the info, and for the cells."""
        return (request(INFO), request(CELLS))

    def feed(self, data: bytes) -> dict | None:
        """Return the points of a whole frame, or None; raises WireError."""
        frame = self.pieces.feed(data)
        return None if frame is None else points(frame)


def _size(buffer: bytes) -> int | None:
    return None if len(buffer) < 4 else AROUND + buffer[3]


def request(command: int) -> bytes:
    """Return the frame that asks for `command`."""
    return _sealed(bytes((HEAD, READ, command, 0)))


def answer(command: int, data: bytes, status: int = 0) -> bytes:
    """Return the frame that a device answers with."""
    return _sealed(bytes((HEAD, command, status, len(data))) + data)


def pin(digits: str = "000000") -> bytes:
    """Return the frame that opens a device that has a PIN."""
    body = bytes((0x15, len(digits))) + digits.encode()
    return bytes((0xFF, 0xAA)) + body + bytes((sum(body) & 0xFF,))


def _sealed(head: bytes) -> bytes:
    crc = -sum(head[2:]) & 0xFFFF
    return head + bytes((crc >> 8, crc & 0xFF, END))


def points(frame: bytes) -> dict:
    """Return the points of exactly one frame; raises WireError."""
    if len(frame) < AROUND or len(frame) != AROUND + frame[3]:
        raise WireError("wrong_length", "a JBD frame of %d bytes" % len(frame))
    if frame[0] != HEAD or _sealed(frame[:-3]) != frame:
        raise WireError("bad_checksum", "JBD")
    if frame[1] not in (INFO, CELLS):
        raise WireError("wrong_command", "a JBD frame of kind %02X" % frame[1])
    if frame[2]:
        raise WireError("refused", "JBD status %02X" % frame[2])
    return _info(frame) if frame[1] == INFO else _cells(frame)


def _word(frame: bytes, at: int) -> int:
    return frame[at] << 8 | frame[at + 1]


def _cells(frame: bytes) -> dict:
    size = frame[3]
    if size % 2 or not 2 <= size <= 2 * CELLS_MAX:
        raise WireError("wrong_length", "JBD cells in %d bytes" % size)
    return cells([_word(frame, at) for at in range(4, 4 + size, 2)])


def _info(frame: bytes) -> dict:
    sensors = frame[26] if frame[3] >= INFO_BYTES else SENSORS_MAX + 1
    if sensors > SENSORS_MAX or frame[3] < INFO_BYTES + 2 * sensors:
        raise WireError("wrong_length", "JBD info of %d bytes" % frame[3])
    voltage, current = _word(frame, 4), _word(frame, 6)
    if current >= 0x8000:
        current -= 0x10000
    found = {
        "voltage": (voltage, -2),
        "current": (current, -2),
        "power": (voltage * current, -4),
        "charge": (_word(frame, 8), -2),
        "capacity": (_word(frame, 10), -2),
        "cycles": (_word(frame, 12), 0),
        "errors": (_word(frame, 20), 0),
        "soc": percent(frame[23]),
        "charge_switch": (frame[24] & 1, 0),
        "discharge_switch": (frame[24] >> 1 & 1, 0),
    }
    found.update(temperatures([_word(frame, 27 + 2 * index) - 2731 for index in range(sensors)], -1))
    return found
