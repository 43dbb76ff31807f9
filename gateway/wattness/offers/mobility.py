"""A car's intervals without its positions, its number or its board: what it took, and how far it went."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from wattness.store.reader import Reader

from .spans import coverage, instant, kilowatt_hours, offered

ROLES = frozenset({"vehicle"})
HOUR_MS = 3_600_000


def drives(reader: Reader, since_ms: int, until_ms: int) -> Iterator[dict[str, Any]]:
    """Yield each car's final intervals and then its hours with a known distance, ascending."""
    for one in offered(reader, ROLES, since_ms, until_ms):
        for measured in one.intervals:
            energy = measured.figures["energy"]
            yield {
                "vehicle": one.name,
                "record": "energy",
                "from": instant(measured.a),
                "to": instant(measured.b),
                "charged_kwh": _known(energy.get("energy_import")),
                "given_kwh": _known(energy.get("energy_export")),
                "coverage_percent": coverage(measured.figures, measured.b - measured.a),
                "verdict": measured.verdict,
            }
        yield from _distances(reader, one.name, one.stream.id, since_ms, until_ms)


def _distances(reader: Reader, name: str, stream_id: int, since_ms: int, until_ms: int) -> Iterator[dict[str, Any]]:
    """Yield how far a car went from one hour's last known odometer to the next hour's, where both are known."""
    found = reader.history(stream_id, "odometer", since_ms, until_ms, "1h")
    ends = (
        []
        if found is None
        else [(int(at), last) for at, _, _, last in found.rows if at is not None and last is not None]
    )
    for (at, before), (later, after) in pairwise(ends):
        if later - at == HOUR_MS and after >= before:
            yield {
                "vehicle": name,
                "record": "distance",
                "from": instant(later),
                "to": instant(later + HOUR_MS),
                "distance_km": round(after - before, 3),
            }


def _known(milliwatt_hours: int | None) -> float | None:
    return None if milliwatt_hours is None else kilowatt_hours(milliwatt_hours)
