"""From frames to figures (wire.md §3, §4): one reading for the gateway and for whoever checks it.

Records are `frame.Record`s of one board, in any order. Columns come out as integers in milli-units.
"""

from collections import namedtuple

from wattwire import frame, interval, shape
from wattwire.errors import WireError

# `late` rows were not later than the one before, `undated` ones have no frame that dates them, `foreign` ones belong
# to another role than `stream` has, `unknown` entries (of any stream) do not fit the streams records at hand.
Collected = namedtuple("Collected", ("times", "columns", "stream", "late", "undated", "foreign", "unknown"))

FIGURE_UNITS = {interval.POWER: "W", interval.IMPORT: "Wh", interval.EXPORT: "Wh"}

_SIGNED = ("power", "current")
_SWAPPED = {interval.IMPORT: interval.EXPORT, interval.EXPORT: interval.IMPORT}
_PHASES = ("l1", "l2", "l3")
_MILLI = 3


def device(stream, index: int) -> str:
    """Return what a slot calls a stream: its serial where it has one, else its index."""
    return str(index) if stream.serial is None else stream.serial.hex()


def devices(body) -> list:
    """Return `device` of each stream of a streams body; a serial that two streams share names neither of them."""
    names = [device(stream, index) for index, stream in enumerate(body.streams)]
    return [str(index) if names.count(name) > 1 else name for index, name in enumerate(names)]


def to_milli(value: int, exponent: int) -> int:
    """Return value × 10^exponent in milli-units, floored."""
    exponent += _MILLI
    return value * 10**exponent if exponent >= 0 else value // 10**-exponent


def dates(records) -> dict:
    """Return {(log, boot): unix − up} from the first dated record of each boot."""
    found = {}
    for record in _ascending(records):
        key = (record.log, record.boot)
        if record.unix is not None and key not in found:
            found[key] = record.unix - record.up
    return found


def unix_of_up(record, dated):
    """Return the unix ms of a record's `up`, by `dates` where it does not know itself; None when unknown."""
    if record.unix is not None:
        return record.unix
    offset = dated.get((record.log, record.boot))
    return None if offset is None else offset + record.up


def streams_by_hash(records) -> dict:
    """Return the bodies of the streams records by the hash that rows records name."""
    kind = frame.KIND_STREAMS
    return {frame.prev_of(frame.encode(record)): record.body for record in records if record.kind == kind}


def entry_rows(entry, stream, start: int, names=None):
    """Return (times, {name: values}) of one entry of a record whose `up` was at unix ms `start`.

    `names` limits the columns. Raises WireError when the entry's columns are not the stream's points.
    """
    if len(entry.columns) != len(stream.points):
        raise WireError("bad_form", "columns do not match the points")
    columns = {}
    for point, column in zip(stream.points, entry.columns):
        name = read_name(point.name) if stream.inverted else point.name
        if (names is None or name in names) and in_wire_unit(point):
            negative = stream.inverted and _stem(name) in _SIGNED
            columns[name] = _milli_column(frame.undelta(column), point.exponent, negative)
    return frame.times(entry, start), columns


def read_name(name: str) -> str:
    """Return the name that a point with inverted wiring is read under: import is export, on each phase as well."""
    stem = _stem(name)
    return _SWAPPED[stem] + name[len(stem) :] if stem in _SWAPPED else name


def counters(stream) -> tuple:
    """Return (name, modulus in mWh or None) of the energy counters that count for figures, in the stream's order."""
    found = []
    for point in stream.points:
        name = read_name(point.name) if stream.inverted else point.name
        if name in _SWAPPED and in_wire_unit(point):
            modulus = None if point.modulus is None else to_milli(point.modulus, point.exponent)
            found.append((name, modulus or None))
    return tuple(found)


def collect(records, device: str, names=None, before=None):
    """Return the Collected rows of one stream; its descriptor is the one in force at the last row before `before`."""
    reader = _Reader(records, device, names)
    stream = reader.stream_before(before)
    merged = _Merged()
    foreign = 0
    for times, columns, part in reader.parts:
        if part.role == stream.role:
            merged.add(times, columns)
        else:
            foreign += len(times)
    return Collected(merged.times, merged.columns, stream, merged.late, reader.undated, foreign, reader.unknown)


def stream_rows(records, device: str, names=None):
    """Return (times, columns, stream) of one stream; `stream` is None when no record tells of it."""
    return tuple(collect(records, device, names)[:3])


def figures(records, device: str, a: int, b: int) -> dict:
    """Return the figures of one stream in [a, b) from these records and nothing else; raises WireError."""
    rows = collect(records, device, FIGURE_UNITS, b)
    if rows.stream is None:
        raise WireError("unknown_stream", device)
    return interval.figures(rows.times, rows.columns, rows.stream.role, counters(rows.stream), a, b)


