"""`board`: who may send us frames."""

import re
from pathlib import Path
from typing import Annotated

import typer

from . import serialboards
from .enrolling import Identity, Wishes, enrol_key, enrol_port
from .operating import echo_json

app = typer.Typer(help="Boards: whose frames are accepted.", no_args_is_help=True)

app.command()(serialboards.flash)
app.command()(serialboards.install)
app.command()(serialboards.log)
app.command()(serialboards.doctor)

Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
BoardName = Annotated[str, typer.Argument(help="Name, key id or public key.")]
KEY = re.compile(r"[0-9a-fA-F]{64,}")  # a key, if perhaps a damaged one


@app.command()
def enrol(  # noqa: PLR0913, PLR0917 - an option each
    context: typer.Context,
    board: Annotated[
        str, typer.Argument(metavar="PORT|KEY", help="The board's serial port, or its public key: 130 hex digits.")
    ],
    name: Annotated[str, typer.Option(help="What you call it; otherwise its key id.")] = "",
    host: Annotated[str, typer.Option(help="The broker's name or address as boards see it.")] = "",
    out: Annotated[
        Path | None,
        typer.Option(help="With a key: write the board's settings to this file (mode 0600), not to the screen."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file of --out if it is there.")] = False,
    wifi: Annotated[
        Path | None,
        typer.Option(
            help="With a port: a file of mode 0600 with ssid and password; made of your answers if not there."
        ),
    ] = None,
    stream: Annotated[
        list[str] | None,
        typer.Option(help="With a port: ROLE:PROFILE:UNIT[:RATED_W], one for each device; else the bus is scanned."),
    ] = None,
    bus: Annotated[str, typer.Option(help="With a port: UART,BAUD,TX,RX[,DE]; 1,9600,17,16 otherwise.")] = "",
    last_unit: Annotated[int, typer.Option(min=1, max=247, help="A scan of the bus ends with this unit.")] = 247,
) -> None:
    """Make a board known and give it its settings; the same board again keeps its secrets."""
    if KEY.fullmatch(board):
        enrol_key(context.obj, board, Identity(name, host), out, force=force)
    else:
        enrol_port(context.obj, board, Identity(name, host), Wishes(wifi, stream or [], bus, last_unit))


@app.command("list")
def list_boards(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    removed: Annotated[bool, typer.Option("--removed", help="Removed ones too.")] = False,
) -> None:
    """List boards; no secrets."""
    from wattness.config import DATABASE_NAME, load
    from wattness.store.registry import open_registry

    config = load(context.obj)
    with open_registry(config.path(DATABASE_NAME)) as registry:
        boards = registry.list(removed=removed)
    found = [
        {
            "name": board.name,
            "kid": board.kid.hex(),
            "board_key": board.board_key.hex(),
            "public_key": board.public_key.hex(),
            "state": board.state,
            "reason": board.reason,
            "enrolled_unix_ms": board.enrolled_unix_ms,
        }
        for board in boards
    ]
    if as_json:
        echo_json(found)
        return
    if not found:
        typer.echo("No board is enrolled yet; `wattness board enrol` makes one known.", err=True)
    for board in found:
        typer.echo(f"{board['kid']}  {board['state']:<11}  {board['name']}  {board['reason']}".rstrip())


@app.command()
def remove(context: typer.Context, board: BoardName, as_json: Json = False) -> None:
    """Stop accepting a board's frames; what it sent stays."""
    from wattness.config import DATABASE_NAME, load
    from wattness.store.registry import open_registry

    config = load(context.obj)
    with open_registry(config.path(DATABASE_NAME)) as registry:
        gone = registry.remove(board)
    if as_json:
        echo_json({"name": gone.name, "kid": gone.kid.hex(), "state": "removed"})
    else:
        typer.echo(f"{gone.name} ({gone.kid.hex()}) is removed.")


@app.command()
def release(context: typer.Context, board: BoardName, as_json: Json = False) -> None:
    """Take a board out of quarantine, by your word."""
    from wattness.config import DATABASE_NAME, load
    from wattness.store.registry import open_registry

    config = load(context.obj)
    with open_registry(config.path(DATABASE_NAME)) as registry:
        free = registry.release(board)
    if as_json:
        echo_json({"name": free.name, "kid": free.kid.hex(), "state": "active"})
    else:
        typer.echo(f"{free.name} ({free.kid.hex()}) is active again.")


@app.command()
def update(
    context: typer.Context,
    board: BoardName,
    file: Annotated[Path | None, typer.Argument(help="A release; without one, show what became of the last.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Even if the board has tried it in vain.")] = False,
    as_json: Json = False,
) -> None:
    """Queue a release for a board: the running gateway offers it, the board fetches it, tries it, keeps it or not."""
    from wattness.config import DATABASE_NAME, load
    from wattness.errors import ConfigError
    from wattness.releases import check_signature, pinned_key, read_bundle
    from wattness.store.registry import open_registry
    from wattness.updates import FOLDER, queue, read_status

    config = load(context.obj)
    with open_registry(config.path(DATABASE_NAME)) as registry:
        found = registry.get(board)
    if file is None:  # it is JSON anyway
        echo_json({"board": found.name, **read_status(config.path(FOLDER), found)})
        return
    key = pinned_key(Path(context.obj))
    if key is None:
        raise ConfigError("There is no release key; make one with `wattness release key new`.")
    bundle = read_bundle(file)
    check_signature(bundle, key)
    queue(config.path(FOLDER), found, bundle, again=again)
    if as_json:
        echo_json({"board": found.name, "version": bundle.version, "queued": True})
        return
    typer.echo(f"Version {bundle.version} waits for {found.name}; `wattness board update {found.name}` tells more.")
