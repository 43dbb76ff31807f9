"""Who is on a board's bus, and which profile suits each."""

from typing import Any, NamedTuple

from .bus import BoardBus, Wiring
from .guess import Guess, guess
from .repl import Repl
from .transfer import Progress

GUESSES_MAX = 3


class Found(NamedTuple):
    """A unit that answers, and the profiles that fit, the best first."""

    unit: int
    guesses: tuple[Guess, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"unit": self.unit, "profiles": [each._asdict() for each in self.guesses]}


def scan(repl: Repl, wiring: Wiring, units: range, progress: Progress) -> list[Found]:
    """Return who answers among `units`; only reads. Raises BoardError."""
    if not units:
        return []
    bus = BoardBus(repl, wiring)
    there = []
    for unit, answers in bus.present(units):
        progress("bus", unit - units.start + 1, len(units))
        if answers:
            there.append(unit)
    found = []
    for index, unit in enumerate(there):
        progress("profiles", index, len(there))
        fitting = guess(lambda read, width, unit=unit: bus.read(unit, read, width))  # type: ignore[misc]
        found.append(Found(unit, tuple(fitting[:GUESSES_MAX])))
    progress("profiles", len(there), len(there))
    return found
