"""`export`: everything the store holds, as text or as Parquet."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from wattness.errors import ConfigError

if TYPE_CHECKING:
    from wattness.store.reader import Reader
    from wattness.store.telling import Chosen


class What(StrEnum):
    """What can be exported."""

    FRAMES = "frames"
    INTERVALS = "intervals"
    ROWS = "rows"


class Form(StrEnum):
    """How."""

    HEX = "hex"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


TABLES = (Form.JSONL, Form.CSV, Form.PARQUET)
FORMS = {What.FRAMES: (Form.HEX, Form.JSONL), What.INTERVALS: TABLES, What.ROWS: TABLES}


def export(
    context: typer.Context,
    what: Annotated[What, typer.Argument(help="Raw frames, final intervals, or rows.")],
    form: Annotated[
        Form | None,
        typer.Option("--format", help="frames: hex (default) or jsonl; else jsonl (default), csv or parquet."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write (rows as parquet: the folder); otherwise standard output."),
    ] = None,
    board: Annotated[str, typer.Option(help="Only this board: name, key id or public key.")] = "",
) -> None:
    """Write out what the gateway holds, in bounded memory."""
    from wattness import export as exports
    from wattness.config import DATABASE_NAME, load
    from wattness.store.reader import open_reader
    from wattness.store.registry import open_registry

    form = form or FORMS[what][0]
    if form not in FORMS[what]:
        *others, last = FORMS[what]
        raise ConfigError(f"{what} can be exported as {', '.join(others)} or {last}, not as {form}.")
    config = load(context.obj)
    write = {
        What.FRAMES: exports.write_frames,
        What.INTERVALS: exports.write_intervals,
        What.ROWS: exports.write_rows,
    }[what]
    with open_reader(config.path(DATABASE_NAME)) as reader:
        only = ""
        if board:
            with open_registry(config.path(DATABASE_NAME)) as registry:
                only = registry.get(board).board_key.hex()

        def chosen(key: str) -> bool:
            return not only or key == only

        if form is Form.PARQUET:
            _write_parquet(reader, what, out, chosen)
            return
        with _opened(out) as stream:
            write(reader, stream, form, chosen)


def _write_parquet(reader: "Reader", what: What, out: Path | None, chosen: "Chosen") -> None:
    from wattness import export as exports
    from wattness import parquet

    if out is None:
        raise ConfigError("Parquet needs --out: a folder for rows, a file for intervals.")
    if what is What.ROWS:
        for name, count in parquet.write_rows(reader, out, chosen).items():
            typer.echo(f"{name}: {count} rows" if name != "undated" else f"left out: {count} rows without a time")
        return
    rows = (exports.interval_row(view) for view in reader.export_intervals() if chosen(view.board_key))
    typer.echo(f"{out}: {parquet.write_table(out, exports.INTERVAL_COLUMNS, rows)} intervals")


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    try:
        with out.open("x") as stream:
            yield stream
    except FileExistsError:
        raise ConfigError(f"{out} exists already; choose another name.") from None
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}.") from None
