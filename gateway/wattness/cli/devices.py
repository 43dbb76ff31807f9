"""`device` and `discover`: what the gateway reads itself."""

from pathlib import Path
from typing import Annotated, Any

import typer

from wattness.errors import ConfigError

from .jsonanyway import json_anyway
from .operating import echo_json

app = typer.Typer(help="Devices that the gateway reads itself.", no_args_is_help=True)
key_app = typer.Typer(help="The keys that sign what the gateway reads itself.", no_args_is_help=True)
app.add_typer(key_app, name="key")

KeyFile = Annotated[str, typer.Argument(help="The key's file in the home.")]


@key_app.command("new")
@json_anyway
def key_new(context: typer.Context, file: KeyFile = "device.key") -> None:
    """Make a key for what the gateway reads itself; never overwrites one."""
    from wattness.config import load
    from wattness.keys import new_key

    config = load(context.obj)
    if config.key == f"file:{file}":
        raise ConfigError(f"{file} is the gateway's own key; what it reads needs another one.")
    _show(new_key(f"file:{file}", Path(config.home)).public_key)


@key_app.command("show")
@json_anyway
def key_show(context: typer.Context, file: KeyFile = "device.key") -> None:
    """Show such a key's public part, and what boards' lists know it by."""
    from wattness.config import load
    from wattness.keys.looking import public_key

    _show(public_key(f"file:{file}", Path(load(context.obj).home)))


@app.command("list")
def list_devices(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """List the configured devices and what the gateway last said of them."""
    from wattness.config import load

    found = _devices(load(context.obj))
    if as_json:
        echo_json(found)
        return
    if not found:
        typer.echo("No device is configured yet; `wattness discover` looks for them.", err=True)
    for each in found:
        typer.echo(f"{each['name']:<20}  {each['role']:<8}  {each['profile']:<24}  {each['url']}  {each['state']}")


def _devices(config: Any) -> list[dict[str, Any]]:
    """Return each device with its state: a log's newest health record names those that are not metered."""
    from wattness.config import DATABASE_NAME
    from wattness.keys.looking import public_key
    from wattness.signing import kid
    from wattness.store.reader import open_reader

    health: dict[str, Any] = {}
    if config.path(DATABASE_NAME).exists():
        with open_reader(config.path(DATABASE_NAME)) as reader:
            health = {board.kid: board.health for board in reader.boards() if board.provenance == "gateway"}
    found = []
    for each in config.device:
        try:
            known = health.get(kid(public_key(each.key, Path(config.home))).hex())
            state = "not asked yet" if known is None else known.get(f"device {each.name}", "metering")
        except ConfigError as error:
            state = f"unfit: {error}"
        names = ("name", "url", "unit", "role", "profile", "period_ms", "key")
        found.append({name: getattr(each, name) for name in names} | {"state": state})
    return found


def _show(public_key: bytes) -> None:
    from wattness.signing import kid

    echo_json({"public_key": public_key.hex(), "kid": kid(public_key).hex(), "provenance": "gateway"})
