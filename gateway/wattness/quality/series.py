"""Rules on sameness: an hour's values that were there before, or are there twice."""

from collections.abc import Callable
from hashlib import blake2b

from .facts import Facts
from .memory import DAY_MS, HOUR_MS, Memory, Notes, Print

SHORT_MS = 600_000  # intervals up to this length make fingerprints of hours, longer ones of days
TOLD_MIN = {HOUR_MS: 6, DAY_MS: 12}  # intervals unlike the one before; fewer may be alike by chance
TOLD_MW_MIN = 20_000  # what idles is alike

Seen = Callable[[Print], str]  # keeps a fingerprint; returns the code of what it was found to be, or nothing


def check(facts: Facts, memory: Memory, notes: Notes, seen: Seen) -> None:
    """Lengthen the running fingerprint, and ask about it when it is complete."""
    window = HOUR_MS if facts.b - facts.a <= SHORT_MS else DAY_MS
    start = facts.a - facts.a % window
    if memory.print is not None and memory.print.start_ms != start:
        _complete(memory, window, seen)
    if memory.print is None:
        memory.print = Print(start)
    _lengthen(memory.print, facts)
    if facts.b >= start + window:
        _complete(memory, window, seen)
    if memory.same:
        notes.find(memory.same)


def _lengthen(found: Print, facts: Facts) -> None:
    power = facts.power
    if power is None:
        return
    if power.mean != found.mean and max(abs(power.low), abs(power.high)) >= TOLD_MW_MIN:
        found.told += 1
    found.mean = power.mean
    text = f"{facts.a - found.start_ms} {power.n} {power.low} {power.high} {power.mean}"
    found.digest = blake2b(found.digest + text.encode(), digest_size=16).digest()


def _complete(memory: Memory, window: int, seen: Seen) -> None:
    """Ask whether the fingerprint was seen before; one that tells too little changes nothing."""
    if memory.print is not None and memory.print.told >= TOLD_MIN[window]:
        memory.same = seen(memory.print)
    memory.print = None
