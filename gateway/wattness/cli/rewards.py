"""`rewards`: what networks were sent, took and paid, and what that is worth."""

import csv
import datetime as dt
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from wattness.errors import ConfigError

from .operating import echo_json

if TYPE_CHECKING:
    from wattness.accounts import Asked
    from wattness.config import Config
    from wattness.store.payouts import PriceEntry

app = typer.Typer(help="What networks were sent, took and paid.", no_args_is_help=True)

DAYS = 31
COUNTS = ("reports", "accepted", "refused", "missing", "paid")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet would begin to reckon

Since = Annotated[str, typer.Option("--from", help="The first day, like 2026-11-01; by default a month ago.")]
Until = Annotated[str, typer.Option("--to", help="The last day; by default today.")]
Only = Annotated[str, typer.Option("--network", help="Only this network.")]


@app.command("list")
def show(
    context: typer.Context,
    since: Since = "",
    until: Until = "",
    network: Only = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with all that is known.")] = False,
) -> None:
    """Show each day's reports and pay."""
    import msgspec

    from wattness import accounts
    from wattness.config import DATABASE_NAME, load
    from wattness.store.reader import open_reader

    from .rewardstable import render

    config = load(context.obj)
    with open_reader(config.path(DATABASE_NAME)) as reader:
        found = accounts.days(reader, _asked(config, since, until, network))
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(found), indent=1))
    else:
        render(found)


@app.command()
def operators(
    context: typer.Context,
    since: Since = "",
    until: Until = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with all that is known.")] = False,
) -> None:
    """Show what loads that work for compute networks took, what that cost, and what they were paid."""
    import msgspec

    from wattness import operated
    from wattness.config import DATABASE_NAME, load
    from wattness.store.reader import open_reader

    from .rewardstable import render_operators

    config = load(context.obj)
    with open_reader(config.path(DATABASE_NAME)) as reader:
        found = operated.days(reader, _asked(config, since, until, ""), config.money, config.operates)
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(found), indent=1))
    else:
        render_operators(found)


@app.command("export")
def export(  # noqa: PLR0913, PLR0917 - a command's options
    context: typer.Context,
    since: Since = "",
    until: Until = "",
    network: Only = "",
    each: Annotated[bool, typer.Option("--each", help="A line for each payout, not for each day.")] = False,
    _csv: Annotated[bool, typer.Option("--csv", help="As CSV, as it is anyway.")] = True,
    out: Annotated[Path | None, typer.Option(help="The file to write; otherwise standard output.")] = None,
) -> None:
    """Write what was paid as CSV, for taxes: a line for each day, network and unit."""
    from wattness import accounts
    from wattness.config import DATABASE_NAME, load
    from wattness.store.reader import open_reader

    config = load(context.obj)
    asked = _asked(config, since, until, network)
    with open_reader(config.path(DATABASE_NAME)) as reader:
        if each:
            lines: list[Any] = [_cells(one, accounts.Payment) for one in accounts.payments(reader, asked)]
            head = accounts.Payment.__struct_fields__
        else:
            lines = [line for day in accounts.days(reader, asked) for line in _day_lines(day)]
            head = ("day", "network", "unit", "amount", "price", "value", "currency", *COUNTS)
    with _opened(out) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(lines)


