"""`network`: which reward networks there are, what they would be sent, and how to join one."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wattness.errors import ConfigError

from .asking import ask
from .operating import echo_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wattness.config import Config
    from wattness.networks.base import Kind
    from wattness.preview import Sent

app = typer.Typer(help="Reward networks: list, add, check, and see what they would be sent.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The network, as gateway.toml names it.")]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command("list")
def list_networks(context: typer.Context, as_json: Json = False) -> None:
    """Show every network that is known, how one gets in, and what this gateway has for it."""
    from wattness.config import load

    from .networktable import collect, show

    facts = collect(load(context.obj))
    if as_json:
        echo_json(facts)
    else:
        show(facts)


@app.command()
def check(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Prove a network's key, clock, endpoint and gate, and submit nothing; exit code 1 when one is not right."""
    import asyncio

    from wattness.config import load
    from wattness.preview import check as look

    found = asyncio.run(look(load(context.obj), name, ask))
    if as_json:
        echo_json([each._asdict() for each in found])
    else:
        for each in found:
            typer.echo(f"{'ok    ' if each.ok else 'NOT OK'}  {each.subject:<9} {each.text}")
    if not all(each.ok for each in found):
        raise typer.Exit(1)


@app.command("dry-run")
def dry_run(
    context: typer.Context,
    name: Name,
    interval: Annotated[
        str, typer.Option(help="A time in the interval or window, as 2026-11-23T08:00Z or in unix ms; else the newest.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Print the exact bytes of a report; writes nothing, submits nothing, and works beside a running gateway."""
    import asyncio

    from wattness.config import load
    from wattness.preview import dry_run as make

    found = asyncio.run(make(load(context.obj), name, _unix_ms(interval) if interval else None, ask))
    if as_json:
        echo_json([_plain(each) for each in found])
    else:
        for each in found:
            _print(each)
    if not found:
        when = "at that time" if interval else "yet"
        raise ConfigError(f"There is no final interval for {name} {when}: a stream it takes must be metered first.")
    if any(each.problem for each in found):
        raise typer.Exit(1)


@app.command()
def add(  # noqa: PLR0913, PLR0917 - an option each
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="Its kind, as `network list` shows it.")],
    name: Annotated[str, typer.Option(help="What you call it; otherwise its kind.")] = "",
    url: Annotated[str, typer.Option(help="Where it is; otherwise its test endpoint.")] = "",
    device: Annotated[
        list[str] | None, typer.Option(help="Report only this stream's device id; may be repeated. Otherwise all.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE of its settings, as its kind wants; may be repeated.")
    ] = None,
    production: Annotated[
        bool, typer.Option("--production", help="Its url is the network in earnest, not its test endpoint.")
    ] = False,
) -> None:
    """Append a network to gateway.toml, unless it would claim what another one there claims."""
    from wattness import amend
    from wattness.networks import CATALOG

    if kind not in CATALOG:
        raise ConfigError(f"There is no kind {kind!r} of networks; there are {', '.join(CATALOG)}.")
    known = CATALOG[kind]
    if not known.module:
        raise ConfigError(f"{known.title} takes no reports from here ({known.status}): {known.gate}")
    chosen: list[str] = []

    def sections(config: "Config", newline: str) -> list[str]:
        chosen.append(name or _free_name(kind, {network.name for network in config.network}))
        values = {"name": chosen[0], "kind": kind, "url": url, "production": production, "devices": device or []}
        return [_section(known, values, _settings(setting or []), newline)]

    amend.append(context.obj, sections, _agreed)
    _say_next(context.obj, chosen[0], known)


def _agreed(config: "Config") -> None:
    from wattness.forward import wants
    from wattness.networks import exclusive, settled

    exclusive.check(config.network)
    for network in config.network:
        wants(settled(network), config.interval.length_s)


def _section(kind: "Kind", values: dict[str, Any], settings: dict[str, Any], newline: str) -> str:
    lines = [f"# {kind.title}: {kind.status}", "[[network]]"]
    lines += [f"{key} = {_toml(value)}" for key, value in values.items() if value not in ("", False, [])]
    if settings:
        lines += ["", "[network.settings]", *(f"{key} = {_toml(value)}" for key, value in settings.items())]
    return newline.join([*lines, ""])


def _settings(texts: "Sequence[str]") -> dict[str, Any]:
    """Return KEY=VALUE as TOML has it; what is no TOML value is a string."""
    import re
    import tomllib

    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9_-]+", key):
            raise ConfigError(f"--setting {text!r}: expected KEY=VALUE.")
        try:
            found[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key] = value
        if isinstance(found[key], dict):
            raise ConfigError(f"--setting {text!r}: write tables into gateway.toml yourself.")
    return found


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str).replace("\x7f", "\\u007f")


def _free_name(kind: str, taken: set[str]) -> str:
    name, number = kind, 2
    while name in taken:
        name, number = f"{kind}-{number}", number + 1
    return name


def _say_next(home: "Path", name: str, kind: "Kind") -> None:
    from wattness.config import load
    from wattness.keyuses import uses

    typer.echo(f"{name} is added to gateway.toml; the old one is gateway.toml.bak. {kind.gate}")
    steps = [f"`wattness network check {name}`", "restart the gateway"]
    use = next((use for use in uses(load(home)) if use.what == f"network {name}"), None)
    if use is not None:
        file = use.file(home)
        if file is not None and not file.exists():
            steps.insert(0, f"`wattness key new --network {name}`")
    typer.echo(f"Next: {', then '.join(steps)}.")


def _unix_ms(text: str) -> int:
    import datetime as dt

    try:
        if text.lstrip("-").isdecimal():
            return int(text)
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--interval {text!r}: expected a time as 2026-11-23T08:00Z, or unix milliseconds.") from None
    return int((at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def _plain(sent: "Sent") -> dict[str, Any]:
    slot, body = sent.slot, sent.body
    return {
        "key": slot.job.key,
        "a": slot.begin,
        "b": slot.end,
        "intervals": len(slot.job.reports),
        "state": slot.state,
        "reason": slot.reason,
        "receipt": slot.receipt,
        "signed": sent.is_kept,
        "hex": None if body is None else body.hex(),
        "text": None if body is None else _text(body),
        "problem": sent.problem,
    }


def _print(sent: "Sent") -> None:
    import time

    begin, end = (time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(ms / 1000)) for ms in (sent.slot.begin, sent.slot.end))
    whence = "as it is signed and kept" if sent.is_kept else "as it would be made now"
    state = f", {sent.slot.state}" if sent.slot.state else ""
    reason = f" ({sent.slot.reason})" if sent.slot.reason else ""
    typer.echo(f"{sent.slot.job.key}: {begin} to {end} UTC, {whence}{state}{reason}")
    if sent.body is None:
        typer.echo(f"  {sent.problem}")
        return
    typer.echo(f"  {len(sent.body)} bytes: {sent.body.hex()}")
    text = _text(sent.body)
    if text is not None:
        typer.echo(f"  text: {text}")


def _text(body: bytes) -> str | None:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if text and all(char.isprintable() or char in "\r\n\t" for char in text) else None
