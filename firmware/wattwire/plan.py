"""Which reads fetch the wanted points: spans coalesced by cost, limits and forbidden crossings kept, points by rate.

A request costs as much time as so many registers (`modbus.hole_registers`, from the device's measured turnaround), so
a hole is read along where that is cheaper than a second request. A scale factor is never apart from its value.
"""

from collections import namedtuple

from .modbus import ModbusError

HOLE_REGISTERS = 22  # devices.md: what a 25 ms turnaround is worth at 9600 baud; see modbus.hole_registers
NOISY_REGISTERS = 4  # of one read on a noisy line
SLOW_UNITS = ("Wh", "%", "Cel", "km")
REFUSALS = (2, 3)  # Illegal Data Address, and Illegal Data Value of devices that mind a read's length
TRIES = 3  # of a read that fails otherwise, while its refusal is looked into

Read = namedtuple("Read", ["fc", "address", "count"])
# What a device refused: (fc, address) that no read may begin before and go on into, and spans that it does not have.
Learned = namedtuple("Learned", ["barriers", "absent"])
NOTHING = Learned((), ())


def rate(unit: str, name: str) -> str:
    """Return the class (`schedule.RATES`) of a point whose profile names none: power fast, energies slow."""
    if name.startswith("rated_"):
        return "once"
    return "slow" if unit in SLOW_UNITS else "fast"


def coalesce(
    spans: list,
    max_registers: int,
    hole: int = HOLE_REGISTERS,
    barriers: tuple = (),
    learned: Learned = NOTHING,
) -> list[Read]:
    """Return the cheapest Reads that hold every (fc, first, end) of `spans` whole, in ascending order.

    A read costs `hole` registers and its own; it has at most `max_registers` and goes over none of `barriers`. A span
    that alone is longer than that, or that the device does not have, stays unread: its point has no value.
    """
    wanted = _apart([span for span in spans if span[2] - span[1] <= max_registers and span not in learned.absent])
    best = [0] * (len(wanted) + 1)  # the cost of what begins with span number …
    ends = [0] * len(wanted)
    for index in range(len(wanted) - 1, -1, -1):
        fc, first, _ = wanted[index]
        best[index] = None
        for last in range(index, len(wanted)):
            end = wanted[last][2]
            if wanted[last][0] != fc or end - first > max_registers:
                break
            if last > index and _crosses(fc, first, end, barriers, learned):
                break
            cost = end - first + hole + best[last + 1]
            if best[index] is None or cost <= best[index]:
                best[index], ends[index] = cost, last
    reads = []
    index = 0
    while index < len(wanted):
        fc, first, _ = wanted[index]
        reads.append(Read(fc, first, wanted[ends[index]][2] - first))
        index = ends[index] + 1
    return reads


def _apart(spans: list) -> list:
    """Return the spans in ascending order without those that lie in another one."""
    found = []
    for span in sorted(spans, key=lambda span: (span[0], span[1], -span[2])):
        if not found or found[-1][0] != span[0] or span[2] > found[-1][2]:
            found.append(span)
    return found


def _crosses(fc: int, first: int, end: int, barriers: tuple, learned: Learned) -> bool:
    if any(first < barrier < end for barrier in barriers):
        return True
    return any(other == fc and first < barrier < end for other, barrier in learned.barriers)


class Bisect:
    """Finds what a device minds in a read that it refused with one of `REFUSALS`.

    Read what `next` says, then call `take` or `fail` with the error, until `next` is None; then `learned` has
    it. It needs at most three reads a span. Nothing is learned from a read that fails otherwise.
    """

    def __init__(self, read: Read, spans: list, known: Learned = NOTHING) -> None:
        end = read.address + read.count
        self._barriers = list(known.barriers)
        self._absent = list(known.absent)
        self._tries = 0
        whole = [span for span in spans if span[0] == read.fc and read.address <= span[1] < end]
        whole = _apart([span for span in whole if span not in known.absent])
        # (spans read together, [how many halves of the pair were good, the second one's first span]); first the whole
        # once more: a refusal that does not last is no lesson.
        self._open = [(whole, [-1, None])] if whole else []

    def next(self) -> Read | None:
        """Return the Read to make now, or None when all is known."""
        if not self._open:
            return None
        spans = self._open[-1][0]
        return Read(spans[0][0], spans[0][1], spans[-1][2] - spans[0][1])

    def take(self) -> None:
        """Go on: the device gave these registers."""
        self._tries = 0
        _, pair = self._open.pop()
        pair[0] += 1
        if pair[0] == 2:
            self._barriers.append((pair[1][0], pair[1][1]))

    def fail(self, error: Exception) -> None:
        """Go on: the device refused (ModbusError), or there was no good answer."""
        self._tries += 1
        illegal = isinstance(error, ModbusError) and error.code in REFUSALS
        if not illegal and self._tries < TRIES:
            return
        self._tries = 0
        spans, _ = self._open.pop()
        if illegal:
            self._refused(spans)

    def learned(self) -> Learned:
        """Return what was known before and what was found."""
        return Learned(tuple(self._barriers), tuple(self._absent))

    def _refused(self, spans: list) -> None:
        if len(spans) < 2:
            self._absent.extend(spans)
            return
        half = len(spans) // 2
        pair = [0, spans[half]]
        self._open.append((spans[half:], pair))
        self._open.append((spans[:half], pair))
