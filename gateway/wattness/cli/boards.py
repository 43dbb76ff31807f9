"""`board`: who may send us frames."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .operating import echo_json

app = typer.Typer(help="Boards: whose frames are accepted.", no_args_is_help=True)

TLS_HINT = (
    'The broker speaks TLS: add "ca": "/ca.pem" to "mqtt", and copy its CA\'s certificate to the board as /ca.pem.'
)


@app.command()
def enrol(  # noqa: PLR0913, PLR0917 - an option each
    context: typer.Context,
    public_key: Annotated[str, typer.Argument(help="What the board showed: 130 hexadecimal digits.")],
    name: Annotated[str, typer.Option(help="What you call it; otherwise its key id.")] = "",
    out: Annotated[
        Path | None,
        typer.Option(help="Write the board's settings to this file (mode 0600), not to the screen."),
    ] = None,
    host: Annotated[str, typer.Option(help="The broker's name or address as boards see it.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace the file of --out if it is there.")] = False,
) -> None:
    """Make a board known; prints what has to be put on it. The same board again keeps its secrets."""
    from wattness.config import DATABASE_NAME, load
    from wattness.decode import parse_public_key
    from wattness.enrolment import board_settings
    from wattness.errors import ConfigError
    from wattness.keys import open_signer
    from wattness.private import write_private
    from wattness.store.registry import open_registry
    from wattwire import cose

    if out is not None and not force and out.exists():
        raise ConfigError(f"{out} exists already; choose another name, or replace it with --force.")
    config = load(context.obj)
    signer = open_signer(config.key, context.obj)
    key = parse_public_key(public_key)
    with open_registry(config.path(DATABASE_NAME), config.make_clock()) as registry:
        board = registry.enrol(key, name or cose.kid(key).hex())
    settings = board_settings(config, signer.public_key, board, host)
    if out is None:
        echo_json(settings)
    else:
        write_private(out, json.dumps(settings, indent=2) + "\n")
        typer.echo(f"{board.name} ({board.kid.hex()}) is enrolled; {out} holds its part of the board's configuration.")
    if settings["mqtt"]["tls"]:
        typer.echo(TLS_HINT, err=True)


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
    for board in found:
        typer.echo(f"{board['kid']}  {board['state']:<11}  {board['name']}  {board['reason']}".rstrip())


@app.command()
def remove(context: typer.Context, board: Annotated[str, typer.Argument(help="Name, key id or public key.")]) -> None:
    """Stop accepting a board's frames; what it sent stays."""
    from wattness.config import DATABASE_NAME, load
    from wattness.store.registry import open_registry

    config = load(context.obj)
    with open_registry(config.path(DATABASE_NAME)) as registry:
        gone = registry.remove(board)
    typer.echo(f"{gone.name} ({gone.kid.hex()}) is removed.")


@app.command()
def release(context: typer.Context, board: Annotated[str, typer.Argument(help="Name, key id or public key.")]) -> None:
    """Take a board out of quarantine, by your word."""
    from wattness.config import DATABASE_NAME, load
    from wattness.store.registry import open_registry

    config = load(context.obj)
    with open_registry(config.path(DATABASE_NAME)) as registry:
        free = registry.release(board)
    typer.echo(f"{free.name} ({free.kid.hex()}) is active again.")
