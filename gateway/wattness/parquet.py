"""Rows and intervals as Parquet: scaled integers, differenced and compressed; only the export imports this.

Each stream has a file of its own: `unix_ms`, and a column of integers per point whose field's metadata say the `unit`
and the `exponent` (value = integer × 10^exponent unit). Where a stream changed its exponent, the finest holds.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import ConfigError
from .store.history import History
from .store.reader import Reader
from .store.telling import Chosen, Told, tell

ROWS_PER_GROUP = 100_000
INT_MAX = (1 << 63) - 1
TIME = "unix_ms"
UNITS = {"a": "ms", "b": "ms", "covered_ms": "ms", "rated_w": "W"} | {
    f"{kind}_{way}_mwh": "mWh" for kind in ("energy", "gap") for way in ("import", "export")
} | {f"power_{what}_mw": "mW" for what in ("min", "max", "mean")}  # fmt: skip


class _File:
    """One stream's file, written in groups of rows."""

    def __init__(self, path: Path, first: Told, points: dict[str, tuple[str, int]]) -> None:
        """`points` are (unit, exponent) by name."""
        about = {"board_key": first.board_key, "device": first.device, "role": first.stream.role}
        fields = [pa.field(TIME, pa.timestamp("ms", tz="UTC"), nullable=False)]
        for name, (unit, exponent) in points.items():
            fields.append(pa.field(name, pa.int64(), metadata={"unit": unit, "exponent": str(exponent)}))
        self._points = points
        self._schema = pa.schema(fields, metadata=about | {"profile": first.stream.profile})
        self._writer = _writer(path, self._schema)
        self._times: list[int] = []
        self._columns: dict[str, list[int | None]] = {name: [] for name in points}

    def add(self, times: Sequence[int], columns: dict[str, list[int | None]], exponents: dict[str, int]) -> None:
        """Take rows; a value that 64 bits do not hold is null."""
        self._times += times
        for name, column in self._columns.items():
            values = columns.get(name)
            if values is None:
                column.extend([None] * len(times))
            else:
                factor = 10 ** (exponents[name] - self._points[name][1])
                column.extend(_scaled(value, factor) for value in values)
        if len(self._times) >= ROWS_PER_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write a group of rows."""
        if self._times:
            arrays = [pa.array(self._times, pa.timestamp("ms", tz="UTC"))]
            arrays += [pa.array(column, pa.int64()) for column in self._columns.values()]
            self._writer.write_table(pa.table(arrays, schema=self._schema))
            self._times.clear()
            for column in self._columns.values():
                column.clear()

    def close(self) -> None:
        """Write what is left, and the file's end."""
        self.flush()
        self._writer.close()


def write_rows(reader: Reader, folder: Path, chosen: Chosen) -> dict[str, int]:
    """Write a file per stream into a new folder; returns rows per file, those nobody could date as `undated`."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise ConfigError(f"{folder} exists already; choose another name for the folder of files.") from None
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}.") from None
    corrections = reader.past(History.corrections)
    points = _points(reader, chosen)
    files: dict[str, _File] = {}
    counts: dict[str, int] = {}
    try:
        for told in tell(reader, chosen):
            times, columns, described = told.integers(corrections)
            if told.start is None:
                counts["undated"] = counts.get("undated", 0) + len(times)
                continue
            name = f"{told.board_key[:16]}-{told.device}.parquet"
            if name not in files:
                files[name] = _File(folder / name, told, points[told.board_key, told.device])
            files[name].add(times, columns, {point: found.exponent for point, found in described.items()})
            counts[name] = counts.get(name, 0) + len(times)
    finally:
        for file in files.values():
            file.close()
    return counts


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write rows of integers and text to a new file, a group at a time; returns how many."""
    fields = [
        pa.field(name, pa.int64() if _is_number(name) else pa.string(), metadata=_unit_of(name)) for name in columns
    ]
    schema = pa.schema(fields)
    count = 0
    try:
        path.open("xb").close()
    except FileExistsError:
        raise ConfigError(f"{path} exists already; choose another name.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
    with _writer(path, schema) as writer:
        group: list[Sequence[Any]] = []
        for row in rows:
            group.append(row)
            if len(group) == ROWS_PER_GROUP:
                count += _write_group(writer, schema, group)
                group = []
        count += _write_group(writer, schema, group)
    return count


def _write_group(writer: pq.ParquetWriter, schema: pa.Schema, group: Sequence[Sequence[Any]]) -> int:
    if group:
        values = [
            [_scaled(value, 1) if pa.types.is_integer(field.type) else value for value in column]
            for field, column in zip(schema, zip(*group, strict=True), strict=True)
        ]
        arrays = [pa.array(column, field.type) for field, column in zip(schema, values, strict=True)]
        writer.write_table(pa.table(arrays, schema=schema))
    return len(group)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    numbers = [field.name for field in schema if not pa.types.is_string(field.type)]
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    encoding = dict.fromkeys(numbers, "DELTA_BINARY_PACKED")
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=texts, column_encoding=encoding)


def _points(reader: Reader, chosen: Chosen) -> dict[tuple[str, str], dict[str, tuple[str, int]]]:
    """Return (unit, finest exponent) of every point of every stream, in the order in which they were met."""
    corrections = reader.past(History.corrections)
    found: dict[tuple[str, str], dict[str, tuple[str, int]]] = {}
    seen = set()
    for told in tell(reader, chosen):
        key = (told.board_key, told.device, told.stream)
        if key in seen:
            continue
        seen.add(key)
        points = found.setdefault(key[:2], {})
        for name, point in told.integers(corrections)[2].items():
            finest = min(point.exponent, points[name][1]) if name in points else point.exponent
            points[name] = (point.unit, finest)
    return found


def _scaled(value: int | None, factor: int) -> int | None:
    if value is None or -INT_MAX <= value * factor <= INT_MAX:
        return None if value is None else value * factor
    return None


def _is_number(name: str) -> bool:
    return name in UNITS or name in {"rows", "counter_resets"}


def _unit_of(name: str) -> dict[str, str] | None:
    return {"unit": UNITS[name], "exponent": "0"} if name in UNITS else None
