"""The judge of intervals: every rule that applies, with what must be known to apply it."""

import logging
from pathlib import Path

from wattness.errors import ConfigError
from wattness.site import Site

from . import battery, counters, power, scales, series, sun, vehicle
from .facts import Facts
from .memory import Memory, Notes
from .series import Seen
from .sun import Sun

log = logging.getLogger(__name__)

_SUN_RULES = ("night_production", "night_draw", "above_clear_sky")
_RATED_RULES = ("power_above_rated", "counter_jump")


class Judge:
    """Judges intervals, each stream's in ascending time. Without a sun, what depends on it is not applied."""

    def __init__(self, light: Sun | None = None) -> None:
        """Use `sun.load` for the sun of a site."""
        self.sun = light

    def judge(self, facts: Facts, memory: Memory, seen: Seen) -> Notes:
        """Return what is wrong with an interval, and bring the stream's memory up to it."""
        notes = Notes()
        power.check(facts, memory, notes, self.sun)
        counters.check(facts, memory, notes)
        scales.check(facts, notes)
        battery.check(facts, memory, notes)
        vehicle.check(facts, memory, notes)
        series.check(facts, memory, notes, seen)
        memory.last_ms = facts.last_ms
        return notes


def judge_of(site: Site | None, folder: Path) -> Judge:
    """Return the judge for a site; the first time there it takes seconds, to make the sun's table in `folder`."""
    if site is None:
        return Judge()
    try:
        return Judge(sun.load(site, folder))
    except ConfigError as error:  # metering goes on
        log.error("no rule that needs the sun is applied error=%s", error)  # noqa: TRY400 - the sentence says it all
        return Judge()


def nothing_seen(_: object) -> str:
    """Say that no fingerprint was seen before."""
    return ""


def unapplied(site: Site | None, role: str = "pv", *, rated: bool = True, zoned: bool = True) -> dict[str, str]:
    """Return the rules that cannot be applied to a device, each with the reason and the remedy."""
    found = {}
    if role == "pv" and site is None:
        text = "Not applied: nobody said where the panels are. Give latitude and longitude, as [site] or by options."
        found.update(dict.fromkeys(_SUN_RULES, text))
    elif role == "pv" and not zoned:
        text = "Not applied: the times have no zone. Give the time zone."
        found.update(dict.fromkeys(_SUN_RULES, text))
    if not rated:
        found.update(dict.fromkeys(_RATED_RULES, "Not applied: the device's rated power is not known. Give it."))
    return found
