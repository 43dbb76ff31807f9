"""Energy in the form of OpenADR 3: an event as it was asked for, and the report that answers it.

USAGE is what a resource took, EXPORT_USAGE what it gave, both in kWh and both never below zero; COVERAGE is the share
of an interval that was metered, in percent. The last two are private strings, as OpenADR allows.
"""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from wattness.errors import ConfigError
from wattness.store.accounts import Measured
from wattness.store.reader import Reader

from .spans import coverage, duration, instant, kilowatt_hours, offered

ROLES = frozenset({"pv", "battery", "grid", "load", "charger"})
PROGRAM = "wattness"
EVENT_BYTES_MAX = 1 << 20
PAYLOADS = (("USAGE", "energy_import"), ("EXPORT_USAGE", "energy_export"))
DESCRIPTORS = [
    {"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": name, "readingType": "DIRECT_READ", "units": "KWH"}
    for name, _ in PAYLOADS
] + [
    {"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": "DATA_QUALITY"},
    {"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": "COVERAGE", "units": "PERCENT"},
]
_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_SECONDS = (604_800, 86_400, 3600, 60, 1)


def event(since_ms: int, until_ms: int) -> dict[str, Any]:
    """Return an event that asks for nothing but metering between two times: nobody dispatched anything."""
    return {
        "objectType": "EVENT",
        "programID": PROGRAM,
        "eventName": f"metering from {instant(since_ms)}",
        "payloadDescriptors": [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "SIMPLE"}],
        "reportDescriptors": [{"payloadType": name, "readingType": "DIRECT_READ"} for name, _ in PAYLOADS],
        "intervalPeriod": {"start": instant(since_ms), "duration": duration(until_ms - since_ms)},
        "intervals": [{"id": 0, "payloads": [{"type": "SIMPLE", "values": [0]}]}],
    }


def read_event(path: Path) -> tuple[dict[str, Any], int, int]:
    """Return an event of somebody's, and when it begins and ends (UTC ms); raises ConfigError."""
    try:
        if path.stat().st_size > EVENT_BYTES_MAX:
            raise ConfigError(f"{path} has more than {EVENT_BYTES_MAX} bytes, which no event needs")
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON that can be read: {error}") from None
    if not isinstance(value, dict) or value.get("objectType", "EVENT") != "EVENT":
        raise ConfigError(f"{path} is no OpenADR 3 event: its objectType is not EVENT")
    try:
        return value, *reach(value)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise ConfigError(f"{path} has no intervalPeriod with start and duration, like PT2H") from None


def reach(value: dict[str, Any]) -> tuple[int, int]:
    """Return when an event begins and ends; raises ValueError and its like for one that does not say."""
    periods = [one["intervalPeriod"] for one in value.get("intervals", ()) if one.get("intervalPeriod")]
    begins, ends = [], []
    for period in periods or [value["intervalPeriod"]]:
        start = datetime.fromisoformat(period["start"])
        if start.tzinfo is None:
            raise ValueError(period["start"])
        begins.append(round(start.timestamp() * 1000))
        ends.append(begins[-1] + 1000 * _seconds(period["duration"]))
    if not min(begins) < max(ends):
        raise ValueError("empty")
    return min(begins), max(ends)


def report(reader: Reader, asked: dict[str, Any], since_ms: int, until_ms: int, name: str) -> dict[str, Any]:
    """Return the report that answers an event: every metered interval that begins in it; `name` is the client's."""
    resources = []
    for one in offered(reader, ROLES, since_ms, until_ms):
        intervals = [_interval(number, measured) for number, measured in enumerate(one.intervals)]
        if intervals:
            resources.append({"resourceName": one.name, "intervals": intervals})
    return {
        "objectType": "REPORT",
        "programID": asked.get("programID", PROGRAM),
        "eventID": asked.get("id", "metering"),
        "clientName": name,
        "reportName": "metered energy",
        "payloadDescriptors": DESCRIPTORS,
        "resources": resources,
    }


def _interval(number: int, measured: Measured) -> dict[str, Any]:
    length = measured.b - measured.a
    energy = measured.figures["energy"]
    payloads = [
        {"type": name, "values": [kilowatt_hours(energy[figure])]} for name, figure in PAYLOADS if figure in energy
    ]
    quality = "OK" if measured.verdict == "accepted" else "BAD"
    payloads.append({"type": "DATA_QUALITY", "values": [quality]})
    payloads.append({"type": "COVERAGE", "values": [coverage(measured.figures, length)]})
    period = {"start": instant(measured.a), "duration": duration(length)}
    return {"id": number, "intervalPeriod": period, "payloads": payloads}


def _seconds(text: str) -> int:
    parts = _DURATION.fullmatch(text)
    if parts is None or not any(parts.groups()):
        raise ValueError(text)
    return sum(size * int(count or 0) for size, count in zip(_SECONDS, parts.groups(), strict=True))
