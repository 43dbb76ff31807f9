"""What `discover` shows: how far it is, and what it found as tables."""

import asyncio
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wattness.devices import Address
from wattness.discover.ground import Ground, Limits
from wattness.discover.nearby import Nearby, listen
from wattness.discover.propose import Proposal, url_of
from wattness.discover.scan import Search, Survey

STYLES = {"certain": "green", "likely": "yellow", "possible": "dim"}


def surveyed(ground: Ground, limits: Limits, busy: frozenset[Address], *, ble: bool) -> tuple[Survey, list[Nearby]]:
    """Search, telling on standard error how far it is."""

    async def work() -> tuple[Survey, list[Nearby]]:
        nearby = await listen() if ble else []
        return await search.run(), nearby

    with Console(stderr=True).status("Searching …") as status:
        search = Search(ground, limits, busy, lambda text: status.update(escape(text)))
        return asyncio.run(work())


def show(survey: Survey, proposals: Sequence[Proposal], nearby: Sequence[Nearby]) -> None:
    """Print tables, and say when there is nothing to show."""
    console = Console()
    if proposals:
        console.print(_proposals(proposals))
    if nearby:
        rows = [(one.address, one.name or "–", one.kind, f"{one.rssi_dbm} dBm") for one in nearby]
        console.print(_table("In Bluetooth's reach", ("address", "name", "may be", "signal"), rows))
    if survey.mute:
        silent = [(_where(one.address), one.why) for one in survey.mute]
        console.print(_table("Not recognised", ("where", "why"), silent))
    counts = survey.counts
    if counts["asked"]:
        console.print(
            f"{counts['asked']} addresses asked: {counts['open']} open, {counts['closed']} refused, "
            f"{counts['dark']} without an answer."
        )
    if counts["busy"]:
        console.print(f"{counts['busy']} left alone: the running gateway is reading there.")
    if not survey.complete:
        console.print(
            "[yellow]Time was up before all was asked[/]; name a smaller network, or give it longer by --within-s."
        )
    if not proposals:
        console.print(
            "No device was found. Is Modbus switched on in it, and its port 502? See also --port and --units."
        )


def _proposals(proposals: Sequence[Proposal]) -> Table:
    """Return what fits a terminal of 80 columns: a cell's words wrap, names and addresses stay whole."""
    rows = []
    for number, one in enumerate(proposals, 1):
        rated = "" if one.rated_w is None else f", rated {one.rated_w} W"
        device = f"{one.name}\n{one.url}\nunit {one.unit}"
        read = f"{one.role} by {one.profile}{rated}, every {one.period_ms / 1000:g} s"
        why = f"is configured as {one.configured}" if one.configured else one.why
        sure = f"[{STYLES[one.confidence]}]{one.confidence}[/]: {escape(why)}"
        rows.append(("✓" if one.configured else str(number), *map(escape, (device, read)), sure))
    return _table("Devices", ("", "device", "read as", "how sure"), rows, is_markup=True)


def _table(title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]], *, is_markup: bool = False) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(row if is_markup else map(escape, row)))
    return table


def _where(address: Address) -> str:
    return url_of(address) if address.baud or address.kind != "serial" else address.host
