"""The interval of wire.md §4 written down clause by clause, slowly; what `wattwire.interval` is compared with."""

from fractions import Fraction
from itertools import pairwise
from math import floor

JOIN_MS_MAX = 120_000


def figures(rows, role, counters, a, b):
    """Return the figures of [(ms, {name: value or None}) …] in [a, b); `counters` are (name, modulus or None)."""
    leading = counters[0][0] if counters else "power"
    result = {
        "covered_ms": sum(hi - lo for *_, lo, hi in overlaps(rows, leading, a, b)),
        "counter_resets": 0,
        "energy": {},
        "gap_energy": {},
        "rows": sum(a <= t < b for t, _ in rows),
    }
    for name, modulus in counters:
        result["energy"][name], result["gap_energy"][name], resets = count(rows, name, modulus, a, b)
        result["counter_resets"] += resets
    if not counters:
        plus = integral(rows, a, b, lambda p: max(p, 0))
        minus = integral(rows, a, b, lambda p: max(-p, 0))
        plus_name, minus_name = (
            ("energy_export", "energy_import") if role == "pv" else ("energy_import", "energy_export")
        )
        result["energy"] = {plus_name: plus, minus_name: minus}
    powers = [values["power"] for t, values in rows if a <= t < b and values.get("power") is not None]
    if powers:
        mean = floor(Fraction(sum(powers), len(powers)))
        result["power"] = {"n": len(powers), "min": min(powers), "max": max(powers), "mean": mean}
    return result


def pairs(rows, name):
    """Clause 1: neighbours among the rows in which the point is not null, as (t1, x1, t2, x2)."""
    own = [(t, values[name]) for t, values in rows if values.get(name) is not None]
    return [(*first, *second) for first, second in pairwise(own)]


def overlaps(rows, name, a, b):
    """Joined pairs with lo = max(a, t1) < hi = min(b, t2), as (t1, x1, t2, x2, lo, hi)."""
    joined = [pair for pair in pairs(rows, name) if pair[2] - pair[0] <= JOIN_MS_MAX]
    cut = [(*pair, max(a, pair[0]), min(b, pair[2])) for pair in joined]
    return [pair for pair in cut if pair[4] < pair[5]]


def level(t1, x1, t2, x2, t):
    return x1 + floor(Fraction((x2 - x1) * (t - t1), t2 - t1))


def count(rows, name, modulus, a, b):
    """Clause 3: one cumulative counter's energy, gap energy and resets."""
    energy = resets = 0
    for t1, c1, t2, second, lo, hi in overlaps(rows, name, a, b):
        c2 = second
        if c2 < c1:
            if modulus is not None and (c2 - c1) % modulus < modulus // 16:
                c2 += modulus
            else:
                resets += 1
                continue
        energy += level(t1, c1, t2, c2, hi) - level(t1, c1, t2, c2, lo)
    gaps = [(t2, c2 - c1) for t1, c1, t2, c2 in pairs(rows, name) if t2 - t1 > JOIN_MS_MAX]
    return energy, sum(max(0, rise) for t2, rise in gaps if a <= t2 < b), resets


def integral(rows, a, b, part):
    """Clause 4: power integrated, `part` taken of p(lo) and p(hi)."""
    total = 0
    for t1, p1, t2, p2, lo, hi in overlaps(rows, "power", a, b):
        total += (part(level(t1, p1, t2, p2, lo)) + part(level(t1, p1, t2, p2, hi))) * (hi - lo)
    return total // 7_200_000
