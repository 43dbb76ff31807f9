"""What `rewards list` shows: a row for each day and network, and what all of it comes to."""

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wattness.accounts import DayAccount
from wattness.operated import OperatorDay

COLUMNS = ("day", "network", "reports", "accepted", "refused", "missing", "paid for", "paid", "worth")


def render(found: Sequence[DayAccount]) -> None:
    """Print the table; what nobody knows is a dash, never zero."""
    if not found:
        Console().print("No reports and no pay in these days.")
        return
    table = Table(title="Reports and pay", title_justify="left", title_style="bold")
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if number < 2 else "right")
    for day in found:
        table.add_row(*map(escape, _row(day)))
    Console().print(table)
    for line in _totals(found):
        Console().print(escape(line), highlight=False)


def render_operators(found: Sequence[OperatorDay]) -> None:
    """Print the operators' days; what nobody knows is a dash, never zero."""
    if not found:
        Console().print("No load works for anybody: name one in [[operates]] of gateway.toml.", markup=False)
        return
    table = Table(title="Compute operators", title_justify="left", title_style="bold")
    for number, column in enumerate(("day", "operator", "energy", "own", "cost", "paid", "worth", "margin")):
        table.add_column(column, justify="left" if number < 2 else "right")
    for day in found:
        paid = "\n".join(f"{one.amount} {one.unit}" for one in day.pay) or "–"
        sums = (_in(day.cost, day.currency), paid, _in(day.value, day.currency), _in(day.margin, day.currency))
        own = "–" if day.own_share is None else f"{day.own_share:.0%}"
        energy = "–" if day.energy_wh is None else f"{day.energy_wh / 1000:.3f} kWh"
        table.add_row(*map(escape, (day.day, day.operator, energy, own, *sums)))
    Console().print(table)


def _in(value: str | None, currency: str | None) -> str:
    return "–" if value is None else f"{money(value)} {currency}"


def _row(day: DayAccount) -> tuple[str, ...]:
    counts = (day.reports, day.accepted, day.refused, day.missing)
    paid = "\n".join(f"{one.amount} {one.unit}" for one in day.pay) or "–"
    worth = "\n".join("–" if one.value is None else f"{money(one.value)} {day.currency}" for one in day.pay) or "–"
    return (day.day, day.network, *map(str, counts), "–" if day.paid is None else str(day.paid), paid, worth)


def money(value: str) -> str:
    """Return an amount of the owner's currency with two decimals, or with what makes it differ from nothing."""
    exact = Decimal(value)
    rounded = exact.quantize(Decimal("0.01"))
    return str(rounded) if rounded or not exact else value


def _totals(found: Sequence[DayAccount]) -> list[str]:
    sums: dict[tuple[str, str], Decimal] = {}
    worth = Decimal(0)
    unknown = 0
    for day in found:
        for one in day.pay:
            key = (day.network, one.unit)
            sums[key] = sums.get(key, Decimal(0)) + Decimal(one.amount)
            worth += Decimal(one.value or 0)
            unknown += one.value is None
    lines = [f"{network} paid {amount:f} {unit}" for (network, unit), amount in sums.items()]
    if sums and found[0].currency:
        missing = f"; {unknown} amounts have no price: `wattness rewards price UNIT PRICE`" if unknown else ""
        lines.append(f"worth {money(str(worth))} {found[0].currency}{missing}")
    return lines
