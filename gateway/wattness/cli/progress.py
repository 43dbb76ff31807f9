"""How far a long command is, as a bar on the screen; where nobody looks, nothing is drawn."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wattness.serialboard.transfer import Progress


@contextlib.contextmanager
def bars() -> Iterator["Progress"]:
    """Yield a function that shows a bar for each thing that is done, one below the other."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:>10}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
    console = Console(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as shown:
        tasks = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what, total=total)
            shown.update(tasks[what], completed=done if total else 1, total=total or 1)

        yield progress
