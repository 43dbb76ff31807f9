"""A store with a year of ten devices' history, made as rows of the tables; and what the page asks first."""

import datetime as dt
import math
from collections.abc import Iterator
from pathlib import Path

from emulator.author import Author, verified
from wattness.clock import Clock
from wattness.store.history_schema import connect_history, history_path
from wattness.store.pipeline import Pipeline
from wattness.store.reader import Reader
from wattness.store.registry import open_registry
from wattness.store.schema import ask, connect
from wattness.store.settings import Settings

DEVICES = 10
POINTS = ("power", "voltage", "energy_export")
YEAR_MS = 365 * 86_400_000
END_MS = 1_790_000_000_000 // 86_400_000 * 86_400_000
GATEWAY = bytes(range(32))


_BUCKET = "INSERT INTO bucket VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def make_year(path: Path, *, minutes: bool) -> int:
    """Write the year; minutes only of the first device (and only if wanted); returns how many aggregates there are."""
    _make_boards(path)
    history = connect_history(history_path(path))
    history.pragma("synchronous", "off")
    count = 0
    with history:
        streams = (
            connect(path).execute("SELECT board_key, device FROM stream JOIN board ON board.id = board_id").fetchall()
        )
        for number, name in enumerate(streams, 1):
            history.execute(
                "INSERT INTO stream (id, board_key, device, role, leading, first_ms, last_ms)"
                " VALUES (?, ?, ?, 'pv', 'energy_export', ?, ?)",
                (number, *name, END_MS - YEAR_MS, END_MS),
            )
            for point in POINTS:
                query = "INSERT INTO series (stream_id, point, unit) VALUES (?, ?, 'W') RETURNING id"
                series: int = ask(history, query, (number, point))[0][0]
                steps = (60, 300, 3600, 86_400) if minutes and number == 1 else (300, 3600, 86_400)
                for step in steps:
                    count += YEAR_MS // (step * 1000)
                    history.executemany(_BUCKET, _buckets(series, step, is_counter=point.startswith("energy")))
            for step in (300, 3600, 86_400):
                history.executemany(
                    "INSERT INTO judged VALUES (?, ?, ?, ?, 0, 0)",
                    ((number, step, at, step // 300) for at in _steps(step)),
                )
    history.pragma("wal_checkpoint(truncate)")
    history.close()
    return count


def first_view(reader: Reader) -> object:
    """Ask what the page asks to be drawn for the first time."""
    last = dt.datetime.fromtimestamp(END_MS / 1000, dt.UTC).date()
    streams = reader.streams()
    return (
        reader.boards(),
        reader.depths(),
        reader.counters(),
        reader.intervals(limit=20),
        [reader.newest_row(stream.id) for stream in streams],
        [reader.history(stream.id, "power", END_MS - 86_400_000, END_MS) for stream in streams],
        [reader.days(stream.id, last - dt.timedelta(7), last, "Europe/Berlin") for stream in streams],
    )


def _make_boards(path: Path) -> None:
    """Enrol the boards and let each tell of its stream and of its newest hour."""
    authors = [Author(seed, GATEWAY, END_MS - 3_700_000) for seed in range(DEVICES)]
    with open_registry(path, Clock()) as registry:
        boards = [registry.enrol(author.public_key, f"board {author.kid.hex()}") for author in authors]
    connection = connect(path)
    pipeline = Pipeline(connection, Settings(gateway=GATEWAY, clock=Clock()))
    for author, board in zip(authors, boards, strict=True):
        author.streams(END_MS - 3_650_000)
        for minute in range(60):
            author.rows(END_MS - 3_600_000 + minute * 60_000, 60, 1000)
        with connection:
            pipeline.put([verified(board.id, raw) for raw in author.frames])
    connection.close()


def _steps(step: int) -> range:
    return range((END_MS - YEAR_MS) // 1000 // step, END_MS // 1000 // step)


def _buckets(series: int, step: int, *, is_counter: bool) -> Iterator[tuple[int | None, ...]]:
    for at in _steps(step):
        power = int(3_000_000 * max(0.0, math.sin(at * step / 86_400 * math.tau)))
        if is_counter:
            level = at * step * 278
            yield (series, step, at, step, None, None, None, None, level, level + step * 278, step * 278, None)
        else:
            yield (series, step, at, step, None, power * step, power - 40_000, power + 40_000, None, None, None, None)
