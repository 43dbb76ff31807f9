"""`decode`: looks into recorded bytes with the code that the gateway itself uses."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from wattness.errors import ConfigError
from wattness.jsontext import once

from .jsonanyway import json_anyway
from .operating import echo_json

app = typer.Typer(help="Look into recorded bytes.", no_args_is_help=True)

DUMP_BYTES_MAX = 64 << 20


@app.command()
@json_anyway
def frames(
    file: Annotated[str, typer.Argument(help="A frame in hex per line; - is standard input.")],
    key: Annotated[str, typer.Option(help="The board's public key: the 65-byte point in hex.")],
) -> None:
    """Verify frames and print one JSON object for each; exit 1 if any is refused."""
    from wattness.decode import decode_frames, parse_public_key

    refused = False
    with opened(file) as stream:
        for found in decode_frames(parse_public_key(key), stream):
            refused |= not found["ok"]
            echo_json(found)
    if refused:
        raise typer.Exit(1)


@app.command()
@json_anyway
def registers(
    profile: Annotated[str, typer.Argument(help="A profile's id or file, or `sunspec` to walk the models.")],
    file: Annotated[str, typer.Argument(help='{"holding": {"40000": 21365}, "input": {}}; - is standard input.')],
    rtu: Annotated[bool, typer.Option("--rtu", help="The file is a list of [request hex, answer hex].")] = False,
    role: Annotated[str | None, typer.Option(help="Print what a stream of this role would carry: pv, grid …")] = None,
) -> None:
    """Print the points in a register dump, as JSON."""
    from wattness.registers import decode_exchanges, decode_registers

    with opened(file) as stream:
        data = _json(stream, file)
    echo_json(decode_exchanges(profile, data, role) if rtu else decode_registers(profile, data, role))


@app.command()
@json_anyway
def elm(
    profile: Annotated[str, typer.Argument(help="A vehicle's id or file.")],
    file: Annotated[str, typer.Argument(help='[{"header": "7E4", "request": "220101", "lines": []}]; - is stdin.')],
) -> None:
    """Print the signals in what an ELM327 answered, as JSON; damaged answers give none."""
    from wattness.radio import decode_elm

    with opened(file) as stream:
        echo_json(decode_elm(profile, _json(stream, file)))


@app.command()
@json_anyway
def bms(
    family: Annotated[str, typer.Argument(help="jbd, daly or jk.")],
    file: Annotated[str, typer.Argument(help='{"frames": ["dd03…"]}; - is standard input.')],
) -> None:
    """Print the signals in a battery monitor's notifications, as JSON; damaged frames give none."""
    from wattness.radio import decode_bms

    with opened(file) as stream:
        echo_json(decode_bms(family, _json(stream, file)))


@app.command()
@json_anyway
def victron(
    file: Annotated[str, typer.Argument(help="Adverts in hex, one per line or a JSON list; - is standard input.")],
    key: Annotated[str, typer.Option(help="The device's encryption key: 32 hexadecimal digits.")],
) -> None:
    """Print the signals in a Victron device's adverts, as JSON; the last good one counts."""
    from wattness.radio import decode_victron

    with opened(file) as stream:
        text = _text(stream, file)
    echo_json(decode_victron(key, _parsed(text, file) if text.lstrip()[:1] == b"[" else text.decode("latin-1").split()))


def _text(stream: BinaryIO, file: str) -> bytes:
    text = stream.read(DUMP_BYTES_MAX + 1)
    if len(text) > DUMP_BYTES_MAX:
        raise ConfigError(f"{file} is longer than {DUMP_BYTES_MAX >> 20} MB.")
    return text


def _json(stream: BinaryIO, file: str) -> Any:
    return _parsed(_text(stream, file), file)


def _parsed(text: bytes, file: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is not good JSON: {error}.") from None


@contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """Open a file to read, or standard input for `-`; raises ConfigError."""
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 - closed below, and no other error is meant here
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    with stream:
        yield stream
