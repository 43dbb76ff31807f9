"""Recorded days before the judge: the same rules over the same intervals as the gateway's own, a verdict per day."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from wattwire import frame
from wattwire.interval import JOIN_MS_MAX

from . import facts, frames
from .judge import Judge
from .memory import Memory, Notes
from .recording import Recording
from .registry import RULES, worst
from .series import Seen

INTERVAL_MS = 300_000
FUTURE_MS = 120_000  # as the gateway's own default
TOLD_MIN = 10  # values of a day unlike the one before; with fewer, days may be alike by chance
_UNITS = {"power": "W", "energy_import": "Wh", "energy_export": "Wh", "voltage": "V", "frequency": "Hz", "soc": "%"}


class Device(NamedTuple):
    """What was recorded. `modulus` is where its counters start again, in mWh, where that is known."""

    role: str
    rated_w: int | None = None
    name: str = ""
    modulus: int | None = None

    def stream(self, recording: Recording) -> Any:
        """Return the description that a board would give."""
        modulus = self.modulus
        points = tuple(
            frame.Point(name, _UNITS.get(name, ""), -3, modulus if name.startswith("energy") else None)
            for name in recording.columns
        )
        return frame.Stream(self.role, "recording", bytes(16), 0, points, None, self.rated_w, False)


class Day(NamedTuple):
    """One local day and what was found."""

    day: str
    verdict: str
    reasons: list[str]
    rows: int
    covered_s: int
    energy_wh: dict[str, float]  # by counter, or by `power` where there is none
    events: dict[str, int]  # what counters did that is honest

    def to_json(self) -> dict[str, Any]:
        """Return what the command prints."""
        return {**self._asdict(), "explained": {code: RULES[code].text for code in self.reasons}}


class _Found:
    """What is known of a day so far."""

    def __init__(self) -> None:
        self.codes: set[str] = set()
        self.rows = self.covered_ms = 0
        self.energy: Counter[str] = Counter()
        self.events: Counter[str] = Counter()

    def add(self, one: facts.Facts, notes: Notes) -> None:
        self.codes |= notes.codes
        self.covered_ms += one.covered_ms
        self.events.update(notes.events)
        self.energy.update(one.energy or {"power": round(one.power_mwh)})

    def day(self, name: str) -> Day:
        energy = {name: mwh / 1000 for name, mwh in sorted(self.energy.items())}
        codes = sorted(self.codes)
        return Day(name, worst(self.codes), codes, self.rows, self.covered_ms // 1000, energy, dict(self.events))


class Court:
    """Judges recordings, those of several devices one after another, so that duplicates are found."""

    def __init__(self, judge: Judge, now_ms: int) -> None:
        """Rows dated later than `now_ms` are from the future."""
        self._judge = judge
        self._now_ms = now_ms
        self._prints: dict[tuple[str, bytes], tuple[int, Any]] = {}  # (role, digest): (recording, when)
        self._number = 0

    def days(self, recording: Recording, device: Device) -> list[Day]:
        """Return the verdict on each day of a recording."""
        self._number += 1
        found = {day: _Found() for day in sorted({*recording.days, *recording.late})}
        for day in recording.late:
            found[day].codes.add("rows_not_rising")
        for day in recording.days:
            found[day].rows += 1
        recording = _possible(recording, self._now_ms + FUTURE_MS, found)
        memory, seen = Memory(), self._seen(device.role)
        for one, day in _intervals(recording, device):
            found[day].add(one, self._judge.judge(one, memory, seen))
        self._compare_days(recording, device.role, found)
        return [one.day(day) for day, one in found.items()]

    def _seen(self, role: str) -> Seen:
        return lambda found: self._same((role, found.digest), found.start_ms)

    def _same(self, key: tuple[str, bytes], when: Any) -> str:
        """Return the code of values that were there before, and remember them otherwise."""
        number, first = self._prints.setdefault(key, (self._number, when))
        if (number, first) == (self._number, when):
            return ""
        return "duplicate_series" if number != self._number and first == when else "repeated_day"

    def _compare_days(self, recording: Recording, role: str, found: dict[str, _Found]) -> None:
        """Compare whole days, row by row; hours of files with few rows tell too little."""
        lead = recording.columns.get("power")
        if lead is None:
            return
        for day, group in groupby(zip(recording.days, lead, strict=True), key=lambda row: row[0]):
            values = [value for _, value in group]
            if sum(one != other for one, other in pairwise(values)) >= TOLD_MIN:
                digest = blake2b(repr(values).encode(), digest_size=16).digest()
                code = self._same((f"{role} day", digest), day)
                found[day].codes.update([code] if code else [])


def _possible(recording: Recording, latest_ms: int, found: dict[str, _Found]) -> Recording:
    """Return what can be of a recording, and note the rest: rows from the future, impossible values."""
    times, days, columns = recording.times, recording.days, recording.columns
    end = bisect_right(times, latest_ms)
    for day in set(days[end:]):
        found[day].codes.add("future_time")
    kept: dict[str, list[int | None]] = {}
    for name, column in columns.items():
        low, high = frames.bounds(name, None)
        kept[name] = column[:end]
        values = [value for value in kept[name] if value is not None]
        if name != "frequency" and values and not low <= min(values) <= max(values) <= high:  # it has its own rule
            for row, value in enumerate(kept[name]):
                if value is not None and not low <= value <= high:
                    found[days[row]].codes.add("impossible_value")
                    kept[name][row] = None
    return recording._replace(times=times[:end], days=days[:end], columns=kept)


def _intervals(recording: Recording, device: Device) -> Iterator[tuple[facts.Facts, str]]:
    """Yield the facts of each interval that has rows, and the day of its first row."""
    times = recording.times
    if not times:
        return
    spacings = sorted(t2 - t1 for t1, t2 in pairwise(times)) or [0]
    spacing = spacings[len(spacings) // 2]
    length = max(1, -(-spacing // INTERVAL_MS)) * INTERVAL_MS
    join_ms = max(JOIN_MS_MAX, spacing * 3 // 2)
    stream = device.stream(recording)
    row = 0
    while row < len(times):
        a = times[row] - times[row] % length
        yield (
            facts.of_rows(facts.Place(device.name, stream, a, a + length), times, recording.columns, join_ms),
            (recording.days[row]),
        )
        row = bisect_right(times, a + length - 1, row)
