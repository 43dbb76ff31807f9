"""The command line: every command is thin, imports what it needs when it runs, and fails with one sentence."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from wattness.config import HOME_DEFAULT
from wattness.errors import WattnessError

from . import (
    boards,
    claiming,
    database,
    decoding,
    devices,
    discovering,
    exporting,
    home,
    judging,
    keys,
    networks,
    nova,
    offering,
    operating,
    profiles,
    releases,
    replaying,
    rewards,
    verifying,
)
from .jsonanyway import json_anyway

__all__ = ["app", "main"]

app = typer.Typer(
    name="wattness",
    help="The gateway between meters and reward networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.command("init")(operating.init)
app.command("run")(operating.run)
app.command("status")(operating.status)
app.command("doctor")(operating.doctor)
app.add_typer(boards.app, name="board")
app.add_typer(keys.app, name="key")
app.add_typer(networks.app, name="network")
networks.app.command("verify")(json_anyway(verifying.verify))
networks.app.command("claim")(json_anyway(nova.claim))
app.add_typer(operating.token_app, name="token")
app.add_typer(devices.app, name="device")
app.add_typer(profiles.app, name="profile")
app.add_typer(releases.app, name="release")
app.add_typer(offering.app, name="offer")
app.add_typer(rewards.app, name="rewards")
rewards.app.command("account")(claiming.account)
rewards.app.command("claim")(claiming.claim)
app.add_typer(decoding.app, name="decode")
app.add_typer(database.app, name="db")
app.command("discover")(discovering.discover)
app.command("export")(exporting.export)
app.command("replay")(replaying.replay)
app.command("homeassistant")(json_anyway(home.homeassistant))
app.command("quality")(json_anyway(judging.quality))


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - Typer's form of a callback
    if wanted:
        from importlib.metadata import version

        typer.echo(version("wattness"))
        raise typer.Exit


@app.callback()
def _global(
    context: typer.Context,
    home: Annotated[
        Path, typer.Option(envvar="WATTNESS_HOME", help="The gateway's home: configuration, key and data.")
    ] = Path(HOME_DEFAULT),
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = home.expanduser().absolute()


def main() -> None:
    """Run the command line; exit code 2 and one sentence when the operator must do something."""
    os.umask(0o077)  # the database and the broker's files hold secrets, wherever the home is
    try:
        app()
    except WattnessError as error:
        typer.echo(str(error), err=True)
        sys.exit(2)
    except BrokenPipeError:  # whoever read us has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
