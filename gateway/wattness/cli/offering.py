"""`offer`: what can be given to networks that take no reports from a gateway."""

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wattness.errors import ConfigError

from .jsonanyway import json_anyway

if TYPE_CHECKING:
    from wattness.config import Config

app = typer.Typer(help="What can be given to networks that take no reports: JSON on standard output.")

ENERGY_DAYS_MAX = 7  # of one report, which is made in memory
DRIVES_DAYS_MAX = 366
DAY_MS = 86_400_000

Since = Annotated[str, typer.Option("--from", help="The first day, like 2026-11-01; by default yesterday.")]
Until = Annotated[str, typer.Option("--to", help="The last day; by default the first.")]


@app.command()
@json_anyway
def cell(context: typer.Context) -> None:
    """Give the site as an H3 cell of $.site.h3_resolution, by default one of about 250 km²."""
    from wattness.config import load
    from wattness.offers.cell import cell as cell_of

    typer.echo(json.dumps(cell_of(load(context.obj).site)))


@app.command()
@json_anyway
def energy(
    context: typer.Context,
    since: Since = "",
    until: Until = "",
    event: Annotated[Path | None, typer.Option(help="An OpenADR 3 event (JSON) to answer, instead of days.")] = None,
    name: Annotated[str, typer.Option(help="What the report calls this gateway.")] = "wattness",
) -> None:
    """Give an OpenADR 3 event and the report of the metered energy that answers it."""
    from wattness.config import DATABASE_NAME, load
    from wattness.offers import openadr
    from wattness.store.reader import open_reader

    config = load(context.obj)
    if event is not None:
        asked, begin, end = openadr.read_event(event)
        if end - begin > ENERGY_DAYS_MAX * DAY_MS:
            raise ConfigError(f"{event}: an event longer than {ENERGY_DAYS_MAX} days is not answered at once")
    else:
        begin, end = _reach(config, since, until, ENERGY_DAYS_MAX)
        asked = openadr.event(begin, end)
    with open_reader(config.path(DATABASE_NAME)) as reader:
        told = openadr.report(reader, asked, begin, end, name)
    typer.echo(json.dumps({"event": asked, "report": told}, indent=1))


@app.command()
@json_anyway
def mobility(context: typer.Context, since: Since = "", until: Until = "") -> None:
    """Give cars' energy and distances without any position, a JSON object on each line."""
    from wattness.config import DATABASE_NAME, load
    from wattness.offers.mobility import drives
    from wattness.store.reader import open_reader

    config = load(context.obj)
    with open_reader(config.path(DATABASE_NAME)) as reader:
        for record in drives(reader, *_reach(config, since, until, DRIVES_DAYS_MAX)):
            typer.echo(json.dumps(record))


def _reach(config: "Config", since: str, until: str, days_max: int) -> tuple[int, int]:
    """Return when the site's days begin and end, in UTC ms; raises ConfigError."""
    from wattness import accounts, payfile
    from wattness.store.history import day_bounds

    timezone = config.site.timezone if config.site else "UTC"
    yesterday = accounts.today(config.make_clock().now_ms(), timezone) - dt.timedelta(1)
    first = payfile.day_of(since) if since else yesterday
    last = payfile.day_of(until) if until else first
    if (last - first).days >= days_max:
        raise ConfigError(f"At most {days_max} days are given at once; ask for them one after another.")
    bounds = day_bounds(first, last, timezone)
    return bounds[0], bounds[-1]
