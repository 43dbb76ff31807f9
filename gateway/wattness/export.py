"""Everything the store holds, written out in bounded memory: raw frames, final intervals, dated rows."""

import csv
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

import msgspec

from wattwire import cose, evidence, frame
from wattwire.errors import WireError

from . import strictcbor
from .store.reader import Reader
from .store.views import FrameView, IntervalView

DESCRIPTORS_MAX = 256  # streams records that are remembered: rows refer to a recent one

INTERVAL_COLUMNS = (
    "board_key", "device", "role", "profile", "a", "b", "covered_ms", "rows", "counter_resets", "energy_import_mwh",
    "energy_export_mwh", "gap_import_mwh", "gap_export_mwh", "power_min_mw", "power_max_mw", "power_mean_mw", "verdict",
    "reasons", "rated_w", "root",
)  # fmt: skip
ROW_COLUMNS = ("unix_ms", "board_key", "log", "seq", "device", "role", "point", "value")

Chosen = Callable[[str], bool]  # by a board's key, in hex


def write_frames(reader: Reader, out: TextIO, form: str, chosen: Chosen) -> None:
    """Write raw frames, in the order of their coming: as hex lines, or JSON lines with what we know of them."""
    for view in reader.export_frames():
        if not chosen(view.board_key):
            continue
        if form == "hex":
            out.write(view.raw.hex() + "\n")
        else:
            facts = msgspec.to_builtins(view, builtin_types=(bytes,))
            out.write(json.dumps(facts | {"raw": view.raw.hex()}) + "\n")


def write_intervals(reader: Reader, out: TextIO, form: str, chosen: Chosen) -> None:
    """Write final intervals, in the order in which they became final."""
    intervals = (view for view in reader.export_intervals() if chosen(view.board_key))
    if form == "csv":
        _write_csv(out, INTERVAL_COLUMNS, map(_interval_row, intervals))
        return
    out.writelines(json.dumps(msgspec.to_builtins(view), ensure_ascii=False) + "\n" for view in intervals)


def write_rows(reader: Reader, out: TextIO, form: str, chosen: Chosen) -> None:
    """Write rows in the units of the wire, inverted wiring put right; undated ones have no time."""
    rows = dated_rows(reader, chosen)
    if form == "csv":
        _write_csv(out, ROW_COLUMNS, (line for row in rows for line in _row_lines(row)))
        return
    out.writelines(json.dumps(row) + "\n" for row in rows)


def dated_rows(reader: Reader, chosen: Chosen) -> Iterator[dict[str, Any]]:
    """Yield the rows of all frames; a first pass finds what dates the frames of each boot."""
    offsets: dict[tuple[str, int, int], int] = {}
    for view, record in _records(reader, chosen):
        if record.unix is not None:
            offsets.setdefault((view.board_key, record.log, record.boot), record.unix - record.up)
    descriptors: OrderedDict[tuple[str, bytes], Any] = OrderedDict()
    for view, record in _records(reader, chosen):
        if record.kind == frame.KIND_STREAMS:
            descriptors[view.board_key, frame.prev_of(cose.parse(view.raw)[1])] = record.body
            if len(descriptors) > DESCRIPTORS_MAX:
                descriptors.popitem(last=False)
        elif record.kind == frame.KIND_ROWS:
            body = descriptors.get((view.board_key, record.body.streams_hash))
            offset = offsets.get((view.board_key, record.log, record.boot))
            start = record.unix if record.unix is not None or offset is None else offset + record.up
            yield from _frame_rows(view, record, body, start)


def _frame_rows(view: FrameView, record: Any, body: Any, start: int | None) -> Iterator[dict[str, Any]]:
    for entry in record.body.entries:
        try:
            stream = body.streams[entry.stream]
            times, columns = evidence.entry_rows(entry, stream, start or 0)
        except (AttributeError, IndexError, WireError):
            continue  # no streams record at hand tells what these numbers are
        slot = {"log": view.log, "seq": view.seq, "device": evidence.devices(body)[entry.stream], "role": stream.role}
        for index, at in enumerate(times):
            values = {name: _decimal(column[index]) for name, column in columns.items()}
            yield {"unix_ms": None if start is None else at, "board_key": view.board_key, **slot, "points": values}


def _records(reader: Reader, chosen: Chosen) -> Iterator[tuple[FrameView, Any]]:
    for view in reader.export_frames():
        if chosen(view.board_key):
            yield view, frame.decode(cose.parse(view.raw)[1], strictcbor.decode)


def _decimal(milli: int | None) -> float | None:
    return None if milli is None else milli / 1000


def _interval_row(view: IntervalView) -> tuple[Any, ...]:
    figures = view.figures
    energy, gap, power = figures["energy"], figures["gap_energy"], figures.get("power") or {}
    return (
        view.board_key, view.device, view.role, view.profile, view.a, view.b, figures["covered_ms"], figures["rows"],
        figures["counter_resets"], energy.get("energy_import"), energy.get("energy_export"), gap.get("energy_import"),
        gap.get("energy_export"), power.get("min"), power.get("max"), power.get("mean"), view.verdict,
        " ".join(view.reasons), view.rated_w, view.root,
    )  # fmt: skip


def _row_lines(row: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    for name, value in row["points"].items():
        yield (*(row[column] for column in ROW_COLUMNS[:6]), name, value)


def _write_csv(out: TextIO, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