@app.command("import")
def read(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV with the columns time or day, amount, network, unit, reference.")],
    network: Annotated[str, typer.Option(help="Of all lines that name none.")] = "",
    unit: Annotated[str, typer.Option(help="Of all lines that name none; by default the network's own.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Import payouts that the network itself does not tell the gateway of; a second time nothing is doubled."""
    from wattness import payfile
    from wattness.config import DATABASE_NAME, load
    from wattness.networks import REWARD_UNITS
    from wattness.store.payouts import open_payouts

    config = load(context.obj)
    known = _units(config).get(network) or REWARD_UNITS.get(network, "")
    defaults = {"network": network, "unit": unit or known}
    entries = payfile.read_payouts(file, _timezone(config), {name: text for name, text in defaults.items() if text})
    with open_payouts(config.path(DATABASE_NAME)) as payouts:
        new = payouts.add(entries)
    known_already = len(entries) - new
    if as_json:
        echo_json({"new": new, "known_already": known_already})
    else:
        typer.echo(f"{new} new payouts, {known_already} known already")


@app.command()
def price(  # noqa: PLR0913, PLR0917 - a command's options
    context: typer.Context,
    unit: Annotated[str, typer.Argument(help="What is paid, like AKT; without it all prices are shown.")] = "",
    amount: Annotated[str, typer.Argument(metavar="[PRICE]", help="What one of it is worth.")] = "",
    day: Annotated[str, typer.Option(help="From this day on; by default today.")] = "",
    network: Annotated[str, typer.Option(help="Only where this network pays in it.")] = "",
    currency: Annotated[str, typer.Option(help="By default $.money.currency of gateway.toml.")] = "",
    file: Annotated[Path | None, typer.Option("--import", help="CSV: day, unit, price, currency, network.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what a unit is worth from a day on, or import that, or show it."""
    from wattness import accounts, payfile
    from wattness.config import DATABASE_NAME, load
    from wattness.store.payouts import PriceEntry, open_payouts

    config = load(context.obj)
    currency = currency or (config.money.currency if config.money else "")
    if unit and not amount and file is None:
        raise ConfigError("Say what one of it is worth: `wattness rewards price UNIT PRICE`.")
    with open_payouts(config.path(DATABASE_NAME)) as payouts:
        if file is not None:
            defaults = {"unit": unit, "network": network, "currency": currency}
            entries = payfile.read_prices(file, {name: text for name, text in defaults.items() if text})
        elif unit:
            since = payfile.day_of(day) if day else accounts.today(config.make_clock().now_ms(), _timezone(config))
            entries = [
                PriceEntry(unit, network, payfile.currency_of(currency), since, payfile.price_of(amount)),
            ]
        else:
            _show_prices(payouts.prices(), as_json=as_json)
            return
        payouts.set_prices(entries)
    if as_json:
        echo_json({"prices": len(entries)})
    else:
        typer.echo(f"{len(entries)} prices")


def _show_prices(prices: "Sequence[PriceEntry]", *, as_json: bool) -> None:
    from wattness.store.payouts import plain

    if as_json:
        echo_json([one._asdict() | {"day": one.day.isoformat(), "price": plain(one.price)} for one in prices])
        return
    if not prices:
        typer.echo("No price is known yet; `wattness rewards price UNIT PRICE` sets one.", err=True)
    for one in prices:
        where = f" from {one.network}" if one.network else ""
        typer.echo(f"{one.day}  1 {one.unit}{where} = {plain(one.price)} {one.currency}")


def _asked(config: "Config", since: str, until: str, network: str) -> "Asked":
    from wattness import accounts, payfile

    timezone = _timezone(config)
    last = payfile.day_of(until) if until else accounts.today(config.make_clock().now_ms(), timezone)
    first = payfile.day_of(since) if since else last - dt.timedelta(DAYS - 1)
    currency = config.money.currency if config.money else None
    return accounts.Asked(first, last, timezone, currency, _units(config), network or None)


def _timezone(config: "Config") -> str:
    return config.site.timezone if config.site else "UTC"


def _units(config: "Config") -> dict[str, str]:
    from wattness.networks import REWARD_UNITS

    return {network.name: REWARD_UNITS.get(network.kind, "") for network in config.network}


def _day_lines(day: Any) -> Iterator[list[Any]]:
    """Yield a line for each unit; the reports stand in the first only, so that a column's sum is right."""
    counts = [getattr(day, name) for name in COUNTS]
    pay = [(one.unit, one.amount, one.price, one.value) for one in day.pay] or [("", None, None, None)]
    for unit, *figures in pay:
        yield [day.day, _safe(day.network), _safe(unit), *figures, day.currency, *counts]
        counts = [None] * len(COUNTS)


def _cells(value: Any, kind: Any) -> list[Any]:
    text = {"network", "reference", "unit"}
    return [_safe(getattr(value, name)) if name in text else getattr(value, name) for name in kind.__struct_fields__]


def _safe(text: str) -> str:
    """Return text of others so that no spreadsheet takes it for a formula."""
    return "'" + text if text.startswith(FORMULA) else text


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    try:
        with out.open("x", newline="") as file:
            yield file
    except FileExistsError:
        raise ConfigError(f"{out} exists already; choose another name.") from None
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}.") from None
