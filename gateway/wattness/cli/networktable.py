"""What `network list` shows: every kind that is known, what this gateway has for it, and how it goes."""

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wattness.config import DATABASE_NAME, Config, NetworkConfig
from wattness.errors import ConfigError, StoreError
from wattness.networks import CATALOG, settled
from wattness.networks.base import Kind
from wattness.store.outgoing import Last, open_outgoing
from wattness.store.reader import open_reader
from wattness.store.views import StreamView

WAITING = ("available", "running", "retryable")
NAMED_MAX = 4  # streams that are named in one line
NOTHING = "nothing yet: no {} is metered"


def collect(config: Config) -> dict[str, Any]:
    """Return every kind of network and every configured one, as plain values."""
    streams, depths = _metered(config)
    return {
        "kinds": [_kind(name, kind, config, streams) for name, kind in CATALOG.items()],
        "networks": [_network(config, network, depths.get(network.name, {})) for network in config.network],
    }


def show(facts: dict[str, Any]) -> None:
    """Print what is known, and beneath it what is configured."""
    console = Console()
    known = Table(box=None, show_header=False, padding=(0, 2, 1, 0))
    for each in facts["kinds"]:
        lines = (f"[bold]{escape(each['status'])}[/bold] – {escape(each['title'])}", *map(escape, _about(each)))
        known.add_row(escape(each["kind"]), "\n".join(lines))
    console.print(known)
    if facts["networks"]:
        table = Table(title="In gateway.toml", title_justify="left", title_style="bold")
        for column in ("name", "kind", "where", "waiting", "taken", "refused", "last receipt"):
            table.add_column(column, overflow="fold")
        for each in facts["networks"]:
            table.add_row(*map(escape, _row(each)))
        console.print(table)
    console.print("Next: `wattness network add KIND`, then `wattness network check NAME`.", highlight=False)


def _about(each: dict[str, Any]) -> list[str]:
    claims = f" Claims {' and '.join(each['claims']).replace('_', ' ')}." if each["claims"] else ""
    here = [f"From here: {each['gives']}."] if each["is_open"] else []  # else the gate says what can be given
    return [*here, each["gate"] + claims]


def _metered(config: Config) -> tuple[list[StreamView], dict[str, dict[str, int]]]:
    """Return the streams and the outbox's depths; nothing before the gateway has run."""
    depths: dict[str, dict[str, int]] = {}
    path = config.path(DATABASE_NAME)
    if not path.exists():
        return [], depths
    with open_reader(path) as reader:
        for depth in reader.depths():
            depths.setdefault(depth.network, {})[depth.state] = depth.count
        return reader.streams(), depths


def _kind(name: str, kind: Kind, config: Config, streams: Sequence[StreamView]) -> dict[str, Any]:
    return {
        "kind": name,
        "title": kind.title,
        "status": kind.status,
        "gate": kind.gate,
        "gives": _gives(kind, streams),
        "is_open": bool(kind.module),
        "claims": sorted(kind.claims),
        "unit": kind.unit,
        "curve": kind.curve,
        "configured": [network.name for network in config.network if network.kind == name],
    }


def _gives(kind: Kind, streams: Sequence[StreamView]) -> str:
    """Say what of this home such a network could be told today."""
    if not kind.roles:
        return "nothing that is metered"
    found = [f"{stream.role} {stream.device} of {stream.board}" for stream in streams if stream.role in kind.roles]
    if not found:
        return NOTHING.format(" or ".join(sorted(kind.roles)) if len(kind.roles) < NAMED_MAX else "stream")
    more = f" and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
    return ", ".join(found[:NAMED_MAX]) + more


def _network(config: Config, network: NetworkConfig, depth: dict[str, int]) -> dict[str, Any]:
    kind = CATALOG.get(network.kind)
    try:
        where, problem = settled(network).url, ""
    except ConfigError as error:
        where, problem = network.url, str(error)
    last = _last(config, network.name)
    return {
        "name": network.name,
        "kind": network.kind,
        "status": kind.status if kind is not None else "unknown",
        "url": where,
        "production": network.production,
        "problem": problem,
        "waiting": sum(depth.get(state, 0) for state in WAITING),
        "taken": depth.get("completed", 0),
        "refused": last.refused,
        "last_receipt": last.receipt,
        "last_receipt_for_unix_ms": last.end,
    }


def _last(config: Config, name: str) -> Last:
    path = config.path(DATABASE_NAME)
    if not path.exists():
        return Last(None, None, {})
    try:
        with open_outgoing(path) as outgoing:
            return outgoing.last(name)
    except StoreError:  # written by an older version, and the gateway has not run since
        return Last(None, None, {})


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    refused = ", ".join(f"{n} {reason}" for reason, n in each["refused"].items())
    receipt = "–"
    if each["last_receipt"] is not None:
        until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(each["last_receipt_for_unix_ms"] / 1000))
        receipt = f"{each['last_receipt']} (up to {until})"
    where = each["problem"] or (f"{each['url']} (in earnest)" if each["production"] else each["url"])
    return each["name"], each["kind"], where, str(each["waiting"]), str(each["taken"]), refused or "–", receipt
