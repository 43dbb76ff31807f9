"""What the writer remembers of one board between commits; every bit of it can be read again from the database."""

from collections.abc import Iterator
from typing import Any

import apsw
import msgspec

from wattness import digest, quality, rowframes
from wattness.aggregate import Span, Window
from wattwire import cose, evidence, frame, merkle

from .schema import ask

LOGS_MAX = 16
DESCRIPTORS_MAX = 8
RECENT_MAX = 256
INT_MAX = (1 << 63) - 1

_LOG_COLUMNS = "log, head, top, frames, folded, boot, up, hash, waiting, since_ms, moved_ms, received_ms"

_EMPTY: tuple[Any, ...] = (0, 0, 0, 0, 0, 0, b"", None, None, 0, 0)


class Held(msgspec.Struct, frozen=True, gc=False):
    """One stored frame."""

    raw: bytes
    record: Any  # wattwire.frame.Record
    received_ms: int
    leaf: bytes  # in evidence trees


class Log:
    """How far one log of a board has come (see the table `log`)."""

    __slots__ = (
        "boot",
        "dirty",
        "folded",
        "frames",
        "hash",
        "head",
        "log",
        "moved_ms",
        "received_ms",
        "since_ms",
        "top",
        "up",
        "waiting",
    )

    def __init__(self, log: int, *row: Any) -> None:
        """`row` is what follows `log` in the table; a log without frames has none."""
        self.log = log
        self.head, self.top, self.frames, self.folded, self.boot, self.up, self.hash, *rest = row or _EMPTY
        self.waiting, self.since_ms, self.moved_ms, self.received_ms = rest
        self.dirty = False

    def row(self, board_id: int) -> tuple[Any, ...]:
        """Return the table's row."""
        return (
            board_id,
            self.log,
            self.head,
            self.top,
            self.frames,
            self.folded,
            self.boot,
            self.up,
            self.hash,
            self.waiting,
            self.since_ms,
            self.moved_ms,
            self.received_ms,
        )


class Stream:
    """One device of a board and its open interval."""

    __slots__ = ("device", "id", "memory", "saved", "window")

    def __init__(self, stream_id: int, device: str, window: Window) -> None:
        """`window` holds the spans that are still needed."""
        self.id = stream_id
        self.device = device
        self.window = window
        self.memory: quality.Memory | None = None  # read when the rules first need it
        self.saved: tuple[int | None, ...] = (None,) * 5

    def start(self) -> tuple[int, int] | None:
        """Return (log, seq) of the first frame that the open interval needs, as it was saved."""
        log, seq = self.saved[2:4]
        return None if log is None or seq is None else (log, seq)

    def position(self) -> tuple[int | None, ...]:
        """Return (open_ms, due_ms, start_log, start_seq, last_ms) as the table has them."""
        spans = self.window.spans
        start = (spans[0].log, spans[0].seq) if spans else (None, None)
        return (self.window.open, self.window.due, *start, self.window.last)


class Descriptor:
    """A streams record in force: what the columns of rows records mean."""

    __slots__ = ("devices", "limits", "ours", "plans", "seq", "streams")

    def __init__(self, seq: int, body: Any, *, ours: bool) -> None:
        """`body` is a `wattwire.frame.Streams`."""
        self.seq = seq
        self.ours = ours
        self.streams = body.streams
        self.devices: list[str] = evidence.devices(body)
        self.plans = [digest.Plan(stream) for stream in body.streams]
        self.limits = [quality.Limits(stream) for stream in body.streams]


