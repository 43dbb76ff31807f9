"""Rows as they came: columns whose steps are single bytes on the wire stay bytes, which are summed up at C speed.

A column is either packed, (rows before its first value, that value, the bytes of the steps after it), each step being
the one byte of its CBOR, or it is the list that `wattwire.frame.Entry` has. Most columns of most boards are packed:
steps from -24 to 23 and nulls are one byte; the power of a busy house is not.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from wattwire import frame

Packed = tuple[int, int, bytes]
Plain = list[int | None]
Column = Packed | Plain

STEP_MAX = 24  # no packed step is larger
NULL = b"\xf6"
_LAST_RISE = 0x17  # the larger bytes are -1, -2 … from 0x20 on, and null


def _table(value_of: Any) -> bytes:
    """Return what each byte of a step becomes."""
    values = {byte: byte for byte in range(_LAST_RISE + 1)} | {0x20 + n: -1 - n for n in range(STEP_MAX)}
    return bytes(value_of(values[byte]) if byte in values else 0 for byte in range(256))


_RISES = bytes(range(_LAST_RISE + 1))
_SIGNED = _table(lambda step: step & 0xFF)
_SHIFTED = _table(lambda step: step + STEP_MAX)
_MAGNITUDE = _table(abs)


class Entry(NamedTuple):
    """An entry of a rows record; `columns` are those of `wattwire.frame.Entry`."""

    stream: int
    start: int
    dt: int | list[int]
    rows: int
    packed: Sequence[Column]

    @property
    def columns(self) -> "_Columns":
        """The columns in the wire's difference form, each made anew when it is asked for."""
        return _Columns(self.packed)

    @property
    def span(self) -> int:
        """How much later the last row is than the first."""
        return self.dt * max(0, self.rows - 1) if isinstance(self.dt, int) else sum(self.dt)


class _Columns(Sequence[Plain]):
    def __init__(self, columns: Sequence[Column]) -> None:
        self._packed = columns

    def __len__(self) -> int:
        return len(self._packed)

    def __getitem__(self, at: Any) -> Any:
        return plain(self._packed[at]) if isinstance(at, int) else [plain(column) for column in self._packed[at]]

    def __iter__(self) -> Iterator[Plain]:
        return map(plain, self._packed)


def of(entry: Any) -> Entry:
    """Return any entry as an `Entry`."""
    if type(entry) is Entry:
        return entry
    return Entry(entry.stream, entry.start, entry.dt, frame.row_count(entry), entry.columns)


def plain(column: Column) -> Plain:
    """Return a column in the wire's difference form."""
    if isinstance(column, list):
        return column
    nulls, first, steps = column
    found: Plain = [None] * nulls
    found.append(first)
    if NULL in steps:
        found += [None if step == NULL[0] else _signed(step) for step in steps]
    else:
        found += memoryview(steps.translate(_SIGNED)).cast("b")
    return found


def values(column: Column) -> list[int]:
    """Return the values of a column that are there."""
    if isinstance(column, list):
        return list(accumulate(column if None not in column else [step for step in column if step is not None]))  # type: ignore[arg-type]
    return list(accumulate(memoryview(column[2].translate(_SIGNED, NULL)).cast("b"), initial=column[1]))


def extent(values: list[int]) -> tuple[int, int, int, int]:
    """Sort some values and return (how many, lowest, highest, their sum)."""
    values.sort()  # it knows integers, and rows in order; `min` and `max` compare whatever comes, and take far longer
    return len(values), values[0], values[-1], sum(values)


def last(column: Column) -> int | None:
    """Return the last value that is there."""
    if isinstance(column, list):
        found = [step for step in column if step is not None]
        return sum(found) if found else None
    return column[1] + total(column[2])


def first(column: Column) -> int | None:
    """Return the first value that is there."""
    return next((step for step in column if step is not None), None) if isinstance(column, list) else column[1]


def total(steps: bytes) -> int:
    """Return the sum of packed steps."""
    shifted = steps.translate(_SHIFTED, NULL)
    return sum(shifted) - STEP_MAX * len(shifted)


def within(column: Column, low: int, high: int) -> bool:
    """Tell, where that is quick, that all values lie in a range: none is further from the first than all steps."""
    if type(column) is tuple:
        _, begin, steps = column
        reach = sum(steps.translate(_MAGNITUDE, NULL))
        return low <= begin - reach and begin + reach <= high
    if not column:
        return True
    try:
        reach = sum(map(abs, column)) - abs(column[0])  # type: ignore[arg-type]
    except TypeError:  # nulls
        return False
    return low <= column[0] - reach and column[0] + reach <= high  # type: ignore[operator]


def rise(column: Column, nulls_max: int) -> tuple[int, int, int, int] | None:
    """Return (row and value of the first, row and value of the last) of values that never fall.

    None where a value falls, or more than `nulls_max` nulls lie between two values, or where that is not quickly told.
    """
    if isinstance(column, list):
        if None in column or not column or min(column[1:], default=0) < 0:  # type: ignore[type-var,operator]
            return None
        return 0, column[0], len(column) - 1, sum(column)  # type: ignore[return-value,arg-type]
    nulls, begin, steps = column
    others = steps.translate(None, _RISES)
    if others:
        steps = steps.rstrip(NULL)
        if others.strip(NULL) or NULL * (nulls_max + 1) in steps:
            return None
        return nulls, begin, nulls + len(steps), begin + sum(steps.translate(None, NULL))
    return nulls, begin, nulls + len(steps), begin + sum(steps)


def level(column: Column, row: int) -> int:
    """Return the value in a row of a column without nulls or falls."""
    if isinstance(column, list):
        return sum(column[: row + 1])  # type: ignore[arg-type]
    return column[1] + sum(column[2][:row])


def part(column: Column, first: int, last: int) -> Column:
    """Return some of a column's rows, as a column."""
    if isinstance(column, list):
        return _part_of_plain(column, first, last)
    nulls, begin, steps = column
    if last <= nulls:
        return [None] * (last - first)
    if first <= nulls:
        return nulls - first, begin, steps[: last - nulls - 1]
    rest = steps[first - nulls - 1 : last - nulls - 1]
    lead = len(rest) - len(rest.lstrip(NULL))
    if lead == len(rest):
        return [None] * lead
    return lead, begin + total(steps[: first - nulls + lead]), rest[lead + 1 :]


def _part_of_plain(column: Plain, first: int, last: int) -> Plain:
    at = next((row for row in range(first, last) if column[row] is not None), last)
    if at == last:
        return [None] * (last - first)
    level = sum(step for step in column[: at + 1] if step is not None)
    return [*[None] * (at - first), level, *column[at + 1 : last]]


def _signed(step: int) -> int:
    return step if step <= _LAST_RISE else 0x1F - step
