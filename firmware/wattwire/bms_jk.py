"""JK (Jikong): asked once, it streams frames of 300 bytes; two layouts, 32 bytes apart, that only their figures tell.

The sum has 8 bits, so one damaged frame in 256 passes it. What a frame says twice must agree: the cells with the whole,
the power with voltage × current, the charge with the capacity.
"""

from .bms import Pieces, percent
from .errors import WireError

HEAD = b"\x55\xaa\xeb\x90"
ASK = b"\xaa\x55\x90\xeb"
NOISE = b"AT\r\n"
SIZE = 300
ASK_CELLS = 0x96
ASK_INFO = 0x97
SETTINGS, CELLS, INFO = 1, 2, 3  # kinds of frames
LAYOUTS = ((0, 32), (-32, 24))  # (bytes by which the figures are moved, cells before them)
LOWEST_MV, HIGHEST_MV = 5000, 150000


class Jk:
    """The decoder of one device."""

    service, notify, write = 0xFFE0, 0xFFE1, 0xFFE1
    exponents = {"voltage": -3, "current": -3, "power": -6, "soc": 0, "soh": 0, "charge": -3, "cycles": 0}
    numbered = {}
    streams = True

    def __init__(self) -> None:
        self.told = False
        self.pieces = Pieces(HEAD, _size)

    def requests(self) -> tuple:
        """Return what to write: for the info, by which the device begins to talk, and for the cells."""
        return (request(ASK_INFO), request(ASK_CELLS))

    def feed(self, data: bytes) -> dict | None:
        """Return the points of a whole frame, or None; raises WireError."""
        data = bytes(data)
        while data.startswith(NOISE):
            data = data[len(NOISE) :]
        if not data or data.startswith(ASK):
            return None  # it says what it was told
        if data.startswith(HEAD) and self.pieces.pending:
            self.pieces = Pieces(HEAD, _size)
        frame = self.pieces.feed(data)
        return None if frame is None else points(frame)


def _size(_buffer: bytes) -> int:
    return SIZE


def request(command: int) -> bytes:
    """Return the frame that asks for `command`."""
    body = ASK + bytes((command,)) + bytes(14)
    return body + bytes((sum(body) & 0xFF,))


def points(frame: bytes) -> dict:
    """Return the points of exactly one frame, {} if it has none; raises WireError."""
    if len(frame) != SIZE or frame[:4] != HEAD:
        raise WireError("bad_frame", "JK")
    if sum(frame[:-1]) & 0xFF != frame[-1]:
        raise WireError("bad_checksum", "JK")
    if frame[4] in (SETTINGS, INFO):
        return {}
    if frame[4] != CELLS:
        raise WireError("wrong_command", "a JK frame of kind %02X" % frame[4])
    fitting = [move for move, cells in LAYOUTS if _agrees(frame, move, cells)]
    if len(fitting) != 1:
        raise WireError("bad_range", "the figures fit %s layout of JK's" % ("no" if not fitting else "more than one"))
    return _points(frame, fitting[0])


def _number(frame: bytes, at: int) -> int:
    return int.from_bytes(frame[at : at + 4], "little")


def _current(frame: bytes, move: int) -> int:
    raw = _number(frame, 158 + move)
    return raw - (1 << 32) if raw >> 31 else raw


def _agrees(frame: bytes, move: int, cells: int) -> bool:
    """Tell whether the figures can be of this layout; those that are 0 are not there."""
    voltage = _number(frame, 150 + move)
    if not LOWEST_MV <= voltage <= HIGHEST_MV or frame[173 + move] > 100 or frame[190 + move] > 100:
        return False
    total = sum([frame[at] | frame[at + 1] << 8 for at in range(6, 6 + 2 * cells, 2)])
    if total and abs(total - voltage) * 20 > voltage + 2000:
        return False
    power, product = _number(frame, 154 + move), voltage * abs(_current(frame, move)) // 1000
    if power and abs(power - product) * 20 > product + 40000:
        return False
    charge, capacity = _number(frame, 174 + move), _number(frame, 178 + move)
    return not capacity or charge * 5 <= capacity * 6


def _points(frame: bytes, move: int) -> dict:
    voltage, current = _number(frame, 150 + move), _current(frame, move)
    soh = frame[190 + move]
    return {
        "voltage": (voltage, -3),
        "current": (current, -3),
        "power": (voltage * current, -6),
        "soc": percent(frame[173 + move]),
        "charge": (_number(frame, 174 + move), -3),
        "cycles": (_number(frame, 182 + move), 0),
        "soh": percent(soh) if soh else None,
    }
