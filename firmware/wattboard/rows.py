"""The rows of one stream since the last frame, kept as the wire wants them: columns of differences."""

from wattwire import records

ENTRY_BYTES = 24  # heads, start and spacing of an entry, at most


def encoded_bytes(value):
    """Return how many bytes CBOR needs for an integer or None."""
    if value is None:
        return 1
    magnitude = -1 - value if value < 0 else value
    if magnitude < 24:
        return 1
    if magnitude < 0x100:
        return 2
    if magnitude < 0x10000:
        return 3
    return 5 if magnitude < 0x100000000 else 9


class Rows:
    """Rows of `points` columns; `size` is the bytes they will need at most, `values` how many numbers are held."""

    def __init__(self, points):
        self.start = None
        self.end = None
        self.count = 0
        self.size = ENTRY_BYTES + 3 * points
        self.values = 0
        self._steps = []
        self._columns = [[] for _ in range(points)]
        self._last = [0] * points

    def add(self, up_ms, values):
        """Append a row that is later than the last one."""
        if self.start is None:
            self.start = up_ms
        else:
            self._steps.append(up_ms - self.end)
            self.size += encoded_bytes(up_ms - self.end)
        self.end = up_ms
        self.count += 1
        for index, value in enumerate(values):
            step = None
            if value is not None:
                step = value - self._last[index]
                self._last[index] = value
            self._columns[index].append(step)
            self.size += encoded_bytes(step)
        self.values += len(values) + 1

    def entry(self, stream, base_ms):
        """Return the Entry of these rows, `base_ms` being the record's own time."""
        return records.Entry(stream, self.start - base_ms, self._spacing(), self._columns)

    def _spacing(self):
        """Return the constant spacing of the rows, or the list of all of them."""
        if not self._steps:
            return 0
        return self._steps[0] if min(self._steps) == max(self._steps) else self._steps
