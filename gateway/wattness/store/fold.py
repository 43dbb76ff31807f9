"""Frames into streams: each frame once, in the order of (log, seq), as far as nothing is missing."""

from collections.abc import Iterable, Iterator
from typing import Any

import apsw
import msgspec

from wattness import digest, packed, quality
from wattness.aggregate import Span, Window, runs
from wattness.quality import Verdict
from wattwire import cose, frame

from .board import BoardState, Descriptor, Held, Log, Stream
from .schema import ask
from .tally import Tally

STREAMS_MAX = 256  # per board
COUNTER_MAX = (1 << 53) - 1  # of commands; a board that reports more is not believed


Addition = tuple[Stream, list[Span], int]  # what an entry adds to its stream, how many of its rows were too late


class Fold:
    """Moves boards along their logs; `closer` is told which streams may have intervals to close."""

    def __init__(
        self, connection: apsw.Connection, tally: Tally, gateway: bytes, length_ms: int, future_ms: int
    ) -> None:
        """`gateway` is the hash that streams records must name."""
        self._connection = connection
        self._tally = tally
        self._gateway = gateway
        self._length_ms = length_ms
        self._future_ms = future_ms

    def run(self, state: BoardState, now_ms: int) -> Iterator[Stream]:
        """Take all frames that are next; yields a stream as long as its open interval can be closed."""
        while (found := self._next(state)) is not None:
            log, held = found
            log.folded = held.record.seq
            log.moved_ms = now_ms
            log.since_ms = None
            log.dirty = True
            for stream in self._take(state, log, held):
                while stream.window.closable():
                    yield stream

    def examine(self, state: BoardState, held: Held) -> tuple[list[Verdict], Iterable[Addition]]:
        """Return what is wrong with a rows frame, and what it adds to streams; each addition is to be made at once."""
        record = held.record
        odd, state.odd = state.odd, (record.log, record.seq)
        descriptor = state.descriptor(record.log, record.body.streams_hash)
        if descriptor is None:
            return [quality.UNKNOWN_STREAMS], ()
        if not descriptor.ours:
            return [quality.OTHER_GATEWAY], ()
        dated_by = None
        start = record.unix
        if start is None:
            dated = state.dated(record.log, record.boot)
            if dated is None:
                return [], ()
            start, dated_by = record.up + dated[0], dated[1]
        verdicts, blocks = _judge(record, descriptor, start, held.received_ms + self._future_ms)
        if not verdicts:
            state.odd = odd
        elif not quality.advances(verdicts):
            return verdicts, ()
        needs = (descriptor.seq,) if dated_by is None else (descriptor.seq, dated_by)
        return verdicts, _additions(state, record, blocks, needs)

    def peek(self, state: BoardState, held: Held) -> tuple[Descriptor, bytes]:
        """Remember a streams record; returns it and its hash."""
        record = held.record
        streams_hash = frame.prev_of(cose.parse(held.raw)[1])
        ours = record.body.gateway == self._gateway
        state.keep((record.log, streams_hash), held, ours=ours)
        return Descriptor(record.seq, record.body, ours=ours), streams_hash

    def replay(self, state: BoardState) -> None:
        """Fill the windows of a board that was read from the database with the spans they had."""
        if state.folding is None:
            return
        end = (state.folding, state.log(state.folding).folded)
        starts = {stream.device: start for stream in state.streams.values() if (start := stream.start()) is not None}
        for held in state.since(min(starts.values(), default=end), end):
            position = (held.record.log, held.record.seq)
            state.recent[position] = held
            if held.record.kind == frame.KIND_ROWS:
                _, additions = self.examine(state, held)
                for stream, spans, _ in additions:
                    if starts.get(stream.device, end) <= position:
                        stream.window.extend(spans)
        state.read_boot(end)

    def skip(self, state: BoardState, log: Log, last: int, declared_by: int | None) -> None:
        """Pass over missing frames for good."""
        query = "INSERT INTO skip (board_id, log, first, last, declared_by) VALUES (?, ?, ?, ?, ?)"
        self._connection.execute(query, (state.id, log.log, log.folded + 1, last, declared_by))
        state.has_skips = True
        log.folded = last
        log.since_ms = None
        log.dirty = True

    def _next(self, state: BoardState) -> tuple[Log, Held] | None:
        """Return the next frame, passing over declared holes; None when there is none or one is missing."""
        if state.folding is None:
            state.folding = min((log.log for log in state.logs.values() if log.top), default=None)
        if state.folding is None:
            return None
        log = state.log(state.folding)
        while log.folded < log.top:
            held = state.get(log.log, log.folded + 1)
            if held is not None:
                return log, held
            hole = state.hole_at(log.log, log.folded + 1)
            behind = state.next_seq(log.log, log.folded) or log.top
            if hole is None:
                self._block(state, log, log.log, behind)
                return None
            self.skip(state, log, min(hole[0], behind - 1), hole[1])
        following = state.next_log(log.log)
        if following is None:
            return None
        if state.end_of(log, following) > log.folded:
            self._block(state, log, following, state.next_seq(following, 0) or 1)
            return None
        log.since_ms = None
        log.dirty = True
        state.folding = following
        return self._next(state)

    def _block(self, state: BoardState, log: Log, behind_log: int, behind_seq: int) -> None:
        """Note since when something lies behind a hole."""
        if log.since_ms is None:
            held = state.get(behind_log, behind_seq)
            if held is not None:
                record = held.record
                dated = state.dated(record.log, record.boot)
                since = record.unix
                if since is None:
                    since = held.received_ms if dated is None else record.up + dated[0]
                log.since_ms = min(since, held.received_ms)  # no board can put it off, nor beyond what SQLite holds
                log.moved_ms = max(log.moved_ms, held.received_ms)  # the hole is that young
                log.dirty = True

    def _take(self, state: BoardState, log: Log, held: Held) -> Iterator[Stream]:
        record = held.record
        boot = (record.log, record.boot)
        if boot != state.boot:
            log.waiting = None  # the boot before never learnt the time
            state.boot = boot
            state.clock = None
        if record.unix is not None:
            offset = record.unix - record.up
            if state.clock is None:
                yield from self._date(state, log, record)
            elif abs(offset - state.clock) > quality.CLOCK_STEP_MS:
                self.mark(state, record, [quality.CLOCK_STEP])
            state.clock = offset
        if record.kind == frame.KIND_HEALTH:
            self._count_on(state, record.body.values.get("command"))
        elif record.kind == frame.KIND_STREAMS:
            self._describe(state, held)
        elif record.kind == frame.KIND_ROWS:
            if record.unix is None and state.dated(*boot) is None:
                log.waiting = log.waiting or record.seq
            else:
                yield from self._rows(state, held)

    def _date(self, state: BoardState, log: Log, record: Any) -> Iterator[Stream]:
        """The first frame of a boot that knows the time dates those before it."""
        boot = (record.log, record.boot)
        if state.dated(*boot) is not None:
            return
        offset = record.unix - record.up
        query = "INSERT INTO dating (board_id, log, boot, seq, offset_ms) VALUES (?, ?, ?, ?, ?)"
        self._connection.execute(query, (state.id, *boot, record.seq, offset))
        state.dating[boot] = (offset, record.seq)
        waiting, log.waiting = log.waiting, None
        if waiting is not None:
            for held in state.between(log.log, waiting, record.seq - 1):
                if held.record.kind == frame.KIND_ROWS and held.record.boot == record.boot:
                    yield from self._rows(state, held)

    def _count_on(self, state: BoardState, counter: Any) -> None:
        """Let the next command's counter be above the last one that the board has taken (wire.md §2)."""
        if type(counter) is int and 0 < counter <= COUNTER_MAX:
            query = "UPDATE board SET command = ?1 WHERE id = ?2 AND command < ?1"
            self._connection.execute(query, (counter, state.id))

    def _describe(self, state: BoardState, held: Held) -> None:
        """Take a streams record."""
        record = held.record
        descriptor, streams_hash = self.peek(state, held)
        query = "INSERT INTO descriptor (board_id, log, seq, hash, ours) VALUES (?, ?, ?, ?, ?)"
        self._connection.execute(query, (state.id, record.log, record.seq, streams_hash, descriptor.ours))
        if not descriptor.ours:
            state.has_foreign = True
            return
        for device, stream in zip(descriptor.devices, descriptor.streams, strict=True):
            if device in state.streams or len(state.streams) < STREAMS_MAX:
                self._know(state, device, stream)
            else:
                self.mark(state, record, [quality.TOO_MANY_STREAMS])

    def _know(self, state: BoardState, device: str, stream: Any) -> None:
        points = [[point.name, point.unit, point.exponent] for point in stream.points]
        described = (stream.role, stream.profile, stream.unit, stream.rated_w, msgspec.json.encode(points).decode())
        query = (
            "INSERT INTO stream (board_id, device, role, profile, unit, rated_w, points) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (board_id, device) DO UPDATE SET role = excluded.role, profile = excluded.profile,"
            " unit = excluded.unit, rated_w = excluded.rated_w, points = excluded.points RETURNING id"
        )
        stream_id = ask(self._connection, query, (state.id, device, *described))[0][0]
        if device not in state.streams:
            state.streams[device] = Stream(stream_id, device, Window(self._length_ms))

    def _rows(self, state: BoardState, held: Held) -> Iterator[Stream]:
        verdicts, additions = self.examine(state, held)
        if verdicts:
            self.mark(state, held.record, verdicts)
        for stream, spans, late in additions:
            if late:
                self._tally.add("rows", "left_out", late)
            stream.window.extend(spans)
            yield stream

    def mark(self, state: BoardState, record: Any, verdicts: list[Verdict]) -> None:
        """Keep what is wrong with a frame."""
        state.has_verdicts = True
        query = "INSERT OR IGNORE INTO verdict (board_id, log, seq, reason, level) VALUES (?, ?, ?, ?, ?)"
        for verdict in verdicts:
            self._connection.execute(query, (state.id, record.log, record.seq, verdict.reason, verdict.level))
            self._tally.add("verdict", verdict.reason)


