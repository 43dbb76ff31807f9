"""What `doctor` shows."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wattness.doctor import FAILURE, OK, WARNING, Finding

_SIGNS = {OK: ("✓", "green"), WARNING: ("!", "yellow"), FAILURE: ("✗", "red")}


def show(found: Sequence[Finding]) -> None:
    """Print a line per finding, and the remedy below what is not well."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in found:
        sign, colour = _SIGNS[finding.level]
        text = Text(finding.text)
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}", style="italic")
        table.add_row(Text(sign, style=colour), Text(finding.subject, style="bold"), text)
    Console().print(table)
