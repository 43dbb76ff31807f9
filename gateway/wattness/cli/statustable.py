"""What `status` shows: the store's facts, as JSON or as tables."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from wattness.config import DATABASE_NAME, Config
from wattness.lock import FileLock
from wattness.store.reader import Reader, open_reader


def collect(config: Config) -> dict[str, Any]:
    """Return the gateway's state as plain values; raises StoreError when there is none yet."""
    with open_reader(config.path(DATABASE_NAME)) as reader:
        facts = {
            "home": config.home,
            "running": _is_running(config),
            "boards": [msgspec.to_builtins(board) for board in reader.boards()],
            "streams": [msgspec.to_builtins(stream) for stream in reader.streams()],
            "networks": [_network(reader, network.name) for network in config.network],
            "holes": [msgspec.to_builtins(hole) for hole in reader.holes()],
            "counters": reader.counters(),
        }
    return facts | {"now_unix_ms": config.make_clock().now_ms()}


def _is_running(config: Config) -> bool:
    lock = FileLock(config.path("gateway.lock"))
    if not lock.path.exists() or lock.take():
        lock.release()
        return False
    return True


def _network(reader: Reader, name: str) -> dict[str, Any]:
    jobs = {depth.state: depth.count for depth in reader.depths() if depth.network == name}
    return {"name": name, "jobs": jobs, "paid": reader.paid(name)}


def show(facts: dict[str, Any]) -> None:
    """Print tables."""
    console = Console()
    console.print(f"{facts['home']}: {'running' if facts['running'] else 'not running'}", highlight=False)
    boards = [_board_row(board, facts["now_unix_ms"]) for board in facts["boards"]]
    _table(console, "Boards", ("name", "kid", "state", "log", "head", "missing", "newest frame"), boards)
    _table(
        console,
        "Streams",
        ("id", "board", "role", "profile", "unit"),
        [
            (str(stream["id"]), stream["board"], stream["role"], stream["profile"], str(stream["unit"]))
            for stream in facts["streams"]
        ],
    )
    _table(
        console,
        "Networks",
        ("name", "waiting", "completed", "discarded", "paid"),
        [
            (
                network["name"],
                str(sum(network["jobs"].get(state, 0) for state in ("available", "running", "retryable"))),
                *(str(network["jobs"].get(state, 0)) for state in ("completed", "discarded")),
                str(network["paid"]),
            )
            for network in facts["networks"]
        ],
    )
    counters = [(name, reason, str(n)) for name, reasons in facts["counters"].items() for reason, n in reasons.items()]
    _table(console, "Refused, dropped, left out", ("what", "why", "times"), counters)


def _board_row(board: dict[str, Any], now_ms: int) -> tuple[str, ...]:
    log = board["log"]
    state = f"{board['state']} ({board['reason']})" if board["reason"] else board["state"]
    if log is None:
        return board["name"], board["kid"], state, "–", "–", "–", "never"
    newest = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(board["last_unix_ms"] / 1000))
    age_s = max(0, now_ms - board["last_unix_ms"]) // 1000
    missing = log["top"] - log["head"]
    numbers = (str(log["log"]), str(log["head"]), str(missing))
    return board["name"], board["kid"], state, *numbers, f"{newest} ({age_s} s ago)"


def _table(console: Console, title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    if rows:
        console.print(table)
