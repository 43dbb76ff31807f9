"""Recorded days in a CSV file of anybody's making: its columns found by their names, its values in working units."""

import csv
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple, TextIO
from zoneinfo import ZoneInfo

from wattness.errors import ConfigError

from .headings import Heading, find_columns

ROWS_MAX = 4_000_000
FIELD_MAX = 4096
LINE_MAX = 65_536
_NOTHING = {"", "nan", "null", "none", "na", "n/a", "-", "--", "unknown", "unavailable"}
_FORMS = ("%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%Y%m%d %H:%M", "%Y%m%dT%H%M%S")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Recording(NamedTuple):
    """Rows in ascending time. `days` are their local dates; `late` counts, by date, the rows that were left out."""

    times: list[int]  # UTC unix ms; of a file whose times have no zone, as if they were UTC
    days: list[str]
    columns: dict[str, list[int | None]]  # by point name: milli-units; positions in millionths of a degree
    late: dict[str, int]
    zoned: bool  # whether the times are known in UTC


class _Moment(NamedTuple):
    unix_ms: int
    day: str
    zoned: bool


def read(stream: TextIO, name: str, role: str, zone: ZoneInfo | None) -> Recording:
    """Read the columns that a role has; raises ConfigError that names the line."""
    lines = (line for line in _lines(stream, name) if line.strip() and not line.lstrip().startswith("#"))
    try:
        first = next(lines, "")
        delimiter = max(",;\t|", key=first.count)
        header = next(csv.reader([first.lstrip("\ufeff")], delimiter=delimiter), [])
        headings = find_columns(header, role, name)
        return _collect(_rows(lines, delimiter, name), headings, name, zone)
    except UnicodeDecodeError:
        raise ConfigError(f"{name} is not text; save the rows as CSV in UTF-8.") from None
    except csv.Error as error:
        raise ConfigError(f"{name} is not a good CSV file: {error}.") from None


def _lines(stream: TextIO, name: str) -> Iterator[str]:
    while line := stream.readline(LINE_MAX + 1):
        if len(line) > LINE_MAX:
            raise ConfigError(f"{name} is no CSV file of rows: a line of it is longer than {LINE_MAX} characters.")
        yield line


def _rows(lines: Iterator[str], delimiter: str, name: str) -> Iterator[tuple[int, Sequence[str]]]:
    for number, row in enumerate(csv.reader(lines, delimiter=delimiter), 2):
        if number > ROWS_MAX:
            raise ConfigError(f"{name} has more than {ROWS_MAX} rows; split it, by months say.")
        if any(len(field) > FIELD_MAX for field in row):
            raise ConfigError(f"{name}, row {number}: a field is longer than {FIELD_MAX} characters.")
        yield number, row


def _collect(
    rows: Iterator[tuple[int, Sequence[str]]], headings: Sequence[Heading], name: str, zone: ZoneInfo | None
) -> Recording:
    found = Recording([], [], {heading.point: [] for heading in headings if heading.point != "time"}, {}, zoned=True)
    clock = _Clock(zone, is_utc=headings[0].name == "utc")
    zoned: bool | None = None
    for number, row in rows:
        try:
            moment = clock.read(" ".join(row[at].strip() for at in headings[0].columns))
            values = [_value(row[heading.columns[0]], heading) for heading in headings[1:]]
        except IndexError:
            raise ConfigError(f"{name}, row {number}: there are fewer columns than in the first row.") from None
        except (ValueError, OverflowError) as error:
            raise ConfigError(f"{name}, row {number}: {error}.") from None
        if zoned not in {None, moment.zoned}:
            raise ConfigError(f"{name}, row {number}: some times have a zone and some have none; give all one.")
        zoned = moment.zoned
        if found.times and moment.unix_ms <= found.times[-1]:
            found.late[moment.day] = found.late.get(moment.day, 0) + 1
            continue
        found.times.append(moment.unix_ms)
        found.days.append(moment.day)
        for heading, value in zip(headings[1:], values, strict=True):
            found.columns[heading.point].append(value)
    if not found.times:
        raise ConfigError(f"{name} holds no rows.")
    _as_counters(found)
    return found._replace(zoned=bool(zoned))


class _Clock:
    """Reads times; those without a zone are in `zone`, where the hour that comes twice is told by its order."""

    def __init__(self, zone: ZoneInfo | None, *, is_utc: bool) -> None:
        self._zone = zone
        self._is_utc = is_utc
        self._last: int | None = None

    def read(self, text: str) -> _Moment:
        """Return the moment; raises ValueError with a sentence."""
        number = _number(text)
        moment = self._unix(number) if number is not None else self._civil(text)
        self._last = moment.unix_ms
        return moment

    def _unix(self, number: float) -> _Moment:
        size = abs(number)
        divisor = next((10.0**power for limit, power in ((1e17, 6), (1e14, 3), (1e11, 0)) if size >= limit), 1e-3)
        unix_ms = round(number / divisor)
        civil = (_EPOCH + timedelta(milliseconds=unix_ms)).astimezone(self._zone or UTC)
        return _Moment(unix_ms, civil.date().isoformat(), zoned=True)

    def _civil(self, text: str) -> _Moment:
        civil = _parse(text)
        if civil.tzinfo is None and self._is_utc:
            civil = civil.replace(tzinfo=UTC)
        if civil.tzinfo is not None:
            local = civil if self._zone is None else civil.astimezone(self._zone)
            return _Moment(_unix_ms(civil), local.date().isoformat(), zoned=True)
        day = civil.date().isoformat()
        if self._zone is None:
            return _Moment(_unix_ms(civil.replace(tzinfo=UTC)), day, zoned=False)
        found = _unix_ms(civil.replace(tzinfo=self._zone))
        if self._last is not None and found <= self._last:
            found = max(found, _unix_ms(civil.replace(tzinfo=self._zone, fold=1)))
        return _Moment(found, day, zoned=True)


def _parse(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in _FORMS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - the zone is the caller's
        except ValueError:
            continue
    raise ValueError(f"{text!r} is no time; write it as 2026-01-31T12:00:00+01:00, or as unix seconds")


def _unix_ms(civil: datetime) -> int:
    return (civil - _EPOCH) // timedelta(milliseconds=1)


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _value(text: str, heading: Heading) -> int | None:
    plain = text.strip()
    if plain.lower() in _NOTHING:
        return None
    found = _number(plain)
    if found is None and plain.count(",") == 1 and "." not in plain:
        found = _number(plain.replace(",", "."))
    if found is None:
        raise ValueError(f"{text!r} in column {heading.name!r} is no number")
    return round(found * heading.factor)


def _as_counters(found: Recording) -> None:
    """Add up energy columns that hold each row's own energy: cumulative counters hardly ever fall."""
    for name in [name for name in found.columns if name.startswith("energy_")]:
        values = [value for value in found.columns[name] if value is not None]
        falls = sum(after < before for before, after in zip(values, islice(values, 1, None), strict=False))
        if len(values) >= 8 and falls * 5 > len(values):
            total = 0
            for row, value in enumerate(found.columns[name]):
                total += value or 0
                found.columns[name][row] = None if value is None else total
