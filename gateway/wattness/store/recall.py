"""Rows of the past, read back from frames and from chunks: what a stream's rows are is a function of what is held."""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apsw

from wattness.quality import FRAME_MS_MAX
from wattwire import evidence, frame

from .board import read
from .buckets import VALUE_MAX
from .chunks import Chunk, unpack
from .corrections import Corrections, read_entry
from .schema import ask

SLOT_MS = 900_000
FRAMES_MAX = 400  # that are remembered: a step's, and those around them
BODIES_MAX = 64
CHUNKS_MAX = 4

FRAME_COLUMNS = "board_id, log, seq, boot, up, unix, received_ms, raw"
_FRAMES = (
    f"SELECT {FRAME_COLUMNS} FROM frame WHERE board_id = ? AND log = ? AND seq BETWEEN ? AND ? AND kind = 2"  # noqa: S608
    " ORDER BY seq"
)


class Part:
    """Rows of one stream in one entry of a frame, or in a chunk; `log` 0 comes before every frame."""

    __slots__ = ("_columns", "_corrections", "device", "entry", "log", "rises", "seq", "start", "stream", "times")

    def __init__(  # noqa: PLR0913, PLR0917 — what an entry needs to be read
        self, position: tuple[int, int], device: str, stream: Any, entry: Any, start: int, corrections: Corrections
    ) -> None:
        """`stream` is what the board signed, `start` the UTC ms that the entry's times are counted from."""
        self.log, self.seq = position
        self.device, self.stream, self.entry, self.start = device, stream, entry, start
        self.times: list[int] = frame.times(entry, start)
        self.rises = type(entry.dt) is int and entry.dt > 0
        self._corrections = corrections
        self._columns: dict[str, list[int | None]] | None = None

    @property
    def read_as(self) -> Any:
        """The stream as it is read: with what was wrong in its profile put right."""
        return self._corrections.stream(self.stream)

    def columns(self) -> dict[str, list[int | None]]:
        """Return the values by name, in milli-units; those that no device can have measured are null."""
        if self._columns is None:
            _, columns = read_entry(self.entry, self.stream, self.start, self._corrections)
            self._columns = {name: _sane(column) for name, column in columns.items()}
        return self._columns


class Kept(NamedTuple):
    """Those rows of a part that count, by their number."""

    part: Part
    rows: Sequence[int]


class Rows(NamedTuple):
    """Rows of a stream, ascending, and what they are read as."""

    times: list[int]
    columns: dict[str, list[int | None]]
    stream: Any


class Known(NamedTuple):
    """A stream of the history; see its table."""

    id: int
    board_key: bytes
    device: str
    is_tangled: int
    floor_ms: int
    compacted_ms: int


KNOWN = "SELECT id, board_key, device, is_tangled, floor_ms, compacted_ms FROM stream "


