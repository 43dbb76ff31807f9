"""Rules on batteries: what comes out went in, and the state of charge follows."""

from .facts import Facts
from .memory import DAY_MS, Charge, Memory, Notes

CYCLE_MS = 7 * DAY_MS
SAME_SOC = 3000  # thousandths of a percent: so near is as full as before
OUT_PERCENT_MAX = 110  # of what went in; no battery gives more than it took, but meters err
CYCLE_MWH_MIN = 2_000_000  # less says nothing
MOVED_SOC = 10_000  # a state of charge that moved so far has a direction
AGAINST_MWH = 150_000  # energy against that direction, when the capacity is not known
AGAINST_SHARE = 0.1  # … or this share of the capacity
CAPACITY_RATIO_MAX = 4.0  # between what the same battery seems to hold at two times
FULL = 100_000


def check(facts: Facts, memory: Memory, notes: Notes) -> None:
    """Apply all of them to a battery, and the second to a vehicle's."""
    soc = facts.samples.get("soc")
    if soc is None or facts.role not in {"battery", "vehicle"}:
        return
    into, out = _flow(facts)
    if not into and not out and facts.power is None:
        return
    if facts.energy:
        _balance(facts, memory, notes, (into, out))
    _direction(facts, memory, notes, (into, out))


def _flow(facts: Facts) -> tuple[int, int]:
    """Return the energy into and out of the battery in the interval."""
    if facts.energy:
        return facts.energy.get("energy_import", 0), facts.energy.get("energy_export", 0)
    if facts.power is None:
        return 0, 0
    net = int(facts.power_mwh)
    return max(net, 0), max(-net, 0)


def _balance(facts: Facts, memory: Memory, notes: Notes, flow: tuple[int, int]) -> None:
    """When the battery is as full as once before, more cannot have come out since than went in."""
    soc = facts.samples["soc"]
    cycle = memory.cycle
    if cycle is None or facts.a - cycle.since_ms > CYCLE_MS or facts.falls or any(facts.gap_energy.values()):
        memory.cycle = Charge(facts.b, soc.last)
        return
    cycle.into_mwh += flow[0]
    cycle.out_mwh += flow[1]
    if cycle.out_mwh < CYCLE_MWH_MIN or soc.last < cycle.soc - SAME_SOC:
        return
    if cycle.out_mwh * 100 > cycle.into_mwh * OUT_PERCENT_MAX + 50 * CYCLE_MWH_MIN:
        notes.find("battery_balance")


def _direction(facts: Facts, memory: Memory, notes: Notes, flow: tuple[int, int]) -> None:
    """Energy goes where the state of charge goes, and as much of it as before."""
    soc = facts.samples["soc"]
    charge = memory.charge
    stale = charge is not None and facts.a - charge.since_ms > DAY_MS
    if charge is None or stale or any(facts.gap_energy.values()) or facts.covered_ms * 2 < facts.b - facts.a:
        memory.charge = Charge(facts.b, soc.last)
        return
    charge.into_mwh += flow[0]
    charge.out_mwh += flow[1]
    moved, net = soc.last - charge.soc, charge.into_mwh - charge.out_mwh
    if abs(moved) < MOVED_SOC:
        return
    against = -net if moved > 0 else net
    if against > max(AGAINST_MWH, memory.capacity_mwh * AGAINST_SHARE):
        notes.find("soc_against_energy")
    elif against < -AGAINST_MWH:
        capacity = -against * FULL / abs(moved)
        if memory.capacity_mwh and not 1 / CAPACITY_RATIO_MAX < capacity / memory.capacity_mwh < CAPACITY_RATIO_MAX:
            notes.find("soc_against_energy")
        memory.capacity_mwh = (memory.capacity_mwh * 3 + capacity) / 4 if memory.capacity_mwh else capacity
    memory.charge = Charge(facts.b, soc.last)
