"""Which intervals are offered, and of which streams; whoever reads them learns no key and no serial number."""

import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from wattness.store.accounts import Measured
from wattness.store.reader import Reader
from wattness.store.views import StreamView

DAYS_MAX = 366


class Offered(NamedTuple):
    """A stream and its final intervals, ascending."""

    name: str  # the same in every offer of the same stream, and of nothing else
    stream: StreamView
    intervals: Iterator[Measured]


def offered(reader: Reader, roles: frozenset[str], since_ms: int, until_ms: int) -> Iterator[Offered]:
    """Yield the streams of these roles with their intervals that begin between two times; quarantined ones are none."""
    books = reader.accounts()
    for stream in reader.streams():
        if stream.role in roles:
            yield Offered(name_of(stream), stream, books.measured(stream.id, since_ms, until_ms))


def name_of(stream: StreamView) -> str:
    """Return a stream's name for others, from which nobody can go back to the board."""
    digest = hashlib.sha256(f"offer/{stream.board_key}/{stream.device}".encode()).hexdigest()
    return f"{stream.role}-{digest[:12]}"


def instant(unix_ms: int) -> str:
    """Return a time as RFC 3339 has it, in UTC."""
    text = dt.datetime.fromtimestamp(unix_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")
    return text.replace(".000", "").replace("+00:00", "Z")


def duration(length_ms: int) -> str:
    """Return a length as ISO 8601 has it, in whole seconds."""
    return f"PT{length_ms // 1000}S"


def kilowatt_hours(milliwatt_hours: int) -> float:
    """Return an energy in kWh."""
    return milliwatt_hours / 1_000_000


def coverage(figures: dict[str, Any], length_ms: int) -> float:
    """Return which share of an interval was metered, in percent."""
    covered_ms: int = figures["covered_ms"]
    return round(100 * covered_ms / length_ms, 1)