def _judge(
    record: Any, descriptor: Descriptor, start: int, latest: int
) -> tuple[list[Verdict], list[tuple[str, digest.Block]]]:
    """Return what is wrong with rows that begin at unix ms `start`, of which none may be later than `latest`.

    The rest is (device, block) of all entries that have rows.
    """
    found: list[Verdict] = []
    blocks = []
    for entry in map(packed.of, record.body.entries):
        if not _fits(entry, descriptor):
            found.append(quality.UNKNOWN_STREAM)
        elif entry.rows:
            block = digest.Block(entry, descriptor.plans[entry.stream], start)
            if block.last > latest:
                found.append(quality.FUTURE_TIME)
            if block.first < 0:
                found.append(quality.IMPOSSIBLE_TIME)
            if block.last - start > quality.FRAME_MS_MAX:
                found.append(quality.FRAME_TOO_LONG)
            if descriptor.limits[entry.stream].exceeded(entry.packed, entry.rows):
                found.append(quality.IMPOSSIBLE_VALUE)
            blocks.append((descriptor.devices[entry.stream], block))
    return list(dict.fromkeys(found)) if found else found, blocks


def _additions(
    state: BoardState, record: Any, blocks: list[tuple[str, digest.Block]], needs: tuple[int, ...]
) -> Iterator[Addition]:
    for device, block in blocks:
        stream = state.streams.get(device)
        if stream is None:
            continue
        found, late = runs(block, stream.window.last)
        if late:
            state.odd = (record.log, record.seq)
        whole = block if len(found) == 1 and not late else None
        yield stream, [Span(record.log, record.seq, first, last, needs, whole) for first, last in found], late


def _fits(entry: packed.Entry, descriptor: Descriptor) -> bool:
    """Tell whether an entry's columns are its stream's points."""
    streams = descriptor.streams
    return entry.stream < len(streams) and len(entry.packed) == len(streams[entry.stream].points)
