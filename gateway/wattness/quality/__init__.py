"""Physics before rewards: what frames, intervals and recorded days cannot be, and why."""

from .facts import Facts, Place
from .frames import (
    CLOCK_STEP,
    CLOCK_STEP_MS,
    FRAME_MS_MAX,
    FRAME_TOO_LONG,
    FUTURE_TIME,
    IMPOSSIBLE_TIME,
    IMPOSSIBLE_VALUE,
    OTHER_GATEWAY,
    TOO_MANY_STREAMS,
    UNKNOWN_STREAM,
    UNKNOWN_STREAMS,
    UNPROVABLE,
    Limits,
    Verdict,
    advances,
)
from .judge import Judge, judge_of, unapplied
from .memory import Memory, Print
from .registry import ACCEPTED, FLAGGED, LEVELS, QUARANTINED, RULES, Rule, rules

__all__ = [
    "ACCEPTED",
    "CLOCK_STEP",
    "CLOCK_STEP_MS",
    "FLAGGED",
    "FRAME_MS_MAX",
    "FRAME_TOO_LONG",
    "FUTURE_TIME",
    "IMPOSSIBLE_TIME",
    "IMPOSSIBLE_VALUE",
    "LEVELS",
    "OTHER_GATEWAY",
    "QUARANTINED",
    "RULES",
    "TOO_MANY_STREAMS",
    "UNKNOWN_STREAM",
    "UNKNOWN_STREAMS",
    "UNPROVABLE",
    "Facts",
    "Judge",
    "Limits",
    "Memory",
    "Place",
    "Print",
    "Rule",
    "Verdict",
    "advances",
    "judge_of",
    "rules",
    "unapplied",
]