class BoardState:
    """One board: its logs, its streams, and the frames that open intervals need."""

    def __init__(self, connection: apsw.Connection, board_id: int, length_ms: int) -> None:
        """Read everything but the windows' spans, which a replay of the frames fills."""
        self.id = board_id
        self._connection = connection
        key, state = self._ask("SELECT board_key, state FROM board WHERE id = ?", board_id)[0]
        self.key: bytes = key
        self.quarantined = state == "quarantined"
        query = f"SELECT {_LOG_COLUMNS} FROM log WHERE board_id = ? ORDER BY log DESC LIMIT ?"  # noqa: S608
        self.logs = {row[0]: Log(*row) for row in self._ask(query, board_id, LOGS_MAX)}
        self.newest = max(self.logs, default=-1)
        self.folding = max((log.log for log in self.logs.values() if log.folded), default=None)
        self.recent: dict[tuple[int, int], Held] = {}
        self.descriptors: dict[tuple[int, bytes], Descriptor | None] = {}
        self.streams_frames: dict[tuple[int, int], Held] = {}  # of the descriptors
        self.dating: dict[tuple[int, int], tuple[int, int] | None] = {}
        self.boot: tuple[int, int] | None = None  # (log, boot) of the last folded frame
        self.odd = (-1, 0)  # (log, seq) of the last rows frame that was not simply added to its streams
        self.clock: int | None = None  # unix − up of that boot's last dated frame
        self.streams: dict[str, Stream] = {}
        self.has_verdicts = self._any("verdict")
        self.has_skips = self._any("skip")
        self.has_foreign = self._any("descriptor", "ours = 0")
        query = "SELECT id, device, open_ms, due_ms, start_log, start_seq, last_ms FROM stream WHERE board_id = ?"
        for stream_id, device, open_ms, *rest in self._ask(query, board_id):
            stream = self.streams[device] = Stream(stream_id, device, Window(length_ms, open_ms))
            stream.saved = (open_ms, *rest)

    def log(self, number: int) -> Log:
        """Return a log, a new one if need be."""
        found = self.logs.get(number)
        if found is None:
            query = f"SELECT {_LOG_COLUMNS} FROM log WHERE board_id = ? AND log = ?"  # noqa: S608
            rows = self._ask(query, self.id, number)
            found = self.logs[number] = Log(*rows[0]) if rows else Log(number)
        return found

    def read_boot(self, end: tuple[int, int]) -> None:
        """Read which boot the last folded frame is of, and its last dated frame's clock."""
        query = "SELECT boot, unix, up FROM frame WHERE board_id = ? AND log = ? AND seq <= ? ORDER BY seq DESC"
        for boot, unix, up in self._connection.execute(query, (self.id, *end)):
            if self.boot is None:
                self.boot = (end[0], boot)
            if boot != self.boot[1]:
                return
            if unix is not None:
                self.clock = unix - up
                return

    def forget_logs(self) -> None:
        """Keep only the newest logs in memory, once all are saved."""
        if len(self.logs) > LOGS_MAX:
            kept = sorted(self.logs)[-LOGS_MAX:]
            self.logs = {number: self.logs[number] for number in self.logs if number in kept or number == self.folding}

    def get(self, log: int, seq: int) -> Held | None:
        """Return a stored frame."""
        found = self.recent.get((log, seq)) or self.streams_frames.get((log, seq))
        if found is None:
            found = next(self.between(log, seq, seq), None)
        return found

    def between(self, log: int, first: int, last: int) -> Iterator[Held]:
        """Yield stored frames in ascending order."""
        query = "SELECT raw, received_ms FROM frame WHERE board_id = ? AND log = ? AND seq BETWEEN ? AND ? ORDER BY seq"
        for raw, received_ms in self._connection.execute(query, (self.id, log, first, last)):
            yield Held(raw, read(raw), received_ms, merkle.leaf_hash(raw))

    def held(self, log: int, first: int, last: int) -> Iterator[Held]:
        """Yield the frames of a range that has no holes."""
        for seq in range(first, last + 1):
            found = self.recent.get((log, seq)) or self.streams_frames.get((log, seq))
            if found is None:
                yield from self.between(log, seq, last)
                return
            yield found

    def since(self, start: tuple[int, int], end: tuple[int, int] | None = None) -> Iterator[Held]:
        """Yield stored frames from one (log, seq) to another in ascending order."""
        query = (
            "SELECT raw, received_ms FROM frame WHERE board_id = ? AND (log, seq) >= (?, ?)"
            " AND (log, seq) <= (?, ?) ORDER BY log, seq"
        )
        for raw, received_ms in self._connection.execute(query, (self.id, *start, *(end or (INT_MAX, INT_MAX)))):
            yield Held(raw, read(raw), received_ms, merkle.leaf_hash(raw))

    def next_log(self, after: int) -> int | None:
        """Return the next log that has frames."""
        if self.newest <= after:
            return None
        query = "SELECT min(log) FROM log WHERE board_id = ? AND log > ?"
        stored = [row[0] for row in self._ask(query, self.id, after) if row[0] is not None]
        return min(stored + [log.log for log in self.logs.values() if log.log > after and log.top], default=None)

    def end_of(self, log: Log, following: int) -> int:
        """Return the seq up to which a log must be here before the next one is read; 0 when nothing more can come."""
        first = self.get(following, 1)
        if first is None:
            return 0 if self.log(following).head else INT_MAX
        previous = first.record.body.previous if first.record.kind == frame.KIND_STREAMS else None
        if previous is None or following != log.log + 1:
            return 0
        query = "SELECT ours FROM descriptor WHERE board_id = ? AND log = ? ORDER BY seq DESC LIMIT 1"
        is_foreign = self._ask(query, self.id, log.log) == [(0,)]
        return 0 if is_foreign else int(previous[0])

    def next_seq(self, log: int, after: int) -> int | None:
        """Return the first stored seq behind `after`."""
        query = "SELECT min(seq) FROM frame WHERE board_id = ? AND log = ? AND seq > ?"
        found: int | None = self._ask(query, self.id, log, after)[0][0]
        return found

    def hole_at(self, log: int, seq: int) -> tuple[int, int] | None:
        """Return (last, declared_by) of the declared hole that covers a missing frame."""
        query = "SELECT last, declared_by FROM hole WHERE board_id = ? AND log = ? AND ? BETWEEN first AND last LIMIT 1"
        rows = self._ask(query, self.id, log, seq)
        return rows[0] if rows else None

    def dated(self, log: int, boot: int) -> tuple[int, int] | None:
        """Return (offset, seq) of the first dated frame of a boot."""
        key = (log, boot)
        if key not in self.dating:
            if len(self.dating) > LOGS_MAX:
                self.dating.clear()
            query = "SELECT offset_ms, seq FROM dating WHERE board_id = ? AND log = ? AND boot = ?"
            rows = self._ask(query, self.id, *key)
            self.dating[key] = rows[0] if rows else None
        return self.dating[key]

    def descriptor(self, log: int, streams_hash: bytes) -> Descriptor | None:
        """Return the streams record that a rows record of this log names."""
        key = (log, streams_hash)
        if key not in self.descriptors:
            query = "SELECT seq, ours FROM descriptor WHERE board_id = ? AND log = ? AND hash = ?"
            rows = self._ask(query, self.id, *key)
            held = self.get(log, rows[0][0]) if rows else None
            self.keep(key, held, ours=bool(rows and rows[0][1]))
        return self.descriptors[key]

    def keep(self, key: tuple[int, bytes], held: Held | None, *, ours: bool) -> Descriptor | None:
        """Remember a streams record, or that there is none."""
        if len(self.descriptors) >= DESCRIPTORS_MAX:
            self.descriptors.clear()
            self.streams_frames.clear()
        found = None
        if held is not None:
            self.streams_frames[key[0], held.record.seq] = held
            found = Descriptor(held.record.seq, held.record.body, ours=ours)
        self.descriptors[key] = found
        return found

    def trim(self) -> None:
        """Forget the frames that no open interval needs."""
        starts = [(span.log, span.seq) for span in self._starts()]
        start = min(starts, default=None)
        if start is not None:
            for key in [key for key in self.recent if key < start]:
                del self.recent[key]
        if start is None or len(self.recent) > RECENT_MAX:
            self.recent.clear()

    def _starts(self) -> Iterator[Span]:
        return (stream.window.spans[0] for stream in self.streams.values() if stream.window.spans)

    def _any(self, table: str, where: str = "1") -> bool:
        query = f"SELECT 1 FROM {table} WHERE board_id = ? AND {where} LIMIT 1"  # noqa: S608
        return bool(self._ask(query, self.id))

    def _ask(self, query: str, *bindings: Any) -> list[Any]:
        return ask(self._connection, query, bindings)


def read(raw: bytes) -> Any:
    """Return the record of a frame that was verified before it was stored."""
    return rowframes.decode(cose.parse(raw)[1])
