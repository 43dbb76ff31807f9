"""Which reads fetch the wanted points: spans coalesced, holes bridged, a scale factor never apart from its value."""

from collections import namedtuple

HOLE_REGISTERS = 22  # devices.md: what a 25 ms turnaround is worth at 9600 baud; see modbus.hole_registers

Read = namedtuple("Read", ["fc", "address", "count"])


def coalesce(spans: list, max_registers: int, hole: int = HOLE_REGISTERS) -> list[Read]:
    """Return the Reads that hold every (fc, first, end) of `spans` whole, in ascending order.

    Holes of up to `hole` registers are read along; no read is longer than `max_registers`. A span that alone is
    longer than that stays unread: its point has no value.
    """
    reads = []
    fc = first = end = None
    for span in sorted(spans):
        if span[2] - span[1] > max_registers:
            continue
        if span[0] == fc and span[1] - end <= hole and max(end, span[2]) - first <= max_registers:
            end = max(end, span[2])
            continue
        if fc is not None:
            reads.append(Read(fc, first, end - first))
        fc, first, end = span
    if fc is not None:
        reads.append(Read(fc, first, end - first))
    return reads