class Recall:
    """Reads rows; it remembers some frames, whose content never changes."""

    def __init__(
        self, store: apsw.Connection, history: apsw.Connection, future_ms: int, corrections: Corrections
    ) -> None:
        """`future_ms` is how far ahead of its arrival a row may be."""
        self._store, self._history = store, history
        self._future_ms = future_ms
        self.corrections = corrections
        self._frames: OrderedDict[tuple[int, int, int], list[Part]] = OrderedDict()
        self._bodies: OrderedDict[tuple[int, int, bytes], Any] = OrderedDict()
        self._unpacked: OrderedDict[tuple[int, bytes, bytes], Part] = OrderedDict()

    def board_id(self, board_key: bytes) -> int | None:
        """Return the number by which the store knows a board."""
        rows = ask(self._store, "SELECT id FROM board WHERE board_key = ?", (board_key,))
        return rows[0][0] if rows else None

    def parts(self, row: Sequence[Any]) -> list[Part] | None:
        """Return what a rows frame (FRAME_COLUMNS) says; None when nobody can tell yet. Foreign or false: nothing."""
        board_id, log, seq, boot, up, unix, received_ms, raw = row
        found = self._frames.get((board_id, log, seq))
        if found is not None:
            return found
        record = read(raw)
        start = unix if unix is not None else self._dated(board_id, log, boot, up)
        body = self._body(board_id, log, record.body.streams_hash)
        if start is None or body is None:
            return None
        found = [] if body is _FOREIGN else self._entries(record, body, start, received_ms + self._future_ms)
        self._frames[board_id, log, seq] = found
        if len(self._frames) > FRAMES_MAX:
            self._frames.popitem(last=False)
        return found

    def kept(self, known: Known, slot: int) -> list[Kept]:
        """Return the rows of a stream in a quarter of an hour: in the log's order, each later than all before it."""
        reach = (slot * SLOT_MS, (slot + 1) * SLOT_MS)
        found: list[Kept] = []
        taken: set[int] = set()
        if reach[0] < known.compacted_ms:
            for chunk in self._chunks(known, reach):
                within = range(bisect_left(chunk.times, reach[0]), bisect_left(chunk.times, reach[1]))
                taken.update(chunk.times[within.start : within.stop])
                if within:
                    found.append(Kept(chunk, within))
        last = max(reach[0] - 1, known.floor_ms) if not taken else -1
        for part in self._spanned(known, slot):
            if known.is_tangled and self._is_overtaken(known, slot, part):
                continue
            rows: Sequence[int]
            if (
                part.rises
                and last < part.times[0]
                and reach[0] <= part.times[0]
                and part.times[-1] < reach[1]
                and not taken
            ):
                rows = range(len(part.times))
            else:
                rows = _later(part.times, max(last, reach[0] - 1), reach[1], taken)
            if rows:
                last = part.times[rows[-1]]
                found.append(Kept(part, rows))
        return found

    def rows(self, known: Known, slot: int) -> Rows:
        """Return the rows of `kept`, with their values."""
        kept = self.kept(known, slot)
        if known.compacted_ms > slot * SLOT_MS and len(kept) > 1:
            kept = _in_time(kept)
        return merged(kept)

    def forget(self) -> None:
        """Forget frames, when they may be read in another way or from another store."""
        self._frames.clear()
        self._bodies.clear()

    def _spanned(self, known: Known, slot: int) -> Iterator[Part]:
        board_id = self.board_id(known.board_key)
        query = "SELECT log, first, last FROM span WHERE stream = ? AND slot = ? ORDER BY log"
        for log, first, last in ask(self._history, query, (known.id, slot)):
            for row in self._rows(board_id, log, first, last):
                yield from (part for part in self.parts(row) or () if part.device == known.device)

    def _rows(self, board_id: int | None, log: int, first: int, last: int) -> Iterator[Any]:
        keys = [(board_id or 0, log, seq) for seq in range(first, min(last, first + FRAMES_MAX) + 1)]
        if board_id is not None and last - first < FRAMES_MAX and all(key in self._frames for key in keys):
            return iter([(*key, 0, 0, 0, 0, b"") for key in keys])
        return self._store.execute(_FRAMES, (board_id, log, first, last))

    def _is_overtaken(self, known: Known, slot: int, part: Part) -> bool:
        """Tell whether an earlier frame has rows that are later than this slot."""
        query = "SELECT 1 FROM span WHERE stream = ? AND slot > ? AND (log, first) < (?, ?) LIMIT 1"
        return bool(ask(self._history, query, (known.id, slot, part.log, part.seq)))

    def _chunks(self, known: Known, reach: tuple[int, int]) -> Iterator[Part]:
        query = (
            "SELECT first_ms, described, data FROM chunk WHERE stream = ? AND day = ? AND first_ms < ? AND last_ms >= ?"
            " ORDER BY part"
        )
        for row in ask(self._history, query, (known.id, reach[0] // 86_400_000, reach[1], reach[0])):
            part = self._unpacked.get(row)
            if part is None:
                part = self._unpacked[row] = self.chunk_part(known.device, unpack(*row))
                if len(self._unpacked) > CHUNKS_MAX:
                    self._unpacked.popitem(last=False)
            yield part

    def chunk_part(self, device: str, chunk: Chunk) -> Part:
        """Return a chunk's rows."""
        return Part((0, 0), device, chunk.stream, chunk.entry, chunk.first_ms, self.corrections)

    def _entries(self, record: Any, body: Any, start: int, latest: int) -> list[Part]:
        names = evidence.devices(body)
        position = (record.log, record.seq)
        found = []
        for entry in record.body.entries:
            if entry.stream >= len(names) or len(entry.columns) != len(body.streams[entry.stream].points):
                continue
            if frame.row_count(entry):
                stream = body.streams[entry.stream]
                part = Part(position, names[entry.stream], stream, entry, start, self.corrections)
                if part.times[-1] > latest or part.times[0] < 0 or part.times[-1] - start > FRAME_MS_MAX:
                    return []  # as quality judges it: nothing in such a frame moves time forward
                found.append(part)
        return found

    def _dated(self, board_id: int, log: int, boot: int, up: int) -> int | None:
        query = "SELECT offset_ms + ? FROM dating WHERE board_id = ? AND log = ? AND boot = ?"
        rows = ask(self._store, query, (up, board_id, log, boot))
        return rows[0][0] if rows else None

    def _body(self, board_id: int, log: int, streams_hash: bytes) -> Any:
        key = (board_id, log, streams_hash)
        if key not in self._bodies:
            query = (
                "SELECT ours, raw FROM descriptor JOIN frame USING (board_id, log, seq)"
                " WHERE board_id = ? AND log = ? AND descriptor.hash = ?"
            )
            rows = ask(self._store, query, key)
            if not rows:
                return None
            self._bodies[key] = read(rows[0][1]).body if rows[0][0] else _FOREIGN
            if len(self._bodies) > BODIES_MAX:
                self._bodies.popitem(last=False)
        return self._bodies[key]


_FOREIGN = object()  # a streams record that names another gateway


def merged(kept: Sequence[Kept]) -> Rows:
    """Return rows of several parts as one."""
    times: list[int] = []
    columns: dict[str, list[int | None]] = {}
    for part, rows in kept:
        found = part.columns()
        whole = len(rows) == len(part.times)
        for name in found:
            columns.setdefault(name, [None] * len(times))
        times += part.times if whole else [part.times[row] for row in rows]
        for name, column in columns.items():
            values = found.get(name) or [None] * len(part.times)
            column.extend(values if whole else [values[row] for row in rows])
    return Rows(times, columns, kept[-1].part.read_as if kept else None)


def _later(times: Sequence[int], last: int, end: int, taken: set[int]) -> list[int]:
    """Return the rows before `end` that are later than `last` and all rows before them, and not yet taken."""
    rows = []
    for row, at in enumerate(times):
        if last < at < end and at not in taken:
            rows.append(row)
            last = at
    return rows


def _in_time(kept: Sequence[Kept]) -> list[Kept]:
    """Return the rows one by one in the order of time: late frames lie between those of a chunk."""
    single = sorted((part.times[row], at, row) for at, (part, rows) in enumerate(kept) for row in rows)
    return [Kept(kept[at].part, [row]) for _, at, row in single]


def _sane(column: list[int | None]) -> list[int | None]:
    known: Any = column
    try:
        if min(known) > -VALUE_MAX and max(known) < VALUE_MAX:
            return column
    except TypeError:  # there are nulls
        pass
    return [None if value is None or not -VALUE_MAX < value < VALUE_MAX else value for value in column]
