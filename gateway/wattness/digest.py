"""The figures of an interval from digests of whole frames: the same digits as `evidence.figures`, for less work.

A frame's rows are summed up once, while they are at hand; only frames that an interval's boundary cuts are looked at
again. This is for streams with counters; what else occurs goes the common way.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from wattwire import evidence, frame, interval
from wattwire.interval import JOIN_MS_MAX, POWER

from . import packed
from .packed import Entry

_NAMES = evidence.FIGURE_UNITS

# Of a counter: first time and value, last time and value, covered, energy, gap energy, resets, lowest, highest.
Sum = tuple[int, int, int, int, int, int, int, int, int, int]
Figures = dict[str, Any]


def figures(blocks: Sequence["Block"], a: int, b: int) -> Figures | None:
    """Return the figures in [a, b) of blocks in ascending time, or None when they need to be looked at row by row."""
    stream = blocks[0].stream
    last = None
    for block in blocks:
        digest = block.digest
        if digest is None or (block.stream is not stream and block.stream != stream):
            return None
        if last is not None and digest.first <= last:
            return None
        last = digest.last
    points = evidence.counters(stream)
    return _figures([piece for block in blocks for piece in block.cut(a, b)], points, a, b) if points else None


class Plan:
    """Which columns of a stream are summed up, and by what their integers are multiplied to be milli-units."""

    def __init__(self, stream: Any) -> None:
        """Take a `wattwire.frame.Stream`."""
        self.stream = stream
        self.points: Sequence[tuple[str, int | None]] = evidence.counters(stream)
        self.power: tuple[int, int] | None = None  # (column, factor)
        self.counters: list[tuple[int, int, str, int | None]] = []  # (column, factor, name, modulus in mWh)
        self.is_even = not stream.inverted
        moduli = dict(self.points)
        for column, point in enumerate(stream.points):
            if is_summed(point):
                self.is_even = self.is_even and point.exponent >= -3
                factor = 10 ** max(0, point.exponent + 3)
                if point.name == POWER:
                    self.power = (column, factor)
                else:
                    self.counters.append((column, factor, point.name, moduli.get(point.name)))
        self.columns = {counter[0] for counter in self.counters} | ({self.power[0]} if self.power else set())


class Digest(NamedTuple):
    """Rows in a row, summed up."""

    first: int  # UTC ms of the first and of the last row
    last: int
    rows: int
    sums: Mapping[str, Sum | None]  # of the counters, by name; None where a counter has no value
    power: tuple[int, int, int, int] | None  # n, min, max, sum


class Block:
    """Rows of one entry, and their digest unless they are not in ascending time."""

    __slots__ = ("_cuts", "_plan", "_start", "digest", "entry", "even", "first", "stream")

    def __init__(self, entry: Any, plan: Plan, start: int) -> None:
        """Sum up an entry of a record whose `up` was at unix ms `start`; it has rows."""
        self.entry: Entry = packed.of(entry)
        self.stream = plan.stream
        self.first: int = start + entry.start
        self.digest: Digest | None = None
        self._plan, self._start = plan, start
        self._cuts: tuple[Any, list[Digest]] = (None, [])
        dt = entry.dt
        self.even = plan.is_even and type(dt) is int and dt <= JOIN_MS_MAX and (dt > 0 or self.entry.rows == 1)
        if self.even:
            self.digest = _sum_even(self.entry, plan, start)
        else:
            times, columns = self._rows()
            if sorted(set(times)) == times:
                self.digest = _sum_rows(times, columns, plan)

    def extremes(self, name: str) -> tuple[int, int] | None:
        """Return the lowest and the highest value of a column of an even block."""
        digest = self.digest
        found = None if digest is None else digest.power and digest.power[1:3] if name == POWER else digest.sums[name]
        return found and found[-2:]

    def cut(self, a: int, b: int) -> list[Digest]:
        """Return the digests of this block's rows before a, in [a, b), and from b on, of those that there are."""
        digest = self.digest
        if digest is None or not (digest.first < a <= digest.last or digest.first < b <= digest.last):
            return [digest] if digest else []
        size = digest.rows
        rows = None
        if self.even:
            dt: Any = self.entry.dt
            at, end = [max(0, min(size, -(-(bound - self.first) // dt))) for bound in (a, b)]
        else:
            rows = self._rows()
            at, end = interval.index(rows[0], a), interval.index(rows[0], b)
        cuts = [(begin, stop) for begin, stop in ((0, at), (at, end), (end, size)) if begin < stop]
        if self._cuts[0] != cuts:  # the interval before and the one behind ask for the same
            self._cuts = cuts, [self._part(rows, *one) for one in cuts]
        return self._cuts[1]

    def _part(self, rows: Any, first: int, last: int) -> Digest:
        if rows is None:
            return _sum_even(self.entry.part(first, last, self._plan.columns), self._plan, self._start)
        times, columns = rows
        part = {name: column[first:last] for name, column in columns.items()}
        return _sum_rows(times[first:last], part, self._plan)

    def _rows(self) -> tuple[list[int], dict[str, packed.Plain]]:
        """Return times and columns in milli-units of what figures are made of."""
        times, columns = evidence.entry_rows(self.entry, self.stream, self._start, _NAMES)
        return times, columns


def is_summed(point: Any) -> bool:
    """Tell whether blocks sum up this point."""
    return point.name in _NAMES and bool(evidence.in_wire_unit(point))


def _sum_even(entry: Entry, plan: Plan, start: int) -> Digest:
    """Sum up rows with a constant spacing from their columns in difference form."""
    dt: Any = entry.dt
    first = start + entry.start
    nulls_max = JOIN_MS_MAX // dt - 1 if dt else 0  # between two values that join
    sums: dict[str, Sum | None] = {}
    for column, factor, name, modulus in plan.counters:
        found = packed.rise(entry.packed[column], nulls_max)
        if found is None:
            values = [value and value * factor for value in frame.undelta(packed.plain(entry.packed[column]))]
            sums[name] = _sum(frame.times(entry, start), values, modulus)
        else:
            row, low, end, high = found
            begin, stop, low, high = first + dt * row, first + dt * end, low * factor, high * factor
            sums[name] = (begin, low, stop, high, stop - begin, high - low, 0, 0, low, high)
    power = None
    if plan.power is not None:
        column, factor = plan.power
        levels = packed.values(entry.packed[column])
        if levels:
            power = (len(levels), min(levels) * factor, max(levels) * factor, sum(levels) * factor)
    return Digest(first, first + dt * (entry.rows - 1), entry.rows, sums, power)


def _sum_rows(times: list[int], columns: Mapping[str, packed.Plain], plan: Plan) -> Digest:
    """Sum up rows that may have any spacing, and values in milli-units."""
    values = [value for value in columns.get(POWER, ()) if value is not None]
    power = (len(values), min(values), max(values), sum(values)) if values else None
    sums = {name: _sum(times, columns[name], modulus) for name, modulus in plan.points}
    return Digest(times[0], times[-1], len(times), sums, power)


def _sum(times: Sequence[int], column: packed.Plain, modulus: int | None) -> Sum | None:
    """Return the sum of a counter that may have nulls, gaps, roll-overs and resets."""
    times = [time for time, value in zip(times, column, strict=True) if value is not None]
    values = [value for value in column if value is not None]
    if not values:
        return None
    start, end = times[0], times[-1]
    energy, gap, resets = interval.counter(times, values, modulus, start, end + 1)
    covered = interval.covered(times, start, end)
    return start, values[0], end, values[-1], covered, energy, gap, resets, min(values), max(values)


def _figures(digests: Sequence[Digest], points: Sequence[tuple[str, int | None]], a: int, b: int) -> Figures:
    inside = [digest for digest in digests if a <= digest.first < b]
    energies, gaps = {}, {}
    covered_ms = total_resets = 0
    for at, (name, modulus) in enumerate(points):
        covered, energies[name], gaps[name], resets = _counter([digest.sums[name] for digest in digests], modulus, a, b)
        total_resets += resets
        if at == 0:
            covered_ms = covered
    found: Figures = {
        "covered_ms": covered_ms,
        "counter_resets": total_resets,
        "energy": energies,
        "gap_energy": gaps,
        "rows": sum([digest.rows for digest in inside]),
    }
    powers = [digest.power for digest in inside if digest.power is not None]
    if powers:
        n = sum([power[0] for power in powers])
        low, high = min([power[1] for power in powers]), max([power[2] for power in powers])
        found["power"] = {"n": n, "min": low, "max": high, "mean": sum([power[3] for power in powers]) // n}
    return found


def _counter(sums: Iterable[Sum | None], modulus: int | None, a: int, b: int) -> tuple[int, int, int, int]:
    """Return (covered, energy, gap energy, resets): of the rows in [a, b), and of the pairs between digests."""
    covered = energy = gap = resets = 0
    before: Sum | None = None
    for found in sums:
        if found is None:
            continue
        if before is not None and found[0] >= a:
            t1, c1 = before[2:4]
            t2, c2 = found[:2]
            if a <= t1 and t2 <= b and t2 - t1 <= JOIN_MS_MAX and c1 <= c2:
                covered += t2 - t1
                energy += c2 - c1
            else:
                covered += interval.covered([t1, t2], a, b)
                more = interval.counter([t1, t2], [c1, c2], modulus, a, b)
                energy += more[0]
                gap += more[1]
                resets += more[2]
        if found[0] >= b:
            break
        if found[0] >= a:
            covered += found[4]
            energy += found[5]
            gap += found[6]
            resets += found[7]
        before = found
    return covered, energy, gap, resets
