"""The figures of an interval from smooth blocks: rows that are evenly apart and join, counters that never miss or fall.

Most intervals of most boards are like that. What the pairs add to a counter's energy telescopes then (wire.md §4): it
is the counter's level at the end less that at the start, so that only the rows next to these are looked at.
"""

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter, gt, sub
from typing import Any

from wattwire.interval import JOIN_MS_MAX

from . import packed
from .digest import Block

_FIRST = attrgetter("first")


def figures(blocks: Sequence[Block], a: int, b: int) -> dict[str, Any] | None:
    """Return the figures in [a, b) of blocks in ascending time, or None when they are not smooth."""
    start, end = max(a, blocks[0].first), min(b, blocks[-1].last)
    if start > end or not is_smooth(blocks):
        return None
    plan = blocks[0].plan
    energies = map(sub, _levels(blocks, end), _levels(blocks, start))
    energy = dict(zip([name for name, _ in plan.points], energies, strict=True))
    found: dict[str, Any] = {
        "covered_ms": end - start,
        "counter_resets": 0,
        "energy": energy,
        "gap_energy": dict.fromkeys(energy, 0),
    }
    found["rows"], power = _inside(blocks, a, b)
    if power is not None:
        found["power"] = power
    return found


def is_smooth(blocks: Sequence[Block]) -> bool:
    """Tell whether these blocks are smooth, each and together."""
    before = blocks[0]
    if not before.lows:
        return False
    for block in blocks[1:]:
        if not block.lows or block.plan is not before.plan or not 0 < block.first - before.last <= JOIN_MS_MAX:
            return False
        if any(map(gt, before.highs, block.lows)):
            return False
        before = block
    return True


def levels(blocks: Sequence[Block]) -> dict[str, int]:
    """Return the counters behind the last row of smooth blocks, in mWh."""
    last = blocks[-1]
    return dict(zip([name for name, _ in last.plan.points], last.highs, strict=True))


def _levels(blocks: Sequence[Block], at: int) -> Sequence[int]:
    """Return the counters at a time within the blocks, in mWh."""
    number = bisect_right(blocks, at, key=_FIRST) - 1
    block = blocks[number]
    if at > block.last:
        following = blocks[number + 1]
        t1, low, t2, high = block.last, block.highs, following.first, following.lows
    else:
        row, since = divmod(at - block.first, block.spacing or 1)
        low = block.levels(row)
        if not since:
            return low
        t1, t2, high = at - since, at - since + block.spacing, block.levels(row + 1)
    return [c1 + (c2 - c1) * (at - t1) // (t2 - t1) for c1, c2 in zip(low, high, strict=True)]


def _inside(blocks: Sequence[Block], a: int, b: int) -> tuple[int, dict[str, int] | None]:
    """Return how many rows lie in [a, b), and the figures of their power."""
    power = blocks[0].plan.power
    rows = 0
    values: list[int] = []
    for block in blocks:
        first, last = block.rows_in(a, b)
        rows += last - first
        if power is not None and first < last:
            column = block.entry.packed[power[0]]
            values += packed.values(column if last - first == block.entry.rows else packed.part(column, first, last))
    if power is None or not values:
        return rows, None
    n, low, high, total = packed.extent(values)
    factor = power[1]
    return rows, {"n": n, "min": low * factor, "max": high * factor, "mean": total * factor // n}
