"""Intervals that are final: figures, evidence and root into the database, and a job for each network."""

from collections.abc import Iterable, Sequence
from typing import Any

import apsw
import msgspec

from wattness import aggregate, digest, quality, smooth
from wattness.aggregate import Skip, Span
from wattness.quality.unsettled import CODE as UNSETTLED
from wattness.quality.unsettled import is_unsettled
from wattwire import evidence, merkle
from wattwire.frame import KIND_STREAMS

from .board import BoardState, Held, Stream
from .claims import Claims, Final
from .judging import Judging, facts_of
from .schema import ask, write_rows
from .settings import Wants
from .tally import Tally

FRAMES_MAX = 4096  # of one interval's evidence; frames between two far rows are then left out
FIGURE_MAX = (1 << 63) - 1
_encode = msgspec.json.Encoder().encode

_INSERT = (
    "INSERT INTO interval"
    " (id, stream_id, a, b, role, profile, rated_w, figures, evidence, root, verdict, reasons, final_ms) VALUES {rows}"
)


class _Made(msgspec.Struct, frozen=True, gc=False):
    a: int
    b: int
    stream: Any  # wattwire.frame.Stream in force
    figures: dict[str, Any]
    ranges: list[list[int]]
    root: bytes
    verdict: str
    reasons: list[str]


