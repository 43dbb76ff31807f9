"""Physics before rewards: what frames, intervals and recorded days cannot be, and why."""

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
from .registry import ACCEPTED, FLAGGED, QUARANTINED, Rule, rules

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
    "OTHER_GATEWAY",
    "QUARANTINED",
    "TOO_MANY_STREAMS",
    "UNKNOWN_STREAM",
    "UNKNOWN_STREAMS",
    "UNPROVABLE",
    "Limits",
    "Rule",
    "Verdict",
    "advances",
    "rules",
]
