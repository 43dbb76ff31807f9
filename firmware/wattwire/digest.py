"""The figures of an interval from digests of whole frames: the same digits as `evidence.figures`, for less work.

A frame's rows are summed up once, while they are at hand; only frames that an interval's boundary cuts are looked at
again. This is for streams with counters; what else occurs goes the common way.
"""

from wattwire import evidence, frame, interval
from wattwire.interval import JOIN_MS_MAX, POWER

try:
    from itertools import accumulate
except ImportError:  # MicroPython
    accumulate = None

_NAMES = evidence.FIGURE_UNITS


def figures(blocks, a: int, b: int):
    """Return the figures in [a, b) of blocks in ascending time, or None when they need to be looked at row by row."""
    stream = blocks[0].stream
    points = evidence.counters(stream)
    last = None
    for block in blocks:
        if not block.rises or block.stream != stream or (last is not None and block.first <= last):
            return None
        last = block.last
    return _figures([piece for block in blocks for piece in block.cut(a, b)], points, a, b) if points else None


class Plan:
    """Which columns of a stream are summed up, and by what their integers are multiplied to be milli-units."""

    def __init__(self, stream):
        self.stream = stream
        self.power = None  # (column, factor)
        self.counters = []  # (column, factor, name)
        self.is_even = accumulate is not None and not stream.inverted
        for column, point in enumerate(stream.points):
            if is_summed(point):
                self.is_even = self.is_even and point.exponent >= -3
                factor = 10 ** max(0, point.exponent + 3)
                if point.name == POWER:
                    self.power = (column, factor)
                else:
                    self.counters.append((column, factor, point.name))


class Block:
    """Rows of one entry, summed up: `sums` is {name: what `_sum` says} of its counters, `power` (n, min, max, sum)."""

    def __init__(self, entry, plan, start):
        self.plan = plan
        self.stream = plan.stream
        self.source = (entry, start)
        self.first = start + entry.start
        dt = entry.dt
        size = frame.row_count(entry)
        self.rises = type(dt) is int and (dt > 0 or size == 1)
        self.even = self.rises and plan.is_even and dt <= JOIN_MS_MAX and self._sum_even(size)
        if not self.even:
            times, columns = evidence.entry_rows(entry, self.stream, start, _NAMES)
            self.rises = sorted(set(times)) == times
            if self.rises:
                self._sum_rows(times, columns)

    def extremes(self, name):
        """Return the lowest and the highest value of a column of an even block."""
        if name == POWER:
            return self.power[1:3]
        found = self.sums[name]
        return found[1], found[3]

    def cut(self, a, b):
        """Return this block in pieces that lie before a, in [a, b), or from b on."""
        if not (self.first < a <= self.last or self.first < b <= self.last):
            return (self,)
        entry, start = self.source
        size = frame.row_count(entry)
        if self.even:
            at, end = [max(0, min(size, -(-(bound - self.first) // entry.dt))) for bound in (a, b)]
            rows = None
        else:
            rows = evidence.entry_rows(entry, self.stream, start, _NAMES)
            at, end = interval.index(rows[0], a), interval.index(rows[0], b)
        cuts = ((0, at), (at, end), (end, size))
        return [_Piece(self, rows, first, last) for first, last in cuts if first < last]

    def _sum_even(self, size):
        """Sum up all rows; false when a figure's column has a null, or a counter falls."""
        columns = self.source[0].columns
        try:
            for column, _, _ in self.plan.counters:
                if min(columns[column]) < 0:
                    return False
            self._sum_columns(0, size)
        except TypeError:  # nulls do not compare, nor add up
            return False
        return True

    def _sum_columns(self, first, last):
        """Sum up rows of even columns, which are in difference form."""
        entry, start = self.source
        start += entry.start
        self.first, self.last = start + entry.dt * first, start + entry.dt * (last - 1)
        self.count = last - first
        self.sums = {}
        covered = self.last - self.first
        for column, factor, name in self.plan.counters:
            steps = entry.columns[column]
            low = sum(steps[: first + 1]) * factor
            high = sum(steps[:last]) * factor
            self.sums[name] = (self.first, low, self.last, high, covered, high - low, 0, 0)
        self.power = None
        if self.plan.power is not None:
            column, factor = self.plan.power
            values = list(accumulate(entry.columns[column]))[first:last]
            self.power = (self.count, min(values) * factor, max(values) * factor, sum(values) * factor)

    def _sum_rows(self, times, columns):
        """Sum up rows that may have nulls, gaps, roll-overs and resets."""
        self.first, self.last = times[0], times[-1]
        self.count = len(times)
        values = [value for value in columns.get(POWER, ()) if value is not None]
        self.power = (len(values), min(values), max(values), sum(values)) if values else None
        counters = evidence.counters(self.stream)
        self.sums = {name: _sum(times, columns[name], modulus) for name, modulus in counters}


class _Piece(Block):
    """Some rows of a block."""

    def __init__(self, block, rows, first, last):
        self.plan = block.plan
        self.source = block.source
        if rows is None:
            self._sum_columns(first, last)
        else:
            self.stream = block.stream
            times, columns = rows
            self._sum_rows(times[first:last], {name: columns[name][first:last] for name in columns})


def is_summed(point) -> bool:
    """Tell whether blocks sum up this point."""
    return point.name in _NAMES and evidence.in_wire_unit(point)


def _sum(times, values, modulus):
    """Return (first time, value, last time, value, covered, energy, gap energy, resets) of a counter's own rows."""
    if None in values:
        times = [time for time, value in zip(times, values) if value is not None]
        values = [value for value in values if value is not None]
    if not times:
        return None
    start, end = times[0], times[-1]
    energy, gap, resets = interval.counter(times, values, modulus, start, end + 1)
    return start, values[0], end, values[-1], interval.covered(times, start, end), energy, gap, resets


def _figures(blocks, points, a, b):
    inside = [block for block in blocks if a <= block.first < b]
    energies, gaps = {}, {}
    total_resets = 0
    for at, (name, modulus) in enumerate(points):
        covered, energies[name], gaps[name], resets = _counter(blocks, name, modulus, a, b)
        total_resets += resets
        if at == 0:
            covered_ms = covered
    found = {"covered_ms": covered_ms, "counter_resets": total_resets, "energy": energies, "gap_energy": gaps}
    found["rows"] = sum([block.count for block in inside])
    powers = [block.power for block in inside if block.power is not None]
    if powers:
        n = sum([power[0] for power in powers])
        low, high = min([power[1] for power in powers]), max([power[2] for power in powers])
        found["power"] = {"n": n, "min": low, "max": high, "mean": sum([power[3] for power in powers]) // n}
    return found


def _counter(blocks, name, modulus, a, b):
    """Return (covered, energy, gap energy, resets): of the blocks in [a, b), and of the pairs between blocks."""
    covered = energy = gap = resets = 0
    before = None
    for block in blocks:
        found = block.sums[name]
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
