"""Rules on cumulative counters: they do not fall, nor rise faster than power allows."""

from .facts import Facts, Fall
from .memory import DAY_MS, HOUR_MS, Balance, Memory, Notes

RATED_PERCENT_MAX = 115
JITTER_MWH = 2000  # some meters compute their counter, and it trembles in the last digit
RESTART_MS = HOUR_MS  # a device that lost power goes on from what it last saved, at most this old
RESTART_GAP_MS = 15_000
RESETS_PER_DAY_MAX = 4
UNRATED_W = 100_000  # for telling resets from roll-backs where no rated power is known
EARLIER_MS = 120_000  # a rise may have begun in the interval before

_LIMITS = [base << bits for bits in (16, 24, 31, 32) for base in (1, 10, 100, 1000, 10_000, 100_000, 1_000_000)]
FULL_MWH = sorted(
    {
        *(limit for limit in _LIMITS if limit >= 65_536_000),
        *(10**digits for digits in range(9, 16)),
    }
)  # where registers of mWh to kWh, and displays, start again

RATIO_MAX = 0.4  # of the larger of two: honest devices differ by as much
FADES_MS = (HOUR_MS, 12 * HOUR_MS)
STEPS_UNSEEN = 1.25  # of a counter, between what it shows and what was
LAG_MS_MAX = 20 * 60_000  # a counter that stands still for longer is not merely slow
COVERED_MIN = 0.5
UNLIKE_MWH = 20_000  # too little to compare
UNLIKE_RATED_SHARE = 0.005  # … or this share of an hour at rated power


def check(facts: Facts, memory: Memory, notes: Notes) -> None:
    """Apply all of them."""
    _falls(facts, memory, notes)
    for name, level in facts.levels.items():
        memory.learn_step(name, level)
    _jumps(facts, memory, notes)
    _against_power(facts, memory, notes)


def kind_of(fall: Fall, rated_w: int | None, step: int) -> str:
    """Return why a counter fell: jitter, roll_over, reset, restart, or rollback when none of these explains it."""
    drop = fall.before - fall.after
    rise = energy_mwh(rated_w or UNRATED_W, fall.elapsed_ms + fall.spacing_ms) + 2 * step
    if drop <= JITTER_MWH:
        return "jitter"
    if fall.modulus is not None and -drop % fall.modulus < fall.modulus // 16:
        return "roll_over"
    if fall.after <= rise:
        return "roll_over" if any(0 <= full - fall.before <= rise for full in FULL_MWH) else "reset"
    was_away = fall.elapsed_ms >= max(2 * fall.spacing_ms, RESTART_GAP_MS)
    if was_away and drop <= energy_mwh(rated_w or UNRATED_W, RESTART_MS):
        return "restart"
    return "rollback"


def energy_mwh(rated_w: int, elapsed_ms: int) -> int:
    """Return the most that a device of this power delivers in a time."""
    return rated_w * RATED_PERCENT_MAX * elapsed_ms // 360_000


def _falls(facts: Facts, memory: Memory, notes: Notes) -> None:
    if not facts.falls and not memory.resets_ms:
        return
    kinds = {kind_of(fall, facts.rated_w, memory.step(fall.name)) for fall in facts.falls}
    notes.events += kinds
    if "rollback" in kinds:
        notes.find("counter_rollback")
    memory.resets_ms = [at for at in memory.resets_ms if at > facts.a - DAY_MS]
    if not kinds.isdisjoint({"reset", "restart"}):
        memory.resets_ms = [*memory.resets_ms[-RESETS_PER_DAY_MAX:], facts.a]
        if len(memory.resets_ms) > RESETS_PER_DAY_MAX:
            notes.find("counter_resets")


def _jumps(facts: Facts, memory: Memory, notes: Notes) -> None:
    length = facts.b - facts.a
    for name, energy in facts.energy.items():
        idle = memory.idle_ms.get(name, 0)
        memory.idle_ms[name] = 0 if energy else min(idle + length, DAY_MS)
        if facts.rated_w is None:
            continue
        slack = 2 * memory.step(name)
        if energy > energy_mwh(facts.rated_w, min(idle, HOUR_MS) + length + EARLIER_MS) + slack:
            notes.find("counter_jump")
        gap = facts.gap_energy.get(name, 0)
        if gap and memory.last_ms is not None:
            away = facts.b - memory.last_ms + min(idle, HOUR_MS)
            if gap > energy_mwh(facts.rated_w, away) + slack:
                notes.find("counter_jump")


def _against_power(facts: Facts, memory: Memory, notes: Notes) -> None:
    """Compare power over time with the counters' rise, over an hour and over a working day."""
    length = facts.b - facts.a
    counted = facts.counted_mwh
    if counted is None or facts.power is None or facts.covered_ms < COVERED_MIN * length:
        return
    if facts.falls:  # what a fall hides cannot be compared
        memory.balances = []
        return
    slack = facts.doubt_mwh + max(STEPS_UNSEEN * max(map(memory.step, facts.energy)), _lag_mwh(facts, memory))
    slack += max(UNLIKE_MWH, (facts.rated_w or 0) * 1000 * UNLIKE_RATED_SHARE)
    if not memory.balances:
        memory.balances = [Balance(fade_ms) for fade_ms in FADES_MS]
    for balance in memory.balances:
        kept = max(0.0, 1 - length / balance.fade_ms)
        balance.by_power = by_power = balance.by_power * kept + facts.power_mwh
        balance.by_counter = by_counter = balance.by_counter * kept + counted
        if abs(by_power - by_counter) > RATIO_MAX * max(abs(by_power), abs(by_counter)) + slack:
            notes.find("power_against_counter")


def _lag_mwh(facts: Facts, memory: Memory) -> float:
    """Return how much energy the counters may hold back: some are renewed every few minutes only."""
    moved = any(facts.energy.values())
    if memory.waiting_mwh or not moved:
        memory.waiting_mwh += abs(facts.power_mwh)
    memory.lag_mwh = max(memory.lag_mwh * max(0.0, 1 - (facts.b - facts.a) / FADES_MS[-1]), memory.waiting_mwh)
    if moved:
        memory.waiting_mwh = 0.0
    top = 0 if facts.power is None else max(abs(facts.power.low), abs(facts.power.high))
    return min(memory.lag_mwh, LAG_MS_MAX * top / HOUR_MS)
