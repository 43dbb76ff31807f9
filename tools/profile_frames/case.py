"""What one recorded-style exchange is made from."""

import json
from pathlib import Path
from typing import Any, NamedTuple

CASES = Path(__file__).resolve().parent / "cases"


class Case(NamedTuple):
    """What a device holds, which reads are expected, and what they mean."""

    profile: str
    what: str
    holds: list[tuple[int, str, int | float | str]]  # (address, kind, value); SunSpec: offset from the model's id
    reads: list[tuple[Any, ...]]  # (address, count) or (address, count, table), with the same offsets
    values: dict[str, tuple[int, int] | str | None]
    base: int = 0
    length: int | None = None
    refusal: int | None = None  # the exception that answers every request
    unit: int = 1
    role: str | None = None
    table: str = "holding"
    word_order: str = "big"
    width: int = 2  # bytes of a register


def from_data(profile: str) -> list[Case]:
    """Return the cases of a profile that are kept as data."""
    found = []
    for item in json.loads((CASES / f"{profile}.json").read_text()):
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in item["values"].items()}
        found.append(Case(**item | {"profile": profile, "values": values}))
    return found


def with_data() -> list[str]:
    """Return the profiles whose cases are kept as data."""
    return sorted(path.stem for path in CASES.glob("*.json"))
