"""`board flash`, `install`, `log` and `doctor`: a board that is plugged into this machine."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .operating import echo_json
from .progress import bars

PORT = typer.Argument(help="The board's serial port: /dev/ttyUSB0, /dev/ttyACM0, COM3.")


def flash(  # noqa: PLR0913, PLR0917 - an option each
    port: Annotated[str, PORT],
    image: Annotated[Path, typer.Option(help="MicroPython for the board: the .bin file of its download page.")],
    sha256: Annotated[str, typer.Option(help="The image's SHA-256, from where it was downloaded.")] = "",
    erase: Annotated[bool, typer.Option("--erase", help="Erase everything first: key, log, configuration.")] = False,
    program: Annotated[bool, typer.Option(help="Install the Wattness program as well.")] = True,
    yes: Annotated[bool, typer.Option("--yes", help="Without --sha256, take the image as it is.")] = False,
) -> None:
    """Put MicroPython on a board, then the program."""
    from wattness.errors import ConfigError
    from wattness.serialboard import flash as flashing

    found = flashing.read_image(image)
    if sha256:
        flashing.check_sha256(found, sha256)
    else:
        typer.echo(f"{image.name} has the SHA-256 {found.sha256}.", err=True)
        if not yes and not (sys.stdin.isatty() and typer.confirm("Is it the one its maker names?", err=True)):
            raise ConfigError("Nothing was flashed: name the image's SHA-256 with --sha256.")
    with bars() as progress:
        chip = flashing.flash(port, found, progress, erase=erase)
        flashing.wait_for_repl(port, progress)
    typer.echo(f"The {chip} runs MicroPython {'.'.join(map(str, found.version))}.")
    if program:
        install(port)


def install(port: Annotated[str, PORT]) -> None:
    """Put the program on a board that runs MicroPython 1.23 or later; key, log and configuration stay."""
    from wattness.serialboard.install import install as put_on
    from wattness.serialboard.repl import Repl

    with bars() as progress, Repl(port) as repl:
        done = put_on(repl, progress)
        repl.reset()
    place = "in its ROM partition" if done.layout == "rom" else "as files"
    what = f"{done.written_bytes} bytes written" if done.written_bytes else "it was all there"
    typer.echo(f"The program is on the board, {place} ({what}, {done.removed} old files removed).")
    if done.note:
        typer.echo(f"It is not in ROM: {done.note}.", err=True)
    if not done.has_key:
        typer.echo(f"Next: wattness board enrol {port}")


def log(port: Annotated[str, PORT]) -> None:
    """Show what a board prints, until Ctrl-C; the board is not disturbed."""
    import contextlib

    from wattness.serialboard.follow import follow

    with contextlib.suppress(KeyboardInterrupt):
        for text in follow(port):
            if text:
                sys.stdout.write(text)
                sys.stdout.flush()


def doctor(  # noqa: PLR0913, PLR0917 - an option each
    port: Annotated[str, PORT],
    bus: Annotated[str, typer.Option(help="UART,BAUD,TX,RX[,DE] where the board has no configuration yet.")] = "",
    baud: Annotated[int, typer.Option(help="Scan the bus at this speed.")] = 0,
    last_unit: Annotated[int, typer.Option(min=0, max=247, help="Scan units 1 to this one; 0: no scan.")] = 247,
    ble: Annotated[bool, typer.Option(help="Scan for Bluetooth devices.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Look into a board: memory, flash, Wi-Fi, clock, bus, Bluetooth. It writes nothing; metering pauses meanwhile."""
    from wattness.serialboard.bus import Wiring
    from wattness.serialboard.checkup import ble_scan, check
    from wattness.serialboard.repl import Repl
    from wattness.serialboard.scan import scan
    from wattness.serialboard.settings import parse_bus, wiring_of

    given = parse_bus(bus) if bus else None
    with bars() as progress, Repl(port, resume=True) as repl:
        try:
            progress("looking", 0, 1)
            found: dict[str, Any] = check(repl)
            progress("looking", 1, 1)
            wiring = given or wiring_of(found["bus"]) or Wiring()
            found["bus"] = wiring._replace(baud=baud or wiring.baud)._asdict()
            units = scan(repl, Wiring(**found["bus"]), range(1, last_unit + 1), progress)
            found["units"] = [each.as_json() for each in units]
            found["ble"] = ble_scan(repl) if ble else None
        finally:
            repl.reset()  # back to metering
    if as_json:
        echo_json(found)
        return
    from .checkuptable import show

    show(found)