def ranges(pairs) -> list:
    """Return [[log, first, last] …] of (log, seq) pairs in any order; a hole begins a new range."""
    found = []
    for log, seq in sorted({tuple(pair) for pair in pairs}):
        if found and found[-1][0] == log and found[-1][2] == seq - 1:
            found[-1][2] = seq
        else:
            found.append([log, seq, seq])
    return found


def numbers(found):
    """Yield the (log, seq) pairs of ranges, ascending; call `count` first on what others sent."""
    for log, first, last in found:
        for seq in range(first, last + 1):
            yield log, seq


def count(found) -> int:
    """Return how many frames ranges name; raises WireError unless they are as `ranges` makes them."""
    total = 0
    end_log, end = -1, 0
    for item in shape.typed(found, list, "ranges"):
        log, first, last = shape.items(item, 3, "range")
        for number in item:
            shape.uint(number, "range")
        if log < end_log or (log == end_log and first <= end + 1) or not 0 < first <= last:
            raise WireError("bad_range", "ranges")
        end_log, end = log, last
        total += last - first + 1
    return total


class _Merged:
    """Rows of one stream as they are put together, each later than the one before."""

    def __init__(self):
        self.times = []
        self.columns = {}
        self.late = 0

    def add(self, times, columns):
        rows = self._later(times)
        size = len(self.times)
        if len(rows) < len(times):
            self.late += len(times) - len(rows)
            times = [times[row] for row in rows]
            columns = {name: [columns[name][row] for row in rows] for name in columns}
        for name in columns:
            if name not in self.columns:
                self.columns[name] = [None] * size
        self.times += times
        for name in self.columns:
            self.columns[name] += columns[name] if name in columns else [None] * len(times)

    def _later(self, times):
        """Return the indices of those rows that are later than every row before them."""
        last = self.times[-1] if self.times else times[0] - 1
        if times[0] > last and sorted(set(times)) == times:
            return range(len(times))
        rows = []
        for row, time in enumerate(times):
            if time > last:
                rows.append(row)
                last = time
        return rows


def _ascending(records):
    return sorted(records, key=lambda record: (record.log, record.seq))


class _Reader:
    """Picks one stream's entries out of records."""

    def __init__(self, records, device, names):
        self.device = device
        self.names = names
        self.parts = []  # (times, columns, stream) of each entry
        self.told = None  # the newest descriptor, whether or not it has rows
        self.undated = 0
        self.unknown = 0
        records = _ascending(records)
        bodies = streams_by_hash(records)
        dated = dates(records)
        for record in records:
            if record.kind == frame.KIND_STREAMS:
                self._tell(record.body)
            elif record.kind == frame.KIND_ROWS:
                body = bodies.get(record.body.streams_hash)
                self._read(record.body.entries, body, unix_of_up(record, dated))

    def stream_before(self, before):
        """Return the descriptor of the last entry that begins before `before`, or the nearest there is."""
        if not self.parts:
            return self.told
        found = self.parts[0][2]
        for times, _, stream in self.parts:
            if before is None or times[0] < before:
                found = stream
        return found

    def _tell(self, body):
        for name, stream in zip(devices(body), body.streams):
            if name == self.device:
                self.told = stream

    def _read(self, entries, body, start):
        names = [] if body is None else devices(body)
        for entry in entries:
            if entry.stream >= len(names) or len(entry.columns) != len(body.streams[entry.stream].points):
                self.unknown += 1
            elif names[entry.stream] == self.device and frame.row_count(entry):
                self._take(entry, body.streams[entry.stream], start)

    def _take(self, entry, stream, start):
        if start is None:
            self.undated += frame.row_count(entry)
            return
        times, columns = entry_rows(entry, stream, start, self.names)
        self.parts.append((times, columns, stream))


def _stem(name):
    """Return a point's name without its phase or string number."""
    stem, _, number = name.rpartition("_")
    is_number = number != "" and min(number) >= "0" and max(number) <= "9"
    return stem if number in _PHASES or is_number else name


def in_wire_unit(point):
    """Tell whether a point that figures are made of has the wire's own unit for it; another one is not read."""
    return FIGURE_UNITS.get(point.name, point.unit) == point.unit


def _milli_column(values, exponent, negative):
    exponent += _MILLI
    factor = 10**exponent if exponent >= 0 else 1
    divisor = 10**-exponent if exponent < 0 else 1
    if negative:
        factor = -factor
    if None in values:
        return [None if value is None else value * factor // divisor for value in values]
    if divisor == 1:
        return [value * factor for value in values] if factor != 1 else values
    return [value * factor // divisor for value in values]
