"""Explains the planner: which reads a profile's points take, and how long the bus is busy with them."""

from typing import Any

from wattwire import modbus, profile
from wattwire.schedule import AGES_MS, RATES

from .errors import ConfigError

TABLES = {modbus.HOLDING: "holding", modbus.INPUT: "input"}


def reading_plan(loaded: profile.Profile, baud: int, turnaround_us: int) -> dict[str, Any]:
    """Return the reads of each level of points with their times; raises ConfigError where a walk must come first."""
    if loaded.walk or loaded.models:
        raise ConfigError(f"{loaded.id} is read where a device has its models; there is no plan without the device.")
    bound = profile.bind(loaded)
    wide = bound.manner.width // 2
    hole = modbus.hole_registers(baud, turnaround_us) // wide
    levels = profile.plan_levels(bound, bound.default, hole)
    return {
        "profile": loaded.id,
        "points": list(bound.default),
        "hole_registers": hole,
        "levels": [
            {"rate": rate, "every_s": age_ms // 1000, **_level(reads, wide, baud, turnaround_us)}
            for rate, age_ms, reads in zip(RATES, AGES_MS, levels, strict=True)
        ],
    }


def _level(reads: list[Any], wide: int, baud: int, turnaround_us: int) -> dict[str, Any]:
    costs = [modbus.exchange_us(read.count * wide, baud, turnaround_us=turnaround_us) for read in reads]
    return {
        "reads": [
            {"table": TABLES[read.fc], "address": read.address, "count": read.count, "ms": round(cost / 1000, 1)}
            for read, cost in zip(reads, costs, strict=True)
        ],
        "polls_per_s": round(1e6 / sum(costs), 2) if costs else None,
    }
