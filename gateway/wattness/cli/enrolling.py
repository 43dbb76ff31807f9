"""How `board enrol` makes a board known: by its key, or by the port that it is plugged into."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from .operating import echo_json
from .progress import bars

if TYPE_CHECKING:
    from wattness.config import Config
    from wattness.model import Board
    from wattness.serialboard.bus import Wiring
    from wattness.serialboard.repl import Repl
    from wattness.serialboard.scan import Found

TLS_HINT = (
    'The broker speaks TLS: add "ca": "/ca.pem" to "mqtt", and copy its CA\'s certificate to the board as /ca.pem.'
)


class Identity(NamedTuple):
    """What the owner calls the board, and the broker's name as it sees it."""

    name: str
    host: str


class Wishes(NamedTuple):
    """What the owner says of the board's surroundings."""

    wifi: Path | None
    streams: list[str]
    bus: str
    last_unit: int


def enrol_key(home: Path, public_key: str, identity: Identity, out: Path | None, *, force: bool) -> None:
    """Make the board with that key known; its settings go to a file or to the screen."""
    from wattness.config import load
    from wattness.errors import ConfigError
    from wattness.private import write_private

    if out is not None and not force and out.exists():
        raise ConfigError(f"{out} exists already; choose another name, or replace it with --force.")
    board, settings = _registered(home, load(home), public_key, identity)
    if out is None:
        echo_json(settings)
    else:
        write_private(out, json.dumps(settings, indent=2) + "\n")
        typer.echo(f"{board.name} ({board.kid.hex()}) is enrolled; {out} holds its part of the board's configuration.")
    if settings["mqtt"]["tls"]:
        typer.echo(TLS_HINT, err=True)


def enrol_port(home: Path, port: str, identity: Identity, wishes: Wishes) -> None:
    """Make the board at that port known, and write its whole configuration; what it has already is not asked again."""
    from wattness.config import load
    from wattness.keys.looking import public_key
    from wattness.serialboard import settings as boards
    from wattness.serialboard.facts import look
    from wattness.serialboard.repl import Repl

    config = load(home)
    public_key(config.key, home)  # before anything is asked: what is missing here is said first
    streams = [boards.parse_stream(each) for each in wishes.streams]
    given = boards.parse_bus(wishes.bus) if wishes.bus else None
    with Repl(port) as repl:
        look(repl)
        old = boards.held(repl)
        board_key = boards.public_key(repl)
        wifi = boards.wifi(wishes.wifi, old)
        if not streams and not old.get("streams"):
            streams = _proposed(repl, given or boards.wiring_of(old.get("bus")), wishes.last_unit)
        board, mine = _registered(home, config, board_key, identity)
        ca = _ca(config, mine)
        boards.store(repl, boards.merged(mine, old, wifi, given, streams), ca)
        repl.reset()
    metered = ", ".join(f"{each['role']} by {each['profile']}" for each in streams or old["streams"])
    typer.echo(f"{board.name} ({board.kid.hex()}) is enrolled and restarted; it meters {metered}.")
    typer.echo(f"Watch it with: wattness board log {port}")


def _registered(home: Path, config: "Config", board_key: str, identity: Identity) -> "tuple[Board, dict[str, Any]]":
    from wattness.config import DATABASE_NAME
    from wattness.decode import parse_public_key
    from wattness.enrolment import board_settings
    from wattness.keys.looking import public_key
    from wattness.store.registry import open_registry
    from wattwire import cose

    ours = public_key(config.key, home)
    key = parse_public_key(board_key)
    with open_registry(config.path(DATABASE_NAME), config.make_clock()) as registry:
        board = registry.enrol(key, identity.name or cose.kid(key).hex())
    return board, board_settings(config, ours, board, identity.host)


def _ca(config: "Config", settings: dict[str, Any]) -> bytes | None:
    """Have the board trust the CA that the gateway itself trusts; returns its certificate."""
    from wattness.errors import ConfigError
    from wattness.serialboard.settings import CA_PATH

    if not settings["mqtt"]["tls"]:
        return None
    if not config.mqtt.ca_file:
        raise ConfigError(
            "The broker speaks TLS and a board knows no public CAs: name the file of its CA's certificate as "
            "$.mqtt.ca_file in gateway.toml."
        )
    settings["mqtt"]["ca"] = CA_PATH
    path = config.path(config.mqtt.ca_file)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None


def _proposed(repl: "Repl", wiring: "Wiring | None", last_unit: int) -> list[dict[str, Any]]:
    """Scan the bus and let the owner say what each device meters."""
    from wattness.errors import ConfigError
    from wattness.serialboard.bus import Wiring
    from wattness.serialboard.scan import scan
    from wattness.serialboard.settings import parse_stream

    with bars() as progress:
        units = range(1, last_unit + 1)
        found = [each for each in scan(repl, wiring or Wiring(), units, progress) if each.guesses]
    if not found:
        raise ConfigError(
            "No known device answers on the board's bus: check A, B and the ground wire, name pins and speed with "
            "--bus, or the devices with --stream ROLE:PROFILE:UNIT (`wattness profile list`)."
        )
    options = " ".join(f"--stream {'|'.join(each.guesses[0].roles)}:{_tail(each)}" for each in found)
    if not sys.stdin.isatty():
        raise ConfigError(f"These answer on the bus; choose their roles and try again with: {options}")
    streams = []
    for each in found:
        best = each.guesses[0]
        question = f"Unit {each.unit} ({best.title}) meters ({', '.join(best.roles)}, or skip)"
        role = typer.prompt(question, default=best.roles[0])
        if role != "skip":
            streams.append(parse_stream(f"{role}:{_tail(each)}"))
    if not streams:
        raise ConfigError("A board needs at least one device to meter; nothing was changed on it.")
    return streams


def _tail(found: "Found") -> str:
    return f"{found.guesses[0].profile}:{found.unit}"
