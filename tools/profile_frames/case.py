"""What one recorded-style exchange is made from."""

from typing import NamedTuple


class Case(NamedTuple):
    """What a device holds, which reads are expected, and what they mean."""

    profile: str
    what: str
    holds: list[tuple[int, str, int | float | str]]  # (address, kind, value); SunSpec: offset from the model's id
    reads: list[tuple[int, int]]  # (address, count), with the same offsets
    values: dict[str, tuple[int, int] | str | None]
    base: int = 0
    length: int | None = None
    refusal: int | None = None  # the exception that answers every request
    unit: int = 1
