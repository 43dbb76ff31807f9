"""The rows of one stream since the last frame, as the wire wants them: columns of differences."""

from collections.abc import Sequence

from wattwire import records

ENTRY_BYTES = 24  # heads, start and spacing of an entry, at most


class Rows:
    """Rows of `points` columns, in ascending time; `size` is the bytes they will need at most."""

    def __init__(self, points: int) -> None:
        """No row yet."""
        self.times: list[int] = []
        self.size = ENTRY_BYTES + 3 * points
        self._columns: list[list[int | None]] = [[] for _ in range(points)]
        self._last = [0] * points

    def add(self, up_ms: int, row: Sequence[int | None]) -> None:
        """Append a row that is later than the last one."""
        self.size += _bytes(up_ms - self.times[-1]) if self.times else 9
        self.times.append(up_ms)
        for index, value in enumerate(row):
            step = None
            if value is not None:
                step = value - self._last[index]
                self._last[index] = value
            self._columns[index].append(step)
            self.size += 1 if step is None else _bytes(step)

    def entry(self, stream: int, base_ms: int) -> records.Entry:
        """Return the Entry of these rows, `base_ms` being the record's own time."""
        steps = [after - before for before, after in zip(self.times, self.times[1:], strict=False)]
        spacing: int | list[int] = steps
        if not steps or min(steps) == max(steps):
            spacing = steps[0] if steps else 0
        return records.Entry(stream, self.times[0] - base_ms, spacing, self._columns)


def _bytes(number: int) -> int:
    """Return how many bytes CBOR needs for an integer."""
    magnitude = -1 - number if number < 0 else number
    if magnitude < 24:
        return 1
    return 2 if magnitude < 1 << 8 else 3 if magnitude < 1 << 16 else 5 if magnitude < 1 << 32 else 9
