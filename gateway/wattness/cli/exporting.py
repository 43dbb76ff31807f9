"""`export`: everything the store holds, as text."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from wattness.errors import ConfigError


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


FORMS = {What.FRAMES: (Form.HEX, Form.JSONL), What.INTERVALS: (Form.JSONL, Form.CSV), What.ROWS: (Form.JSONL, Form.CSV)}


def export(
    context: typer.Context,
    what: Annotated[What, typer.Argument(help="Raw frames, final intervals, or rows.")],
    form: Annotated[
        Form | None, typer.Option("--format", help="frames: hex (default) or jsonl; else jsonl (default) or csv.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; otherwise standard output.")] = None,
    board: Annotated[str, typer.Option(help="Only this board: name, key id or public key.")] = "",
) -> None:
    """Write out what the gateway holds, in bounded memory."""
    from wattness import export as exports
    from wattness.config import DATABASE_NAME, load
    from wattness.store.reader import open_reader
    from wattness.store.registry import open_registry

    form = form or FORMS[what][0]
    if form not in FORMS[what]:
        raise ConfigError(f"{what} can be exported as {' or '.join(FORMS[what])}, not as {form}.")
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
        with _opened(out) as stream:
            write(reader, stream, form, lambda key: not only or key == only)


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
