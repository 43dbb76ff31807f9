"""What `status` shows: the store's facts, as JSON or as tables."""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from wattness.config import DATABASE_NAME, Config
from wattness.doctor import is_running
from wattness.store.reader import Reader, open_reader

REFRESH_S = 2.0
AGE_MAX_S = 600  # older than that, the date says more


def collect(config: Config) -> dict[str, Any]:
    """Return the gateway's state as plain values; raises StoreError when there is none yet."""
    with open_reader(config.path(DATABASE_NAME)) as reader:
        facts = {
            "home": config.home,
            "running": is_running(config),
            "boards": [msgspec.to_builtins(board) for board in reader.boards()],
            "streams": [msgspec.to_builtins(stream) for stream in reader.streams()],
            "networks": [_network(reader, network.name) for network in config.network],
            "holes": [msgspec.to_builtins(hole) for hole in reader.holes()],
            "counters": reader.counters(),
        }
    return facts | {"now_unix_ms": config.make_clock().now_ms()}


def _network(reader: Reader, name: str) -> dict[str, Any]:
    jobs = {depth.state: depth.count for depth in reader.depths() if depth.network == name}
    return {"name": name, "jobs": jobs, "paid": reader.paid(name)}


def show(facts: dict[str, Any]) -> None:
    """Print tables."""
    Console().print(_tables(facts))


def watch(config: Config) -> None:
    """Show the tables anew every other second until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt), Live(_tables(collect(config)), auto_refresh=False) as live:
        while True:
            live.update(_tables(collect(config)), refresh=True)
            time.sleep(REFRESH_S)


def _tables(facts: dict[str, Any]) -> Group:
    now_ms = facts["now_unix_ms"]
    streams = [
        (str(stream["id"]), stream["board"], stream["role"], stream["device"], _age(stream["last_unix_ms"], now_ms))
        for stream in facts["streams"]
    ]
    networks = [
        (
            network["name"],
            str(sum(network["jobs"].get(state, 0) for state in ("available", "running", "retryable"))),
            *(str(network["jobs"].get(state, 0)) for state in ("completed", "discarded")),
            str(network["paid"]),
        )
        for network in facts["networks"]
    ]
    counters = [(name, reason, str(n)) for name, reasons in facts["counters"].items() for reason, n in reasons.items()]
    boards = [_board_row(board, now_ms) for board in facts["boards"]]
    tables = (
        ("Boards", ("name", "kid", "state", "log", "head", "missing", "newest frame"), boards),
        ("Streams", ("id", "board", "role", "device", "newest row"), streams),
        ("Networks", ("name", "waiting", "completed", "discarded", "paid"), networks),
        ("Counted", ("what", "why", "times"), counters),
    )
    state = Text(f"{facts['home']}: {'running' if facts['running'] else 'not running'}")
    return Group(state, *(_table(*table) for table in tables if table[2]))


def _board_row(board: dict[str, Any], now_ms: int) -> tuple[str, ...]:
    log = board["log"]
    state = f"{board['state']} ({board['reason']})" if board["reason"] else board["state"]
    if log is None:
        return board["name"], board["kid"], state, "–", "–", "–", "never"
    numbers = (str(log["log"]), str(log["head"]), str(log["top"] - log["head"]))
    return board["name"], board["kid"], state, *numbers, _age(board["last_unix_ms"], now_ms)


def _age(unix_ms: int | None, now_ms: int) -> str:
    """Return when something was, briefly: `31 s ago` while it is fresh, its date behind that."""
    if unix_ms is None:
        return "never"
    age_s = max(0, now_ms - unix_ms) // 1000
    return f"{age_s} s ago" if age_s < AGE_MAX_S else time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_ms / 1000))


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*map(escape, row))
    return table
