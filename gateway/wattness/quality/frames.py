"""Physics before rewards: what a frame's content cannot be."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from wattness import packed

from .registry import RULES

RATED_PERCENT_MAX = 115
MILLI_MAX = 1 << 53  # larger values cannot be told from each other by most who read a report
CLOCK_STEP_MS = 2000
FRAME_MS_MAX = 86_400_000  # a frame that claims to span more than a day

_RANGES = {
    "voltage": (0, 1_000_000),
    "aux_voltage": (0, 1_000_000),
    "dc_voltage": (0, 1_500_000),
    "battery_voltage": (0, 1_500_000),
    "frequency": (45_000, 65_000),
    "soc": (0, 100_000),
    "energy_import": (0, MILLI_MAX),
    "energy_export": (0, MILLI_MAX),
}


_OR_ZERO = frozenset({"frequency"})  # a sleeping inverter says 0 Hz, and is honest


class Verdict(NamedTuple):
    """One thing that is wrong with a frame; `level` is flagged or quarantined."""

    level: str
    reason: str


class Limit(NamedTuple):
    """The range, in the column's own integers, outside of which a value is impossible; 0 may be possible beside it."""

    column: int
    low: int
    high: int
    or_zero: bool


def _found(code: str) -> Verdict:
    return Verdict(RULES[code].level, code)


FUTURE_TIME = _found("future_time")
IMPOSSIBLE_VALUE = _found("impossible_value")
FRAME_TOO_LONG = _found("frame_too_long")
IMPOSSIBLE_TIME = _found("impossible_time")  # before 1970: the clock went back by more than there was
CLOCK_STEP = _found("clock_step")
UNKNOWN_STREAMS = _found("unknown_streams")
UNKNOWN_STREAM = _found("unknown_stream")
OTHER_GATEWAY = _found("other_gateway")
TOO_MANY_STREAMS = _found("too_many_streams")

# Rows that nobody can read without a streams record of ours might be any stream's: an auditor cannot let them pass.
UNPROVABLE = frozenset({UNKNOWN_STREAMS.reason, OTHER_GATEWAY.reason})

_STILL = frozenset({FUTURE_TIME, IMPOSSIBLE_TIME, FRAME_TOO_LONG, UNKNOWN_STREAMS, OTHER_GATEWAY})


class Limits:
    """What the columns of one stream (`wattwire.frame.Stream`) cannot hold."""

    __slots__ = ("_all",)

    def __init__(self, stream: Any) -> None:
        """Work out the limits in the columns' own integers."""
        self._all = []
        for column, point in enumerate(stream.points):
            low, high = bounds(point.name, stream.rated_w)
            scale = 10 ** abs(point.exponent)
            if point.exponent >= 0:
                low_here, high_here = -(-low // (scale * 1000)), high // (scale * 1000)
            else:
                low_here, high_here = -(-low * scale // 1000), high * scale // 1000
            self._all.append(Limit(column, low_here, high_here, _stem(point.name) in _OR_ZERO))

    def exceeded(self, columns: Sequence[packed.Column], rows: int) -> bool:
        """Tell whether a value of these columns, of so many rows, is impossible."""
        reach = packed.STEP_MAX * rows
        for at, low, high, or_zero in self._all:
            column = columns[at]
            if type(column) is tuple and low + reach <= column[1] <= high - reach:
                continue  # hardly any needs to be looked at: its steps cannot lead that far
            if not packed.within(column, low, high) and _exceeds(packed.values(column), low, high, or_zero=or_zero):
                return True
        return False


def advances(verdicts: Sequence[Verdict]) -> bool:
    """Tell whether a frame with these verdicts may move its streams forward in time."""
    return not any(verdict in _STILL for verdict in verdicts)


def _stem(name: str) -> str:
    """Return a point's name without its phase or string."""
    return name.partition("_l")[0].rstrip("0123456789").rstrip("_")


def bounds(name: str, rated_w: int | None) -> tuple[int, int]:
    """Return the lowest and the highest possible value of a point in milli-units."""
    stem = _stem(name)
    if stem == "power" and rated_w is not None:
        highest = rated_w * 10 * RATED_PERCENT_MAX
        return -highest, highest
    return _RANGES.get(stem, (-MILLI_MAX, MILLI_MAX))


def _exceeds(values: Sequence[int], low: int, high: int, *, or_zero: bool) -> bool:
    found = [value for value in values if value] if or_zero else values
    return bool(found) and not low <= min(found) <= max(found) <= high