class Closing:
    """Makes intervals final within the writer's transaction."""

    def __init__(
        self, connection: apsw.Connection, tally: Tally, networks: Sequence[Wants], judge: quality.Judge
    ) -> None:
        """`networks` get jobs of the intervals that may be claimed."""
        self._connection = connection
        self._judging = Judging(connection, tally, judge)
        self._tally = tally
        self._claims = Claims(connection, tally, networks)
        self._rows: list[tuple[Any, ...]] = []
        self._last_id = 0

    def begin(self) -> None:
        """Look up where the numbers of intervals go on; drop what a roll-back left."""
        self._last_id = ask(self._connection, "SELECT coalesce(max(id), 0) FROM interval")[0][0]
        self._rows.clear()
        self._claims.forget()
        self._judging.begin()

    def flush(self) -> None:
        """Write the intervals and jobs that are still in memory, and what the rules remember."""
        write_rows(self._connection, _INSERT, self._rows)
        self._claims.flush()
        self._judging.flush()
        self._rows.clear()

    def close(
        self,
        state: BoardState,
        stream: Stream,
        now_ms: int,
        spans: Sequence[Span] = (),
        missing: Iterable[Skip] = (),
    ) -> bool:
        """Make the open interval of a stream final and go on to the next; tells whether there was anything in it.

        `spans` are those of the evidence when the window does not hold them all, `missing` the holes among them.
        """
        window = stream.window
        made = None
        if window.overflow:
            self._tally.add("dropped", "interval_of_too_many_frames")
        else:
            a = window.open or 0
            made = self._make(state, stream, a, a + window.length, spans or window.evidence(), missing)
        window.close()
        if made is not None:
            self._save(state, stream, made, now_ms)
        return made is not None

    def _make(  # noqa: PLR0913, PLR0917 — what an interval is made of
        self, state: BoardState, stream: Stream, a: int, b: int, spans: Sequence[Span], missing: Iterable[Skip]
    ) -> _Made | None:
        holes = [*missing, *self._skips(state, spans)]
        ranges = aggregate.ranges(spans, [*holes, *self._foreign(state, spans)])
        if sum([last - first + 1 for _, first, last in ranges]) > FRAMES_MAX:
            ranges = aggregate.ranges_of(spans)
        frames = [held for log, first, last in ranges for held in state.held(log, first, last)]
        is_plain = not holes and (spans[0].log, spans[0].seq) > state.odd
        summed = _summed(spans, a, b) if is_plain else None
        figures, described = summed or _read(frames, stream.device, a, b)
        if not figures["rows"] and not figures["covered_ms"]:
            return None
        found = self._found(state, ranges, figures)
        if holes and any(_within(hole, spans) for hole in holes):
            found["hole"] = quality.FLAGGED
        if quality.QUARANTINED in found.values():
            self._judging.pass_over(stream)
        else:
            place = quality.Place(stream.device, described, a, b)
            blocks = [] if summed is None else [span.block for span in spans]
            codes = self._judging.codes(state.id, stream, facts_of(place, frames, blocks, figures), self._is_pending)
            for code in codes:
                self._tally.add("verdict", code)
                found[code] = quality.RULES[code].level
        streams = [held.record.body for held in frames if held.record.kind == KIND_STREAMS]
        if any(is_unsettled(body, stream.device) for body in streams):
            self._tally.add("verdict", UNSETTLED)
            found[UNSETTLED] = quality.RULES[UNSETTLED].level
        verdict = max(found.values(), key=quality.LEVELS.index, default=quality.ACCEPTED)
        root = merkle.root_of_hashes([held.leaf for held in frames])
        return _Made(a, b, described, figures, ranges, root, verdict, sorted(found))

    def _save(self, state: BoardState, stream: Stream, made: _Made, now_ms: int) -> None:
        described = (made.stream.role, made.stream.profile, made.stream.rated_w)
        texts = [_encode(part).decode() for part in (made.figures, made.ranges, made.reasons)]
        self._last_id = interval_id = self._last_id + 1
        row = (
            interval_id,
            stream.id,
            made.a,
            made.b,
            *described,
            *texts[:2],
            made.root,
            made.verdict,
            texts[2],
            now_ms,
        )
        self._rows.append(row)
        self._tally.add("interval", made.verdict)
        final = Final(
            interval_id, stream.id, stream.device, made.stream.role, made.a, made.b, made.verdict, made.reasons
        )
        self._claims.add(state, final, now_ms)

    def _found(self, state: BoardState, ranges: list[list[int]], figures: dict[str, Any]) -> dict[str, str]:
        """Return what an interval's frames and its board were found to be: reasons and their levels."""
        found: dict[str, str] = {}
        if state.has_verdicts:
            query = "SELECT reason, level FROM verdict WHERE board_id = ? AND log = ? AND seq BETWEEN ? AND ?"
            for position in ranges:
                found.update(ask(self._connection, query, (state.id, *position)))
        if state.quarantined:
            found["board_quarantined"] = quality.QUARANTINED
        if max(map(abs, (*figures["energy"].values(), *figures["gap_energy"].values()))) > FIGURE_MAX:
            found[quality.IMPOSSIBLE_VALUE.reason] = quality.QUARANTINED
        return found

    def _is_pending(self, stream_id: int, a: int) -> bool:
        """Tell whether an interval that may be claimed is among those that are not written yet."""
        return any(row[1:3] == (stream_id, a) and row[-3] != quality.QUARANTINED for row in self._rows)

    def _skips(self, state: BoardState, spans: Sequence[Span]) -> list[Skip]:
        """Return the frames that are missing between these spans, and perhaps others."""
        query = "SELECT log, first, last, declared_by FROM skip WHERE board_id = ? AND log BETWEEN ? AND ?"
        return self._between(state, query, spans) if state.has_skips else []

    def _foreign(self, state: BoardState, spans: Sequence[Span]) -> list[Skip]:
        """Return the streams records that name another gateway; without them nobody reads the rows they describe."""
        query = "SELECT log, seq, seq, NULL FROM descriptor WHERE board_id = ? AND log BETWEEN ? AND ? AND ours = 0"
        return self._between(state, query, spans) if state.has_foreign else []

    def _between(self, state: BoardState, query: str, spans: Sequence[Span]) -> list[Skip]:
        return [Skip(*row) for row in ask(self._connection, query, (state.id, spans[0].log, spans[-1].log))]


def _summed(spans: Sequence[Span], a: int, b: int) -> tuple[dict[str, Any], Any] | None:
    """Return the figures and the stream in force from the spans' blocks, when these say all that their frames say."""
    blocks = [span.block for span in spans if span.block is not None and len(span.needs) == 1]
    if len(blocks) < len(spans):
        return None
    figures = smooth.figures(blocks, a, b) or digest.figures(blocks, a, b)
    return None if figures is None else (figures, blocks[0].plan.stream)


def _read(frames: Sequence[Held], device: str, a: int, b: int) -> tuple[dict[str, Any], Any]:
    """Return the figures and the stream in force from the frames row by row."""
    records = [held.record for held in frames]
    return evidence.figures(records, device, a, b), evidence.collect(records, device, (), b).stream


def _within(skip: Skip, spans: Sequence[Span]) -> bool:
    """Tell whether frames between the first and the last span are missing."""
    return (spans[0].log, spans[0].seq) < (skip.log, skip.first) < (spans[-1].log, spans[-1].seq)
