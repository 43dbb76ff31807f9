"""What the demo shows in the terminal: a table that is redrawn, or a line now and then where there is no terminal."""

import asyncio
import datetime as dt
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from demo.home import Home

REFRESH_S = 1.0
LINE_EVERY = 10


async def show(home: Home, console: Console, seconds: float | None) -> None:
    """Show progress for `seconds`, or until cancelled."""
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    with Live(console=console, auto_refresh=False, transient=True) as live:
        turn = 0
        while end is None or loop.time() < end:
            left = None if end is None else end - loop.time()
            view = await _look(home)
            if console.is_terminal:
                live.update(_draw(home, view, left), refresh=True)
            elif turn % LINE_EVERY == 0:
                console.print(_line(view, left), soft_wrap=True)
            turn += 1
            await asyncio.sleep(REFRESH_S)


async def _look(home: Home) -> dict[str, Any]:
    return {
        "status": await home.get("status"),
        "boards": await home.get("boards"),
        "streams": await home.get("streams"),
        "networks": await home.get("networks"),
        "summary": await home.summary(),
    }


def _clock(unix_ms: int) -> str:
    golden = dt.timezone(dt.timedelta(hours=-7))
    return dt.datetime.fromtimestamp(unix_ms / 1000, golden).strftime("%Y-%m-%d %H:%M:%S")


def _line(view: dict[str, Any], left: float | None) -> str:
    frames = sum(board["log"]["head"] for board in view["boards"] if board["log"])
    summary = view["summary"]
    rest = "" if left is None else f" · {left:.0f} s to go"
    return (
        f"{_clock(view['status']['now_unix_ms'])} (Golden): {frames} frames acknowledged, {summary['accepted']} "
        f"reports accepted, {summary['challenges']['passed']} challenges passed, "
        f"{summary['paid_points']} points paid{rest}"
    )


def _draw(home: Home, view: dict[str, Any], left: float | None) -> Group:
    table = Table(title=_line(view, left), title_justify="left")
    for name in ("stream", "role", "profile", "log", "frame", "last row"):
        table.add_column(name)
    boards = {board["id"]: board for board in view["boards"]}
    for stream in view["streams"]:
        log = boards[stream["board_id"]]["log"] or {"log": "–", "head": "–"}
        last = stream["last_unix_ms"]
        table.add_row(
            f"{stream['board']} #{stream['device']}", stream["role"], stream["profile"], str(log["log"]),
            str(log["head"]), "–" if last is None else _clock(last)[11:],
        )  # fmt: skip
    return Group(table, Text(f"page: {home.door}    network: {home.network}    Ctrl-C stops", style="bold"))
