"""Newest rows of a stream, read back from its frames."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import apsw

from wattwire import evidence, frame

from .board import read
from .corrections import Corrections, read_entry
from .schema import ask

FRAMES_MAX = 5000  # that one question may read


class Held(NamedTuple):
    """The frames that are held, and how they are to be read."""

    connection: apsw.Connection
    corrections: Corrections


def newest_values(  # noqa: PLR0913, PLR0917 — what is asked
    held: Held, board_id: int, device: str, point: str, since_ms: int, limit: int
) -> list[list[int | float | None]]:
    """Return [unix ms, value in the point's unit] ascending: the newest `limit` rows that are not before `since_ms`."""
    parts: list[tuple[list[int], list[int | None]]] = []
    count = 0
    for times, columns in _newest_entries(held, board_id, device, {point}):
        if not times:
            continue
        values = columns.get(point, [None] * len(times))
        if times[-1] < since_ms or count >= limit:
            break
        parts.append((times, values))
        count += len(times)
    found: list[list[int | float | None]] = []
    last = since_ms - 1
    for times, values in reversed(parts):
        for time, value in zip(times, values, strict=True):
            if time > last:
                found.append([time, None if value is None else _decimal(value)])
                last = time
    return found[-limit:]


def newest_row(held: Held, board_id: int, device: str) -> tuple[int, dict[str, int | float]] | None:
    """Return a device's newest row as (unix ms, {point: value in its unit}); what has no value is not there."""
    for times, columns in _newest_entries(held, board_id, device, None):
        if times:
            last = {name: values[-1] for name, values in columns.items()}
            return times[-1], {name: _decimal(value) for name, value in last.items() if value is not None}
    return None


def _newest_entries(
    held: Held, board_id: int, device: str, points: set[str] | None
) -> Iterator[tuple[list[int], dict[str, list[int | None]]]]:
    """Yield (times, {point: milli-values}) of each entry, the newest frame first; None asks for all points."""
    bodies: dict[tuple[int, bytes], Any] = {}
    frames: Iterator[Any]
    query = (
        "SELECT frame.raw, dating.offset_ms FROM frame LEFT JOIN dating USING (board_id, log, boot)"
        " WHERE board_id = ? ORDER BY frame.log DESC, frame.seq DESC LIMIT ?"
    )
    frames = held.connection.execute(query, (board_id, FRAMES_MAX))
    for raw, offset in frames:
        record = read(raw)
        start = record.unix if record.unix is not None or offset is None else record.up + offset
        if record.kind != frame.KIND_ROWS or start is None:
            continue
        key = (record.log, record.body.streams_hash)
        if key not in bodies:
            bodies[key] = body_of(held.connection, board_id, *key)
        body = bodies[key]
        for entry in _entries(record, body, device):
            yield read_entry(entry, body.streams[entry.stream], start, held.corrections, points)


def _entries(record: Any, body: Any, device: str) -> Iterator[Any]:
    names = [] if body is None else evidence.devices(body)
    for entry in reversed(record.body.entries):
        is_its = entry.stream < len(names) and names[entry.stream] == device
        if is_its and len(entry.columns) == len(body.streams[entry.stream].points):
            yield entry


def body_of(connection: apsw.Connection, board_id: int, log: int, streams_hash: bytes) -> Any:
    """Return the streams record that rows refer to, if it is held and names this gateway."""
    query = (
        "SELECT raw FROM frame JOIN descriptor USING (board_id, log, seq)"
        " WHERE board_id = ? AND log = ? AND descriptor.hash = ? AND ours = 1"
    )
    rows = ask(connection, query, (board_id, log, streams_hash))
    return read(rows[0][0]).body if rows else None


def _decimal(milli: int) -> int | float:
    return milli // 1000 if milli % 1000 == 0 else milli / 1000
