"""Rules on vehicles: speed, odometer and position tell the same journey."""

from .facts import Facts
from .memory import HOUR_MS, Memory, Notes

SPEED_KMH_MAX = 300
DIGIT_M = 1000  # many odometers count whole kilometres
UNLIKE_M = 3000  # too little to compare
RATIO_MAX = 0.35  # of the larger of two distances, beyond that
POSITION_M = 500  # how far a position may be off


def check(facts: Facts, memory: Memory, notes: Notes) -> None:
    """Apply all of them."""
    if facts.role != "vehicle":
        return
    speed = facts.samples.get("speed")
    if speed is not None and not 0 <= speed.low <= speed.high <= SPEED_KMH_MAX * 1000:
        notes.find("speed_impossible")
    _odometer(facts, memory, notes)
    _journey(facts, memory, notes)
    _position(facts, notes)


def reach_m(elapsed_ms: int) -> float:
    """Return how far a car can get in a time."""
    return SPEED_KMH_MAX / 3.6 * elapsed_ms / 1000


def _odometer(facts: Facts, memory: Memory, notes: Notes) -> None:
    odometer = facts.samples.get("odometer")
    if odometer is None:
        return
    before = odometer.first if memory.odometer_last is None else memory.odometer_last
    since = facts.a if memory.last_ms is None else memory.last_ms
    fell = any(move.odometer_m is not None and move.odometer_m < 0 for move in facts.moves)
    if fell or odometer.first < before:
        notes.find("odometer_rollback")
    far = any(
        move.odometer_m is not None and move.odometer_m > reach_m(move.elapsed_ms) + DIGIT_M for move in facts.moves
    )
    if far or odometer.last - before > reach_m(max(0, facts.b - since)) + DIGIT_M:
        notes.find("odometer_jump")
    memory.odometer_last = odometer.last


def _journey(facts: Facts, memory: Memory, notes: Notes) -> None:
    """Compare the odometer's rise with the speed over time, in the last hour."""
    kept = max(0.0, 1 - (facts.b - facts.a) / HOUR_MS)
    both = [move for move in facts.moves if move.odometer_m is not None and move.speed_m is not None]
    memory.odometer_m = memory.odometer_m * kept + sum(move.odometer_m or 0 for move in both)
    memory.speed_m = memory.speed_m * kept + sum(move.speed_m or 0 for move in both)
    larger = max(memory.odometer_m, memory.speed_m)
    if abs(memory.odometer_m - memory.speed_m) > RATIO_MAX * larger + UNLIKE_M:
        notes.find("speed_against_odometer")


def _position(facts: Facts, notes: Notes) -> None:
    """A car is where it drove: no further than it can get, nor than its odometer says."""
    known = [move for move in facts.moves if move.position_m is not None]
    if any((move.position_m or 0) > reach_m(move.elapsed_ms) + POSITION_M for move in known):
        notes.find("position_jump")
    driven = [move for move in known if move.odometer_m is not None]
    straight, road = sum(move.position_m or 0 for move in driven), sum(move.odometer_m or 0 for move in driven)
    if straight > road * (1 + RATIO_MAX) + DIGIT_M + POSITION_M * len(driven):
        notes.find("position_jump")
