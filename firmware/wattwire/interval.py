"""The figures of one stream in [a, b): the pure integer function of wire.md §4.

Everything is in working units: mW, mWh and ms.
"""

from wattwire.errors import WireError

try:
    from operator import lt, sub
except ImportError:  # MicroPython

    def lt(left, right):
        return left < right

    def sub(left, right):
        return left - right


JOIN_MS_MAX = 120_000
_HALF_MW_MS_PER_MWH = 7_200_000  # power is summed at both ends of a pair

POWER = "power"
IMPORT = "energy_import"
EXPORT = "energy_export"


def figures(times, columns, role, points, a, b) -> dict:  # noqa: PLR0913, PLR0917 — what §4 names
    """Return the figures of the rows at `times` (ascending) in [a, b).

    `columns` maps names to values or nulls, row by row; `points` are the counters as (name, modulus or None), in the
    descriptor's order. Rows before a and from b on are only there to be joined with; those further off do not matter.
    """
    if a >= b:
        raise WireError("bad_range", "empty interval")
    first = index(times, a)
    last = index(times, b)
    power = columns.get(POWER)
    result = _counted(times, columns, points, a, b) if points else _integrated(times, power, role, a, b)
    result["rows"] = last - first
    inside = [] if power is None else [value for value in power[first:last] if value is not None]
    if inside:
        mean = sum(inside) // len(inside)
        result["power"] = {"n": len(inside), "min": min(inside), "max": max(inside), "mean": mean}
    return result


def _counted(times, columns, points, a, b):
    """Return the figures of a stream with counters; the first one leads."""
    covered_ms = None
    total_resets = 0
    energies, gaps = {}, {}
    for name, modulus in points:
        near, values = _near(times, columns.get(name), a, b)
        energies[name], gaps[name], resets = counter(near, values, modulus, a, b)
        total_resets += resets
        if covered_ms is None:
            covered_ms = covered(near, a, b)
    return {"covered_ms": covered_ms, "counter_resets": total_resets, "energy": energies, "gap_energy": gaps}


def _integrated(times, power, role, a, b):
    """Return the figures of a stream without counters: its power over time."""
    near, values = _near(times, power, a, b)
    positive, negative = [area // _HALF_MW_MS_PER_MWH for area in areas(near, values, a, b)]
    if role == "pv":
        positive, negative = negative, positive
    energies = {IMPORT: positive, EXPORT: negative}
    return {"covered_ms": covered(near, a, b), "counter_resets": 0, "energy": energies, "gap_energy": {}}


def index(times, at):
    """Return how many times come before `at`."""
    low, high = 0, len(times)
    while low < high:
        middle = (low + high) >> 1
        if times[middle] < at:
            low = middle + 1
        else:
            high = middle
    return low


def _near(times, values, a, b):
    """Return times and values of the point's own rows in [a, b), one before and one from b on."""
    if values is None:
        return [], []
    start = index(times, a)
    end = index(times, b)
    while start > 0:
        start -= 1
        if values[start] is not None:
            break
    while end < len(times):
        end += 1
        if values[end - 1] is not None:
            break
    times = times[start:end]
    values = values[start:end]
    if None in values:
        times = [time for time, value in zip(times, values) if value is not None]
        values = [value for value in values if value is not None]
    return times, values


def _all_join(times):
    return len(times) < 2 or max(map(sub, times[1:], times)) <= JOIN_MS_MAX


def covered(times, a, b):
    """Return how much of [a, b) lies within joined pairs."""
    if len(times) > 1 and _all_join(times):
        return _overlap(times[0], times[-1], a, b)
    pairs = zip(times, times[1:])  # noqa: RUF007 — MicroPython has no itertools
    return sum([_overlap(t1, t2, a, b) for t1, t2 in pairs if t2 - t1 <= JOIN_MS_MAX])


def _overlap(t1, t2, a, b):
    return max(0, min(b, t2) - max(a, t1))


def _level(times, values, row, at):
    """Return x(at) between `row` and the next."""
    t1 = times[row]
    x1 = values[row]
    return x1 + (values[row + 1] - x1) * (at - t1) // (times[row + 1] - t1)


def counter(times, values, modulus, a, b):
    """Return (energy, gap energy, resets) of a cumulative counter."""
    if len(times) < 2:
        return 0, 0, 0
    if _all_join(times) and not any(map(lt, values[1:], values)):
        start = _level(times, values, 0, max(a, times[0]))
        return _level(times, values, -2, min(b, times[-1])) - start, 0, 0
    energy = gap = resets = 0
    for t1, t2, c1, c2 in zip(times, times[1:], values, values[1:]):
        if t2 - t1 > JOIN_MS_MAX:
            if c2 > c1 and a <= t2 < b:
                gap += c2 - c1
        elif t2 > a and t1 < b:
            rise = c2 - c1
            if rise < 0 and modulus is not None and rise % modulus < modulus // 16:
                rise += modulus
            elif rise < 0:
                resets += 1
                rise = 0
            energy += _part(rise, t1, t2, a, b)
    return energy, gap, resets


def _part(rise, t1, t2, a, b):
    """Return C(hi) − C(lo) of a pair; the counter's own level cancels out."""
    if a <= t1 and t2 <= b:
        return rise
    return rise * (min(b, t2) - t1) // (t2 - t1) - rise * (max(a, t1) - t1) // (t2 - t1)


def areas(times, values, a, b):
    """Return `num` of p⁺ and of p⁻: twice the areas over and under zero in [a, b), in mW ms."""
    if len(times) < 2:
        return 0, 0
    times, values = _cut(times, values, a, b)
    positive = _area(times, [value if value > 0 else 0 for value in values])  # noqa: FURB136 — a third of the time
    negative = _area(times, [-value if value < 0 else 0 for value in values])
    return positive, negative


def _cut(times, values, a, b):
    """Move a row beyond a or b onto it when it joins its neighbour; drop it when it does not."""
    head = times[0] < a
    tail = times[-1] > b
    first, last = [], []
    if head and times[1] - times[0] <= JOIN_MS_MAX:
        first = [(a, _level(times, values, 0, a))]
    if tail and times[-1] - times[-2] <= JOIN_MS_MAX:
        last = [(b, _level(times, values, -2, b))]
    start = 1 if head else 0
    end = len(times) - 1 if tail else len(times)
    return (
        [time for time, _ in first] + times[start:end] + [time for time, _ in last],
        [value for _, value in first] + values[start:end] + [value for _, value in last],
    )


def _area(times, values):
    """Return the integral over the joined pairs, doubled so that it stays whole."""
    return sum(
        [
            (p1 + p2) * (t2 - t1)
            for t1, t2, p1, p2 in zip(times, times[1:], values, values[1:])
            if t2 - t1 <= JOIN_MS_MAX
        ]
    )
