"""`discover`: looks for devices where it is told to, and adds what it finds after a yes."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from wattness.errors import ConfigError

from .operating import echo_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wattness.config import Config
    from wattness.devices import Address
    from wattness.discover.ground import Ground, Network
    from wattness.discover.nearby import Nearby
    from wattness.discover.propose import Proposal
    from wattness.discover.scan import Survey


def discover(  # noqa: PLR0913, PLR0917 - a command's options
    context: typer.Context,
    lan: Annotated[list[str] | None, typer.Option(help="A network to scan, as 192.168.1.0/24; or one address.")] = None,
    serial: Annotated[
        list[str] | None, typer.Option(help="A port to scan, as /dev/ttyUSB0 or /dev/ttyUSB0?baud=2400&parity=E.")
    ] = None,
    ble: Annotated[bool, typer.Option("--ble", help="Listen for batteries and Victron devices, too.")] = False,
    port: Annotated[list[int] | None, typer.Option(min=1, max=65535, help="TCP ports; 502 without it.")] = None,
    units: Annotated[str, typer.Option(help="Units to ask, as 1-20 or 1,126; the usual ones without it.")] = "",
    within_s: Annotated[float, typer.Option(min=1, max=86_400, help="Stop after so many seconds.")] = 300,
    force: Annotated[
        bool, typer.Option("--force", help="Scan a network larger than /20, or one that is not private.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON, and ask nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Add what is certain without a question.")] = False,
) -> None:
    """Look for Modbus devices, propose how to read them, and add them to the configuration after a yes."""
    from wattness.config import load
    from wattness.discover.ground import Ground, Limits, parse_lan, parse_lines, parse_units
    from wattness.discover.propose import propose

    from .discoverytable import show, surveyed

    home: Path = context.obj
    config = load(home)
    networks, lines = parse_lan(lan or [], force=force), parse_lines(serial or [])
    if not networks and not lines and not ble:
        networks = (_own_network(yes=yes),)
    ground = Ground(networks, tuple(dict.fromkeys(port or [502])), lines, parse_units(units) if units else ())
    survey, nearby = surveyed(ground, Limits(total_s=within_s), _busy(config, ground), ble=ble)
    proposals = propose(survey.found, config.device)
    if as_json:
        added = _add(home, _certain(proposals)) if yes else []
        _print_json(survey, proposals, nearby, added)
        return
    show(survey, proposals, nearby)
    added = _add(home, _certain(proposals) if yes else _chosen(proposals))
    if added:
        typer.echo(f"Added to {home / 'gateway.toml'}: {', '.join(added)}. The old file is gateway.toml.bak beside it.")
        if not (home / "device.key").exists():
            typer.echo("What the gateway reads it signs with a key of its own: make it by `wattness device key new`.")
        typer.echo("Look over roles and ratings there, then start the gateway anew.")
    elif proposals:
        typer.echo("Nothing was added.")


def _print_json(
    survey: "Survey", proposals: "Sequence[Proposal]", nearby: "Sequence[Nearby]", added: list[str]
) -> None:
    silent = [{"host": one.address.host, "port": one.address.port, "why": one.why} for one in survey.mute]
    found = {"found": [one._asdict() for one in proposals], "silent": silent}
    heard = {"nearby": [one._asdict() for one in nearby], "counts": survey.counts}
    echo_json(found | heard | {"complete": survey.complete, "added": added})


def _own_network(*, yes: bool) -> "Network":
    """Propose this machine's own network; raises ConfigError after a no."""
    from wattness.discover.ground import own_network

    network = own_network()
    if not yes and not _asked(f"Scan {network}, the network of this machine?"):
        raise ConfigError("Nothing was scanned; say where to look with --lan, --serial or --ble.")
    return network


def _asked(question: str) -> bool:
    """Return a person's answer; nobody there means no."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        typer.echo("", err=True)
        return False


def _busy(config: "Config", ground: "Ground") -> "frozenset[Address]":
    """Return what a running gateway is reading; raises ConfigError for a serial port of its own."""
    from wattness.devices import parse_address
    from wattness.doctor import is_running

    if not config.device or not is_running(config):
        return frozenset()
    busy = frozenset(parse_address(device.url, device.name) for device in config.device)
    shared = {line.host for line in ground.lines} & {address.host for address in busy}
    if shared:
        raise ConfigError(f"The gateway is reading from {', '.join(sorted(shared))}; stop it while you scan there.")
    return busy


def _certain(proposals: "Sequence[Proposal]") -> "list[Proposal]":
    from wattness.discover.found import Confidence

    return [one for one in proposals if one.confidence is Confidence.CERTAIN and not one.configured]


def _chosen(proposals: "Sequence[Proposal]") -> "list[Proposal]":
    """Ask which proposals to take; nobody there, or no answer, means none."""
    fresh = {str(number): one for number, one in enumerate(proposals, 1) if not one.configured}
    if not fresh:
        return []
    if not sys.stdin.isatty():
        typer.echo("There is nobody to ask; --yes adds what is certain.", err=True)
        return []
    while True:
        try:
            answer = typer.prompt("Add which? (yes: all that are certain; numbers, as 1 3; no)", default="no", err=True)
        except typer.Abort:
            return []
        words = answer.replace(",", " ").split()
        if words in (["y"], ["yes"]):
            return _certain(proposals)
        if words in (["n"], ["no"]):
            return []
        if words and set(words) <= set(fresh):
            return [fresh[word] for word in dict.fromkeys(words)]
        typer.echo(f"Say yes, no, or numbers out of {', '.join(fresh)}.", err=True)


def _add(home: "Path", proposals: "Sequence[Proposal]") -> list[str]:
    from wattness.discover.add import add

    return add(home, proposals)
