"""Points that a profile's sources leave open: metered and shown, and nothing is claimed until the owner confirms."""

from typing import Any

from wattwire import evidence

CLAIMED = frozenset(("power", "energy_import", "energy_export"))  # what a report's figures rest on
CODE = "unsettled_point"


def is_unsettled(body: Any, device: str) -> bool:
    """Tell whether a streams record says so of a point of `device` that a claim would rest on.

    A board lists such points in its record's texts, `unsettled_0` for its first stream, as long as its configuration
    does not name them in the stream's `confirmed`.
    """
    found = [index for index in range(len(body.streams)) if CLAIMED.intersection(points(body, index))]
    return bool(found) and device in [evidence.devices(body)[index] for index in found]


def points(body: Any, index: int) -> list[str]:
    """Return the names of these points of the stream at `index`."""
    return str(body.about.get(f"unsettled_{index}", "")).split(",")
