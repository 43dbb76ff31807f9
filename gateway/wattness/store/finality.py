"""Intervals whose evidence never closes: they become final by the clock, with what is held by then (wire.md §4)."""

import copy
from itertools import islice

import apsw

from wattness.aggregate import Skip, Span, Window
from wattwire import frame

from .board import BoardState, Stream
from .closing import Closing
from .fold import Fold

BOARDS_PER_TICK = 32
AHEAD_MAX = 4096  # frames behind a hole that are looked at
QUIET_MS = 900_000  # a board whose frames still move forward is not hurried


class Finality:
    """Finds what is due, and closes it."""

    def __init__(
        self, connection: apsw.Connection, fold: Fold, closing: Closing, length_ms: int, final_after_ms: int
    ) -> None:
        """`final_after_ms` after its end an interval waits no longer."""
        self._execute = connection.execute
        self._fold = fold
        self._closing = closing
        self._length_ms = length_ms
        self._final_after_ms = final_after_ms

    def due(self, now_ms: int) -> list[int]:
        """Return boards that may have something to finalise."""
        limit = now_ms - self._final_after_ms
        query = (
            "SELECT board_id FROM (SELECT board_id FROM stream WHERE due_ms <= ?1"
            " UNION SELECT board_id FROM log WHERE since_ms < ?1) ORDER BY random() LIMIT ?2"
        )
        return [row[0] for row in self._execute(query, (limit, BOARDS_PER_TICK))]

    def run(self, state: BoardState, now_ms: int) -> int:
        """Finalise what is due of one board; returns how many intervals became final."""
        if max((log.moved_ms for log in state.logs.values()), default=0) > now_ms - QUIET_MS:
            return 0
        limit = now_ms - self._final_after_ms
        made = 0
        while self._give_up_hole(state, limit - limit % self._length_ms):
            for stream in self._fold.run(state, now_ms):
                made += self._closing.close(state, stream, now_ms)
        for stream in list(state.streams.values()):
            while (due := stream.window.due) is not None and due <= limit:
                spans, missing = self._look_ahead(state, stream)
                made += self._closing.close(state, stream, now_ms, spans, missing)
        return made

    def _give_up_hole(self, state: BoardState, limit: int) -> bool:
        """Pass over an undeclared hole when all intervals that it could touch are due."""
        if state.folding is None:
            return False
        log = state.log(state.folding)
        if log.since_ms is None or log.since_ms >= limit:
            return False
        behind = state.next_seq(log.log, log.folded)
        if behind is not None:
            last = behind - 1
        else:
            following = state.next_log(log.log)
            if following is None:
                return False
            last = state.end_of(log, following)
        self._fold.skip(state, log, last, None)
        return True

    def _look_ahead(self, state: BoardState, stream: Stream) -> tuple[list[Span], list[Skip]]:
        """Return the spans of the open interval's evidence, with those behind a hole, and what is missing there."""
        window = copy.copy(stream.window)
        window.spans = list(window.spans)
        missing: list[Skip] = []
        if state.folding is not None and state.log(state.folding).since_ms is not None:
            shadow = copy.copy(state)
            shadow.streams = {stream.device: Stream(stream.id, stream.device, window)}
            shadow.descriptors = dict(state.descriptors)
            shadow.streams_frames = dict(state.streams_frames)
            shadow.dating = dict(state.dating)
            self._read_ahead(state, shadow, window, missing)
        return window.evidence(), missing

    def _read_ahead(self, state: BoardState, shadow: BoardState, window: Window, missing: list[Skip]) -> None:
        last_log = state.folding or 0
        last_seq = state.log(last_log).folded
        for held in islice(state.since((last_log, last_seq + 1)), AHEAD_MAX):
            record = held.record
            last_seq = last_seq if record.log == last_log else 0
            if record.seq > last_seq + 1:
                missing.append(Skip(record.log, last_seq + 1, record.seq - 1, None))
            last_log, last_seq = record.log, record.seq
            if record.kind == frame.KIND_STREAMS:
                self._fold.peek(shadow, held)
            elif record.kind == frame.KIND_ROWS:
                verdicts, additions = self._fold.examine(shadow, held)
                if verdicts:
                    self._fold.mark(state, record, verdicts)
                for _, spans, _ in additions:
                    window.extend(spans)
            if window.closable():
                return
