"""`release`: the owner's release key, and signed releases of the boards' program."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Releases of the boards' program, signed by your release key.", no_args_is_help=True)
key_app = typer.Typer(help="The release key: boards take only programs that it signed.", no_args_is_help=True)
app.add_typer(key_app, name="key")


@key_app.command("new")
def new_key(context: typer.Context) -> None:
    """Make the release key; boards that are enrolled from now on pin its public half."""
    from wattness.keys import new_key as make
    from wattness.private import write_private
    from wattness.releases import KEY_NAME, PUBLIC_NAME

    signer = make(f"file:{KEY_NAME}", context.obj)
    write_private(Path(context.obj) / PUBLIC_NAME, signer.public_key.hex() + "\n")
    typer.echo(signer.public_key.hex())


@key_app.command("show")
def show_key(context: typer.Context) -> None:
    """Show the public half of the release key."""
    from wattness.errors import ConfigError
    from wattness.releases import pinned_key

    key = pinned_key(Path(context.obj))
    if key is None:
        raise ConfigError("There is no release key; make one with `wattness release key new`.")
    typer.echo(key.hex())


@app.command()
def build(  # noqa: PLR0913, PLR0917 - an option each
    context: typer.Context,
    version: Annotated[str, typer.Option(help="Three numbers, as in 1.4.0; boards take only a later one.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    allow_downgrade: Annotated[
        bool, typer.Option("--allow-downgrade", help="Sign that it may follow a later version.")
    ] = False,
    health_s: Annotated[
        int, typer.Option(help="How long a board may take to deliver its first frame by it, in seconds.")
    ] = 600,
    firmware: Annotated[
        Path | None, typer.Option(help="Your own program's sources, laid out as the folder `firmware` of ours.")
    ] = None,
) -> None:
    """Compile the boards' program, and sign it."""
    import asyncio

    from wattness.errors import ConfigError
    from wattness.keys import open_signer
    from wattness.releases import KEY_NAME, Terms, parse_version
    from wattness.releases import build as sign
    from wattprogram import release_image
    from wattprogram.layout import FIRMWARE
    from wattprogram.mpy import CompileError

    parse_version(version)
    signer = open_signer(f"file:{KEY_NAME}", context.obj)
    try:
        image = release_image(version, firmware or FIRMWARE)
        bundle = asyncio.run(sign(signer, image, Terms(version, health_s, allow_downgrade)))
        out.write_bytes(bundle)
    except (CompileError, OSError, KeyError, ValueError) as error:
        raise ConfigError(f"No release was made: {error}.") from None
    typer.echo(f"{out}: version {version}, {len(bundle)} bytes; `wattness board update NAME {out}` sends it.")
