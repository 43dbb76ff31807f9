"""Every row that the store and its history hold, entry by entry, in bounded memory: for exports and replays."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from wattness import strictcbor
from wattwire import cose, evidence, frame

from .chunks import unpack
from .corrections import Columns, Corrections, read_entry
from .history import History
from .reader import Reader
from .views import FrameView

DESCRIPTORS_MAX = 256  # streams records that are remembered: rows refer to a recent one
UNSCALED = -3  # entries are read in milli-units; with this exponent integers stay as they are

Chosen = Callable[[str], bool]  # by a board's key, in hex


class Told(NamedTuple):
    """Some rows of a stream; `start` is None while nobody knows when they were, `log` and `seq` in a chunk."""

    board_key: str
    device: str
    log: int | None
    seq: int | None
    stream: Any  # wattwire.frame.Stream, as the board signed it
    entry: Any
    start: int | None

    def values(self, corrections: Corrections) -> tuple[list[int], Columns]:
        """Return (times, columns in milli-units)."""
        return read_entry(self.entry, self.stream, self.start or 0, corrections)

    def integers(self, corrections: Corrections) -> tuple[list[int], Columns, dict[str, Any]]:
        """Return (times, columns of unscaled integers, the points by the names they are read under)."""
        stream = corrections.stream(self.stream)
        points = {evidence.read_name(point.name) if stream.inverted else point.name: point for point in stream.points}
        flat = stream._replace(points=tuple(point._replace(exponent=UNSCALED) for point in stream.points))
        times, columns = evidence.entry_rows(self.entry, flat, self.start or 0)
        for name in corrections.negated(self.stream) & columns.keys():
            columns[name] = [None if value is None else -value for value in columns[name]]
        return times, columns, points


def tell(reader: Reader, chosen: Chosen) -> Iterator[Told]:
    """Yield what chunks hold, stream by stream in the order of time, then what frames hold in the order of arrival."""
    compacted: dict[tuple[str, str], int] = {}
    for board_key, device, compacted_ms, *chunk in reader.past(History.chunks):
        compacted[board_key, device] = compacted_ms
        if chosen(board_key):
            first_ms, stream, entry = unpack(*chunk)
            yield Told(board_key, device, None, None, stream, entry, first_ms)
    for told in _in_frames(reader, chosen):
        end = compacted.get((told.board_key, told.device))
        if end is None or told.start is None or told.start + told.entry.start >= end:
            yield told
        elif (rest := _since(told, end)) is not None:
            yield rest


def _since(told: Told, end: int) -> Told | None:
    """Return the rows that are not before `end`: those before are in chunks."""
    start = told.start or 0
    times = frame.times(told.entry, start)
    kept = [row for row, at in enumerate(times) if at >= end]
    if not kept:
        return None
    columns = [frame.delta([values[row] for row in kept]) for values in map(frame.undelta, told.entry.columns)]
    spacings = [times[after] - times[before] for before, after in pairwise(kept)]
    return told._replace(entry=frame.Entry(told.entry.stream, times[kept[0]] - start, spacings, columns))


def _in_frames(reader: Reader, chosen: Chosen) -> Iterator[Told]:
    """A first pass finds what dates the frames of each boot."""
    offsets: dict[tuple[str, int, int], int] = {}
    for view, record in _records(reader, chosen):
        if record.unix is not None:
            offsets.setdefault((view.board_key, record.log, record.boot), record.unix - record.up)
    descriptors: OrderedDict[tuple[str, bytes], Any] = OrderedDict()
    for view, record in _records(reader, chosen):
        if record.kind == frame.KIND_STREAMS:
            descriptors[view.board_key, frame.prev_of(cose.parse(view.raw)[1])] = record.body
            if len(descriptors) > DESCRIPTORS_MAX:
                descriptors.popitem(last=False)
        elif record.kind == frame.KIND_ROWS:
            body = descriptors.get((view.board_key, record.body.streams_hash))
            offset = offsets.get((view.board_key, record.log, record.boot))
            start = record.unix if record.unix is not None or offset is None else offset + record.up
            yield from _entries(view, record, body, start)


def _entries(view: FrameView, record: Any, body: Any, start: int | None) -> Iterator[Told]:
    names = [] if body is None else evidence.devices(body)
    for entry in record.body.entries:
        stream = body.streams[entry.stream] if entry.stream < len(names) else None
        if stream is not None and len(entry.columns) == len(stream.points) and frame.row_count(entry):
            yield Told(view.board_key, names[entry.stream], view.log, view.seq, stream, entry, start)


def _records(reader: Reader, chosen: Chosen) -> Iterator[tuple[FrameView, Any]]:
    for view in reader.export_frames():
        if chosen(view.board_key):
            yield view, frame.decode(cose.parse(view.raw)[1], strictcbor.decode)
