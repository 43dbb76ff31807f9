"""What the owner imports: payouts and prices as CSV, all of a file or nothing of it."""

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from wattness.errors import ConfigError
from wattness.store.payouts import PayoutEntry, PriceEntry

BYTES_MAX = 64 << 20
TEXT_MAX = 200
_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?")
_CURRENCY = re.compile("[A-Z]{3}")

T = TypeVar("T")
Row = Mapping[str, str]


def read_payouts(path: Path, timezone: str, defaults: Row) -> list[PayoutEntry]:
    """Return the payouts in a file; raises ConfigError that names the line.

    Columns: time or day, amount, and network, unit and reference where `defaults` do not have them.
    """
    zone = ZoneInfo(timezone)

    def entry(row: Row) -> PayoutEntry:
        at = row.get("time") or row.get("day") or ""
        return PayoutEntry(
            network=_text(row, "network"),
            at_ms=time_of(at, zone),
            unit=_text(row, "unit"),
            amount=number_of(row.get("amount", "")),
            reference=row.get("reference", "")[:TEXT_MAX],
        )

    return _read(path, entry, defaults, ("amount",))


def read_prices(path: Path, defaults: Row) -> list[PriceEntry]:
    """Return the prices in a file; raises ConfigError that names the line. Columns: day, unit, price, currency."""

    def entry(row: Row) -> PriceEntry:
        day, currency = day_of(row.get("day", "")), currency_of(row.get("currency", ""))
        return PriceEntry(_text(row, "unit"), row.get("network", ""), currency, day, price_of(row.get("price", "")))

    return _read(path, entry, defaults, ("day", "price"))


def number_of(text: str) -> Decimal:
    """Return a decimal number; raises ConfigError."""
    if not _NUMBER.fullmatch(text):
        raise ConfigError(f"{text!r} is no amount; write digits and at most one point, like 12.5")
    return Decimal(text)


def price_of(text: str) -> Decimal:
    """Return a price; raises ConfigError."""
    price = number_of(text)
    if price < 0:
        raise ConfigError(f"{text!r} is no price: it is below zero")
    return price


def currency_of(text: str) -> str:
    """Return a currency's code; raises ConfigError."""
    if not _CURRENCY.fullmatch(text):
        raise ConfigError(f"{text!r} is no currency; write its three letters, like EUR")
    return text


def day_of(text: str) -> dt.date:
    """Return a day; raises ConfigError."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no day; write it like 2026-11-23") from None


def time_of(text: str, zone: ZoneInfo) -> int:
    """Return UTC unix ms of a time, which is the site's without an offset, or of a day's begin; raises ConfigError."""
    try:
        at = dt.datetime.fromisoformat(text)
        at_ms = round((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ConfigError(f"{text!r} is no time; write it like 2026-11-23 or 2026-11-23T18:00:00Z") from None
    if at_ms < 0:
        raise ConfigError(f"{text!r} is before 1970")
    return at_ms


def _text(row: Row, name: str) -> str:
    text = row.get(name, "")
    if not text:
        raise ConfigError(f"there is no {name}; add the column, or say it with --{name}")
    if len(text) > TEXT_MAX or not text.isprintable():
        raise ConfigError(f"{text[:TEXT_MAX]!r} is no {name}; it must be printable, and of {TEXT_MAX} letters at most")
    return text


def _read(path: Path, entry: Callable[[Row], T], defaults: Row, needed: tuple[str, ...]) -> list[T]:
    found = []
    for line, row in _rows(path, needed):
        try:
            found.append(entry({**defaults, **{name: value for name, value in row.items() if value}}))
        except ConfigError as error:
            raise ConfigError(f"{path}, line {line}: {error}") from None
    return found


def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[int, Row]]:
    try:
        with path.open("rb") as file:  # what is no file, as /dev/zero, has no size
            data = file.read(BYTES_MAX + 1)
        if len(data) > BYTES_MAX:
            raise ConfigError(f"{path} is larger than {BYTES_MAX} bytes; import it in parts")
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter=";" if head.count(";") > head.count(",") else ",", strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        for name in needed:
            if name not in names:
                raise ConfigError(f"{path} has no column {name!r} in its first line")
        for cells in reader:
            if any(cells):
                if len(cells) != len(names):
                    raise ConfigError(f"{path}, line {reader.line_num}: {len(cells)} cells, but {len(names)} columns")
                yield reader.line_num, dict(zip(names, map(str.strip, cells), strict=True))
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num}: {error}") from None
