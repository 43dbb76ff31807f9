"""How a vehicle moves from row to row."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

Column = Sequence[int | None]

MOVING = ("speed", "odometer", "latitude", "longitude")  # positions: recorded files only
EARTH_M = 6_371_000


class Move(NamedTuple):
    """How a vehicle moved from one row to the next: metres by odometer, by speed and by position, where known."""

    elapsed_ms: int
    odometer_m: float | None
    speed_m: float | None
    position_m: float | None


def moves_of(times: Sequence[int], columns: Mapping[str, Column], rows: tuple[int, int], join_ms: int) -> list[Move]:
    """Return how a vehicle moved between the interval's rows, where they join."""
    if set(MOVING).isdisjoint(columns):
        return []
    first, last = rows
    found = []
    for before, after in pairwise(range(max(0, first - 1), last)):
        elapsed = times[after] - times[before]
        one, other = ({name: columns[name][row] for name in MOVING if name in columns} for row in (before, after))
        if elapsed <= join_ms:
            found.append(_move(elapsed, one, other))
    return found


def _move(elapsed_ms: int, one: Mapping[str, int | None], other: Mapping[str, int | None]) -> Move:
    def both(name: str) -> tuple[int, int] | None:
        v1, v2 = one.get(name), other.get(name)
        return None if v1 is None or v2 is None else (v1, v2)

    odometer, speed = both("odometer"), both("speed")
    latitude, longitude = both("latitude"), both("longitude")
    return Move(
        elapsed_ms,
        None if odometer is None else odometer[1] - odometer[0],  # thousandths of a kilometre
        None if speed is None else (speed[0] + speed[1]) / 2 / 3_600_000 * elapsed_ms,
        None if latitude is None or longitude is None else _distance_m(latitude, longitude),
    )


def _distance_m(latitude: tuple[int, int], longitude: tuple[int, int]) -> float:
    """Return the great-circle distance of two positions in millionths of a degree."""
    phi1, phi2 = (math.radians(value / 1e6) for value in latitude)
    turn = math.radians((longitude[1] - longitude[0]) / 1e6)
    half = math.sin((phi2 - phi1) / 2) ** 2 + math.cos(phi1) * math.cos(phi2) * math.sin(turn / 2) ** 2
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(half)))
