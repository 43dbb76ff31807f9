"""Signed frames over LoRaWAN: cut into uplinks of at most 51 bytes, and put together again.

51 bytes is what the slowest data rate carries (LoRaWAN Regional Parameters, EU868 DR0). A signature alone is 64, so
either it is spread over uplinks that mean something by themselves, or a whole frame is cut up. We cut: one frame an
hour is five uplinks, the gateway stores and proves exactly what the board signed, and nothing else of the wire changes.

An uplink is a header of three bytes and up to 48 bytes of body. The header is (number << 4 | last) and the frame's seq
modulo 65536. The body of all parts together is kid, payload and signature; the envelope around them has one form, so
it stays at home. The part numbered last + 1 is the exclusive or of all others, each padded with zeros, after the length
of the last one: any single lost uplink is made good by it.
"""

from wattwire import cose
from wattwire.errors import WireError

UPLINK_SIZE_MAX = 51
HEADER_SIZE = 3
PART_SIZE = UPLINK_SIZE_MAX - HEADER_SIZE - 1  # the check part says the last one's length in a byte of its own
PARTS_MAX = 15
CONTENT_SIZE_MAX = PARTS_MAX * PART_SIZE
_ENDS_SIZE = cose.KID_SIZE + cose.SIGNATURE_SIZE


def split(frame: bytes, seq: int) -> list:
    """Return the uplinks of a frame, the check part last; raises WireError for one that is too long or none at all."""
    kid, payload, signature = cose.parse(frame)
    content = kid + payload + signature
    if len(content) > CONTENT_SIZE_MAX:
        raise WireError("too_long", "%d bytes; the row's points or the frame's minutes are too many" % len(frame))
    parts = [content[at : at + PART_SIZE] for at in range(0, len(content), PART_SIZE)]
    last = len(parts) - 1
    tail = (seq & 0xFFFF).to_bytes(2, "big")
    uplinks = [bytes((number << 4 | last,)) + tail + part for number, part in enumerate(parts)]
    uplinks.append(bytes((last + 1 << 4 | last,)) + tail + bytes((len(parts[last]),)) + _sum(parts))
    return uplinks


def header(uplink: bytes):
    """Return (seq modulo 65536, number, last) of an uplink of good form; raises WireError."""
    if not HEADER_SIZE < len(uplink) <= UPLINK_SIZE_MAX:
        raise WireError("bad_form", "an uplink of %d bytes" % len(uplink))
    number, last = uplink[0] >> 4, uplink[0] & 15
    if number > last + 1 or last >= PARTS_MAX:
        raise WireError("bad_range", "part %d of %d" % (number, last))
    size = len(uplink) - HEADER_SIZE
    if size != PART_SIZE + (number > last) and (number != last or size > PART_SIZE):
        raise WireError("bad_form", "part %d of %d has %d bytes" % (number, last, size))
    return int.from_bytes(uplink[1:3], "big"), number, last


class Assembly:
    """The uplinks of one frame, in any order, doubled or with one missing."""

    def __init__(self, seq, last):
        self.seq = seq
        self.last = last
        self.repaired = False
        self._parts = {}

    def add(self, uplink: bytes):
        """Take an uplink that `header` says belongs here; return the frame when it is whole, else None.

        Raises WireError when the parts fit together but are no frame: start anew.
        """
        number = uplink[0] >> 4
        self._parts.setdefault(number, uplink[HEADER_SIZE:])
        missing = [wanted for wanted in range(self.last + 1) if wanted not in self._parts]
        if len(missing) > 1 or (missing and self.last + 1 not in self._parts):
            return None
        if missing:
            self._repair(missing[0])
        return _frame(b"".join([self._parts[part] for part in range(self.last + 1)]))

    def _repair(self, number):
        check = self._parts[self.last + 1]
        others = [self._parts[part] for part in range(self.last + 1) if part != number]
        others.append(check[1:])
        part = _sum(others)
        if number == self.last:
            if not 0 < check[0] <= PART_SIZE or any(part[check[0] :]):
                raise WireError("bad_range", "length of the last part")
            part = part[: check[0]]
        self._parts[number] = part
        self.repaired = True


def _frame(content):
    if len(content) <= _ENDS_SIZE:
        raise WireError("truncated")
    end = len(content) - cose.SIGNATURE_SIZE
    frame = cose.join(content[: cose.KID_SIZE], content[cose.KID_SIZE : end], content[end:])
    cose.parse(frame)
    return frame


def _sum(parts):
    total = bytearray(PART_SIZE)
    for part in parts:
        for at in range(len(part)):
            total[at] ^= part[at]
    return bytes(total)
