"""ISO 15765-2 messages out of the frames that an ELM327 prints with headers on; any lines give messages or none.

Text has no checksum, so everything that is not exactly as a CAN bus makes it voids the message: the length of every
frame, the order of the consecutive frames, the padding, a message that begins within another. Frames of one sender
come in the order they were sent, so nothing is sorted.
"""

from collections import namedtuple

from .errors import WireError

FRAME_BYTES = 8
DIGITS_11 = 3  # of a header on an 11-bit bus
DIGITS_29 = 8
MESSAGE_MAX = 4095
PADS = (0x00, 0x55, 0xAA, 0xCC, 0xFF)  # what ECUs fill a short frame with
SELDOM = (0x55, 0xAA, 0xCC, 0xFF)  # of these, what an unpadded frame seldom ends with
_HEX = "0123456789ABCDEF"

Frame = namedtuple("Frame", ["header", "data"])


def parse(line: str, digits: int) -> Frame:
    """Return the Frame in a line: a header of `digits`, and 1 to 8 bytes; with spaces between all or none of them."""
    text = line.strip().upper()
    if " " in text:
        text = _joined(text, digits)
    size = len(text) - digits
    if not 2 <= size <= 2 * FRAME_BYTES or size % 2:
        raise WireError("bad_frame", "%s has the wrong length" % text[:40])
    for char in text:
        if char not in _HEX:
            raise WireError("bad_frame", "%s is not hexadecimal" % text)
    header = text[:digits]
    if header[0] not in ("01234567" if digits == DIGITS_11 else "01"):
        raise WireError("bad_frame", "no bus has the header %s" % header)
    return Frame(header, bytes.fromhex(text[digits:]))


def _joined(text: str, digits: int) -> str:
    """Return a line without its spaces, which must stand where the adapter puts them."""
    parts = text.split(" ")
    head = 1 if digits == DIGITS_11 else DIGITS_29 // 2
    for index, part in enumerate(parts):
        if len(part) != (digits if digits == DIGITS_11 and index == 0 else 2):
            raise WireError("bad_frame", "%s has a space too few or too many" % text[:40])
    if len(parts) <= head:
        raise WireError("bad_frame", "%s has no data" % text[:40])
    return "".join(parts)


class Assembly:
    """The messages of one sender; `padded` is the set of headers that are known to pad their short frames."""

    def __init__(self, header: str, padded: set) -> None:
        self.header = header
        self.messages = []
        self._padded = padded
        self._parts = None  # of the message that is under way
        self._missing = 0
        self._next = 0

    def feed(self, data: bytes) -> None:
        """Take one frame's bytes; raises WireError."""
        kind = data[0] >> 4
        if kind == 2:
            self._consecutive(data)
        elif self._parts is not None:
            raise WireError("bad_sequence", "%s begins a message within another" % self.header)
        elif kind == 0:
            self._single(data)
        elif kind == 1:
            self._first(data)
        else:
            raise WireError("bad_frame", "%s sends no data" % self.header)

    def finish(self) -> list:
        """Return the payloads; raises WireError if one is cut short."""
        if self._parts is not None:
            raise WireError("truncated", "%s: %d bytes are missing" % (self.header, self._missing))
        return self.messages

    def _single(self, data: bytes) -> None:
        size = data[0]
        if not 1 <= size < FRAME_BYTES:
            raise WireError("bad_length", "%s: a single frame of %d bytes" % (self.header, size))
        self._check_tail(data, 1 + size)
        self.messages.append(data[1 : 1 + size])

    def _first(self, data: bytes) -> None:
        size = (data[0] & 15) << 8 | data[1] if len(data) == FRAME_BYTES else 0
        if size < FRAME_BYTES:
            raise WireError("bad_length", "%s: a first frame must be whole, and of 8 bytes or more" % self.header)
        self._parts = [data[2:]]
        self._missing = size - (FRAME_BYTES - 2)
        self._next = 1

    def _consecutive(self, data: bytes) -> None:
        if self._parts is None or data[0] & 15 != self._next:
            raise WireError("bad_sequence", "%s: a consecutive frame is missing, doubled or misplaced" % self.header)
        self._next = (self._next + 1) & 15
        size = min(self._missing, FRAME_BYTES - 1)
        self._check_tail(data, 1 + size)
        self._parts.append(data[1 : 1 + size])
        self._missing -= size
        if not self._missing:
            self.messages.append(b"".join(self._parts))
            self._parts = None

    def _check_tail(self, data: bytes, need: int) -> None:
        """Check a frame of which `need` bytes are meant: the others are padding, or not there at all.

        A padded frame that lost bytes could pass for one without padding, its padding for data. So a sender that
        pads once must always pad, and a frame that lacks a byte or two must not end like padding.
        """
        pads = data[need:]
        if len(data) < need or (pads and len(data) != FRAME_BYTES):
            raise WireError("bad_length", "%s: %d bytes where %d are meant" % (self.header, len(data), need))
        if pads:
            if pads[0] not in PADS or pads != pads[:1] * len(pads):
                raise WireError("bad_padding", "%s: more bytes than the length says" % self.header)
            self._padded.add(self.header)
        elif need < FRAME_BYTES and (self.header in self._padded or (need >= FRAME_BYTES - 2 and data[-1] in SELDOM)):
            raise WireError("bad_padding", "%s: a frame without its padding" % self.header)


def messages(lines: list, digits: int, padded: set) -> dict:
    """Return {header: [payload, …], or the WireError that voids them}; raises WireError for a line that is no frame."""
    assemblies = {}
    errors = {}
    spaces = None
    for line in lines:
        frame = parse(line, digits)
        if spaces not in (None, " " in line.strip()):
            raise WireError("bad_frame", "spaces in some lines only")
        spaces = " " in line.strip()
        if frame.header not in assemblies:
            assemblies[frame.header] = Assembly(frame.header, padded)
        try:
            assemblies[frame.header].feed(frame.data)
        except WireError as error:
            errors.setdefault(frame.header, error)
    found = {}
    for header, assembly in assemblies.items():
        try:
            found[header] = errors[header] if header in errors else assembly.finish()
        except WireError as error:
            found[header] = error
    return found
