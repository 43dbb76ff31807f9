"""Everything the store holds, written out in bounded memory: raw frames, final intervals, dated rows."""

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

import msgspec

from .store.history import History
from .store.reader import Reader
from .store.telling import Chosen, tell
from .store.views import IntervalView

INTERVAL_COLUMNS = (
    "board_key", "device", "role", "profile", "a", "b", "covered_ms", "rows", "counter_resets", "energy_import_mwh",
    "energy_export_mwh", "gap_import_mwh", "gap_export_mwh", "power_min_mw", "power_max_mw", "power_mean_mw", "verdict",
    "reasons", "rated_w", "root",
)  # fmt: skip
ROW_COLUMNS = ("unix_ms", "board_key", "log", "seq", "device", "role", "point", "value")


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
        _write_csv(out, INTERVAL_COLUMNS, map(interval_row, intervals))
        return
    out.writelines(json.dumps(msgspec.to_builtins(view), ensure_ascii=False) + "\n" for view in intervals)


def write_rows(reader: Reader, out: TextIO, form: str, chosen: Chosen) -> None:
    """Write rows in the units of the wire, inverted wiring put right; undated ones have no time."""
    rows = told_rows(reader, chosen)
    if form == "csv":
        _write_csv(out, ROW_COLUMNS, (line for row in rows for line in _row_lines(row)))
        return
    out.writelines(json.dumps(row) + "\n" for row in rows)


def told_rows(reader: Reader, chosen: Chosen) -> Iterator[dict[str, Any]]:
    """Yield the rows of all chunks and frames; corrections of profiles apply."""
    corrections = reader.past(History.corrections)
    for told in tell(reader, chosen):
        times, columns = told.values(corrections)
        slot = {"log": told.log, "seq": told.seq, "device": told.device, "role": told.stream.role}
        for index, at in enumerate(times):
            values = {name: _decimal(column[index]) for name, column in columns.items()}
            yield {
                "unix_ms": None if told.start is None else at,
                "board_key": told.board_key,
                **slot,
                "points": values,
            }


def _decimal(milli: int | None) -> float | None:
    return None if milli is None else milli / 1000


def interval_row(view: IntervalView) -> tuple[Any, ...]:
    """Return an interval's values in the order of INTERVAL_COLUMNS."""
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
