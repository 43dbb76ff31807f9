"""Rows of a stream between two times, read back from its frames in the order of the log, in bounded memory."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apsw
import msgspec

from wattness.quality import FRAME_MS_MAX, unsettled
from wattwire import evidence, frame

from .board import read
from .rows import body_of
from .schema import ask

BODIES_MAX = 64  # that are remembered
FUTURE_MS = 86_400_000  # a frame that is dated so far ahead of its coming moves no time forward

Part = tuple[Sequence[int], Mapping[str, Sequence[int | None]]]  # UTC ms ascending, milli-units by point

_FRAMES = (
    "SELECT frame.raw, dating.offset_ms, received_ms FROM frame LEFT JOIN dating USING (board_id, log, boot)"
    " WHERE board_id = ? AND (frame.log, frame.seq) >= (?, ?) AND kind = 2 ORDER BY frame.log, frame.seq"
)


def readings(
    connection: apsw.Connection, stream_id: int, since_ms: int, until_ms: int, *, is_claim: bool = False
) -> Iterator[Part]:
    """Yield the rows with since ≤ t < until that are held as frames, each later than all before it.

    For a claim without the points that nothing may be claimed of.
    """
    found = ask(connection, "SELECT board_id, device FROM stream WHERE id = ?", (stream_id,))
    if not found:
        return
    board_id, device = found[0]
    last = since_ms - 1
    bodies: dict[tuple[int, bytes], Any] = {}
    for raw, offset, received_ms in connection.execute(_FRAMES, (board_id, *_start(connection, stream_id, since_ms))):
        record = read(raw)
        start = record.unix if record.unix is not None or offset is None else record.up + offset
        if start is None or start > received_ms + FUTURE_MS:
            continue
        if start > until_ms + FRAME_MS_MAX:
            return
        key = (record.log, record.body.streams_hash)
        if key not in bodies:
            if len(bodies) >= BODIES_MAX:
                bodies.clear()
            bodies[key] = body_of(connection, board_id, *key)
        for times, columns in _entries(record, bodies[key], device, start, is_claim=is_claim):
            if times[0] >= until_ms:
                return
            rows = _later(times, last, until_ms)
            if rows:
                last = times[rows[-1]]
                yield [times[row] for row in rows], {name: [c[row] for row in rows] for name, c in columns.items()}


def _start(connection: apsw.Connection, stream_id: int, since_ms: int) -> tuple[int, int]:
    """Return the (log, seq) from which on all rows since then are: the evidence of what is final ends with it."""
    query = "SELECT evidence FROM interval WHERE stream_id = ? AND a < ? AND b <= ? ORDER BY a DESC LIMIT 1"
    for (ranges,) in ask(connection, query, (stream_id, since_ms, since_ms)):
        log, _, last = msgspec.json.decode(ranges)[-1]
        return log, last
    return 0, 0


def _entries(
    record: Any, body: Any, device: str, start: int, *, is_claim: bool
) -> Iterator[tuple[list[int], dict[str, Any]]]:
    names = [] if body is None else evidence.devices(body)
    for entry in record.body.entries:
        if entry.stream < len(names) and names[entry.stream] == device and frame.row_count(entry):
            stream = body.streams[entry.stream]
            if len(entry.columns) == len(stream.points):
                times, columns = evidence.entry_rows(entry, stream, start)
                for name in unsettled.points(body, entry.stream) if is_claim else ():
                    columns.pop(evidence.read_name(name) if stream.inverted else name, None)
                yield times, columns


def _later(times: Sequence[int], last: int, until_ms: int) -> list[int]:
    """Return the numbers of the rows that are later than all before them."""
    rows = []
    for row, at in enumerate(times):
        if last < at < until_ms:
            rows.append(row)
            last = at
    return rows
