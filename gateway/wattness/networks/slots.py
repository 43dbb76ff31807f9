"""What one report of a network is about, as one value that a later life of the gateway finds again."""

import hashlib
from collections.abc import Sequence

from wattness.model import Report


def slot(reports: Sequence[Report], window_s: int | None) -> bytes:
    """Return 32 bytes that stand for a stream and a window, whichever intervals of it are there."""
    first = reports[0]
    length_ms = (window_s or 0) * 1000
    begin = first.a - first.a % length_ms if length_ms else first.a
    return hashlib.sha256(b"%s%s/%d/%d" % (first.board_key, first.device.encode(), begin, length_ms)).digest()
