"""The figures of an interval from digests of whole frames: the same digits as `evidence.figures`, for less work.

A frame's rows are summed up once, those of a frame that a boundary cuts in two parts, from columns that are still
packed. This is for streams with counters; what is smooth goes a quicker way, what else occurs the common one.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from wattwire import evidence, frame, interval
from wattwire.interval import JOIN_MS_MAX, POWER

from . import packed

_NAMES = evidence.FIGURE_UNITS

# Of a counter: first time and value, last time and value, covered, energy, gap energy, resets.
Sum = tuple[int, int, int, int, int, int, int, int]
Figures = dict[str, Any]
_Columns = Sequence[packed.Column] | Mapping[int, packed.Column]


def figures(blocks: Sequence["Block"], a: int, b: int) -> Figures | None:
    """Return the figures in [a, b) of blocks in ascending time, or None when they need to be looked at row by row."""
    plan = blocks[0].plan
    last = None
    digests: list[Digest] = []
    for block in blocks:
        if not block.rises or (block.plan is not plan and block.plan.stream != plan.stream):
            return None
        if last is not None and block.first <= last:
            return None
        last = block.last
        digests += block.cut(a, b)
    return _figures(digests, plan.points, a, b) if plan.points else None


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
    """Rows of one entry, summed up when first needed: all, or those before and those behind an interval's boundary."""

    __slots__ = (
        "_cuts",
        "_digest",
        "_start",
        "entry",
        "first",
        "highs",
        "is_even",
        "last",
        "lows",
        "plan",
        "rises",
        "spacing",
    )

    def __init__(self, entry: Any, plan: Plan, start: int) -> None:
        """Take an entry of a record whose `up` was at unix ms `start`; it has rows."""
        self.entry: packed.Entry = packed.of(entry)
        self.plan = plan
        self.first: int = start + entry.start
        self._start = start
        self._digest: Digest | None = None
        self._cuts: tuple[Any, list[Digest]] = (None, [])
        dt = entry.dt
        self.spacing: int = dt if type(dt) is int else 0
        self.is_even = type(dt) is int and plan.is_even and dt <= JOIN_MS_MAX and (dt > 0 or self.entry.rows == 1)
        self.last: int = self.first + (dt * (self.entry.rows - 1) if self.spacing else self.entry.span)
        self.rises = self.is_even or _is_rising(frame.times(self.entry))
        # The counters in the first and in the last row, in mWh, when all have values in every row that never fall.
        self.lows, self.highs = _ends(self.entry, plan) if self.is_even else ((), ())

    @property
    def digest(self) -> Digest:
        """All rows' digest, if they rise."""
        if self._digest is None:
            if self.is_even:
                self._digest = _sum_even(self.entry.packed, self.plan, self.first, self.spacing, self.entry.rows)
            else:
                self._digest = _sum_rows(*self._rows(), self.plan)
        return self._digest

    def cut(self, a: int, b: int) -> list[Digest]:
        """Return the digests of this block's rows before a, in [a, b), and from b on, of those that there are."""
        if not (self.first < a <= self.last or self.first < b <= self.last):
            return [self.digest]
        size = self.entry.rows
        rows = None
        if self.is_even:
            at, end = self.rows_in(a, b)
        else:
            rows = self._rows()
            at, end = interval.index(rows[0], a), interval.index(rows[0], b)
        bounds = sorted({0, at, end, size})  # the interval before and the one behind ask for the same
        if self._cuts[0] != bounds:
            self._cuts = bounds, [self._part(rows, *one) for one in pairwise(bounds)]
        return self._cuts[1]

    def rows_in(self, a: int, b: int) -> tuple[int, int]:
        """Return the first of an even block's rows that are in [a, b), and the one behind the last of them."""
        size = self.entry.rows
        if a <= self.first and self.last < b:
            return 0, size
        spacing = self.spacing or 1
        at = min(size, max(0, -((self.first - a) // spacing)))
        return at, max(at, min(size, -((self.first - b) // spacing)))

    def levels(self, row: int) -> Sequence[int]:
        """Return the counters in a row of a block that has `lows`, in mWh."""
        columns = self.entry.packed
        return [packed.level(columns[column], row) * factor for column, factor, _, _ in self.plan.counters]

    def _part(self, rows: Any, first: int, last: int) -> Digest:
        if rows is None:
            columns = {at: packed.part(self.entry.packed[at], first, last) for at in self.plan.columns}
            return _sum_even(columns, self.plan, self.first + self.spacing * first, self.spacing, last - first)
        times, columns = rows
        part = {name: column[first:last] for name, column in columns.items()}
        return _sum_rows(times[first:last], part, self.plan)

    def _rows(self) -> tuple[list[int], dict[str, packed.Plain]]:
        """Return times and columns in milli-units of what figures are made of."""
        times, columns = evidence.entry_rows(self.entry, self.plan.stream, self._start, _NAMES)
        return times, columns


def is_summed(point: Any) -> bool:
    """Tell whether blocks sum up this point."""
    return point.name in _NAMES and bool(evidence.in_wire_unit(point))


def _ends(entry: packed.Entry, plan: Plan) -> tuple[Sequence[int], Sequence[int]]:
    lows, highs = [], []
    for column, factor, _, _ in plan.counters:
        found = packed.rise(entry.packed[column], 0)
        if found is None or found[0] > 0 or found[2] < entry.rows - 1:
            return (), ()
        lows.append(found[1] * factor)
        highs.append(found[3] * factor)
    return lows, highs


def _is_rising(times: list[int]) -> bool:
    return sorted(set(times)) == times


def _sum_even(columns: _Columns, plan: Plan, first: int, dt: int, rows: int) -> Digest:
    """Sum up rows with a constant spacing from their columns in difference form."""
    nulls_max = JOIN_MS_MAX // dt - 1 if dt else 0  # between two values that join
    sums: dict[str, Sum | None] = {}
    for column, factor, name, modulus in plan.counters:
        found = packed.rise(columns[column], nulls_max)
        if found is None:
            values = [value and value * factor for value in frame.undelta(packed.plain(columns[column]))]
            sums[name] = _sum([first + dt * row for row in range(rows)], values, modulus)
        else:
            row, low, end, high = found
            begin, stop, low, high = first + dt * row, first + dt * end, low * factor, high * factor
            sums[name] = (begin, low, stop, high, stop - begin, high - low, 0, 0)
    power = None
    if plan.power is not None:
        column, factor = plan.power
        levels = packed.values(columns[column])
        if levels:
            n, low, high, total = packed.extent(levels)
            power = (n, low * factor, high * factor, total * factor)
    return Digest(first, first + dt * (rows - 1), rows, sums, power)


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
    return start, values[0], end, values[-1], covered, energy, gap, resets


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
            if t2 - t1 <= JOIN_MS_MAX and c1 <= c2:
                low, high = max(a, t1), min(b, t2)
                covered += high - low
                energy += (c2 - c1) * (high - t1) // (t2 - t1) - (c2 - c1) * (low - t1) // (t2 - t1)
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
