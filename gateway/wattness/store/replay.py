"""Rows read once more with what was wrong in a profile put right: the difference first, then, if wanted, for good.

Only the history changes: rows, aggregates and days. An interval follows from signed frames as their streams records
describe them, by anyone's reckoning; what is final, or claimed, is never rewritten.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec

from wattwire import evidence

from .board import read
from .chunks import unpack_stream
from .corrections import Corrections, Fix, PointFix, checked, dump, read_fixes
from .historian import Historian
from .history import AREA_PER_WH, EXPORT, IMPORT, POWER, decimal
from .history_schema import connect_history, history_path
from .recall import KNOWN, SLOT_MS, Known, Recall
from .schema import ask, connect_to_read
from .sums import Minutes, minutes_of

DAY_SLOTS = 86_400_000 // SLOT_MS
_DESCRIPTORS = (
    "SELECT lower(hex(board_key)), raw FROM descriptor JOIN frame USING (board_id, log, seq)"
    " JOIN board ON board.id = board_id WHERE ours = 1"
)
_CHUNKED = "SELECT DISTINCT lower(hex(board_key)), device, described FROM chunk JOIN stream ON stream.id = chunk.stream"
_INTERVALS = (
    "SELECT count(*), coalesce(sum(EXISTS (SELECT 1 FROM job WHERE interval_id = interval.id)"
    " OR EXISTS (SELECT 1 FROM part WHERE interval_id = interval.id)), 0) FROM interval"
    " JOIN stream ON stream.id = stream_id JOIN board ON board.id = board_id WHERE board_key = ? AND device = ?"
)


class Described(msgspec.Struct, frozen=True):
    """A profile as streams have it."""

    profile: str  # its id
    hash: str
    points: list[list[Any]]  # [name, unit, exponent, modulus]
    streams: list[str]  # board key/device


class PointChange(msgspec.Struct, frozen=True):
    """What a correction makes of one point of one stream."""

    point: str
    read_as: str
    unit: str
    values: int
    at_unix_ms: int | None  # of the example
    old: float | None
    new: float | None


class StreamChange(msgspec.Struct, frozen=True):
    """What a correction makes of one stream."""

    board_key: str
    device: str
    role: str
    points: list[PointChange]
    import_wh: list[int | None]  # before and after, over all that is held
    export_wh: list[int | None]
    intervals_kept: int  # final, and not rewritten
    intervals_claimed: int


class Replay:
    """Compares and applies one correction."""

    def __init__(self, store: apsw.Connection, history: apsw.Connection, future_ms: int) -> None:
        """Use `open_replay`."""
        self._store, self._history, self._future_ms = store, history, future_ms

    def profiles(self) -> list[Described]:
        """Return the profiles that streams name, as they were signed."""
        found: dict[tuple[str, bytes, Any], set[str]] = {}
        for name, stream in self._signed():
            found.setdefault((stream.profile, stream.profile_hash, stream.points), set()).add(name)
        return [
            Described(profile, digest.hex(), [list(point) for point in points], sorted(names))
            for (profile, digest, points), names in found.items()
        ]

    def fix_from(self, digest: str, points: dict[str, PointFix]) -> Fix:
        """Return the correction of what is otherwise in `points` than streams with that profile's hash have it."""
        changes: dict[str, PointFix] = {}
        for described in self.profiles():
            for name, unit, exponent, modulus in described.points if described.hash == digest else ():
                right = points.get(name)
                if right is not None:
                    change = PointFix(
                        unit=None if right.unit == unit else right.unit,
                        exponent=None if right.exponent == exponent else right.exponent,
                        modulus=None if right.modulus == modulus else right.modulus,
                    )
                    if change != PointFix():
                        changes[name] = change
        return checked(Fix(digest, changes), "the profile")

    def compare(self, fix: Fix) -> list[StreamChange]:
        """Return what would change, stream by stream."""
        fixes = read_fixes(self._history)
        sides = [
            Recall(self._store, self._history, self._future_ms, Corrections(one)) for one in (fixes, [*fixes, fix])
        ]
        digest = bytes.fromhex(fix.profile)
        with self._store:
            found = [self._compare(known, sides, digest) for known in self._affected(digest)]
        return [change for change in found if change.points]

    def apply(self, fix: Fix, now_ms: int) -> None:
        """Apply a correction, and sum up anew what it changes."""
        with self._history:
            self._history.execute(
                "INSERT INTO correction (profile, body, applied_ms) VALUES (?, ?, ?)",
                (bytes.fromhex(fix.profile), dump(fix), now_ms),
            )
            for known in self._affected(bytes.fromhex(fix.profile)):
                rows = [(known.id, slot) for slot in self._slots(known)]
                self._history.executemany("INSERT OR IGNORE INTO dirty (stream, slot) VALUES (?, ?)", rows)
        historian = Historian(self._store, self._history, self._future_ms)
        while historian.step():
            pass

    def _compare(self, known: Known, sides: list[Recall], digest: bytes) -> StreamChange:
        old, new = sides
        energies: list[dict[str, int]] = [{}, {}]
        points: dict[tuple[str, str], list[Any]] = {}
        for slot in self._slots(known):
            for side, recall in enumerate(sides):
                rows = [recall.rows(known, near) for near in (slot - 1, slot, slot + 1)]
                _add(energies[side], minutes_of(rows, slot))
            for before, after in zip(old.kept(known, slot), new.kept(known, slot), strict=True):
                if before.part.stream.profile_hash == digest:
                    _count(points, before, after)
        role = ask(self._history, "SELECT role FROM stream WHERE id = ?", (known.id,))[0][0]
        kept, claimed = ask(self._store, _INTERVALS, (known.board_key, known.device))[0]
        sums = [_wh(one, role) for one in energies]
        return StreamChange(
            known.board_key.hex(),
            known.device,
            role,
            [PointChange(*names, *figures) for names, figures in points.items()],
            [sums[0][0], sums[1][0]],
            [sums[0][1], sums[1][1]],
            kept,
            claimed,
        )

    def _affected(self, digest: bytes) -> list[Known]:
        """Return streams of which a streams record or a chunk names the profile."""
        names = {name for name, stream in self._signed() if stream.profile_hash == digest}
        known = [Known(*row) for row in ask(self._history, KNOWN)]
        return [one for one in known if f"{one.board_key.hex()}/{one.device}" in names]

    def _signed(self) -> Iterator[tuple[str, Any]]:
        for board_key, raw in ask(self._store, _DESCRIPTORS):
            body = read(raw).body
            for device, stream in zip(evidence.devices(body), body.streams, strict=True):
                yield f"{board_key}/{device}", stream
        for board_key, device, described in ask(self._history, _CHUNKED):
            yield f"{board_key}/{device}", unpack_stream(described)

    def _slots(self, known: Known) -> list[int]:
        """Return every quarter of an hour that has rows, in frames or in chunks."""
        rows = ask(self._history, "SELECT DISTINCT slot FROM span WHERE stream = ?", (known.id,))
        slots = {slot for (slot,) in rows}
        for (day,) in ask(self._history, "SELECT DISTINCT day FROM chunk WHERE stream = ?", (known.id,)):
            slots.update(range(day * DAY_SLOTS, (day + 1) * DAY_SLOTS))
        return sorted(slots)


def _add(sums: dict[str, int], minutes: Minutes) -> None:
    for (name, _), found in minutes.items():
        for bucket in found:
            for key, value in ((name, bucket.rise), (f"{name} under", bucket.fall)):
                if value is not None:
                    sums[key] = sums.get(key, 0) + value


def _wh(sums: dict[str, int], role: str) -> tuple[int | None, int | None]:
    """Return import and export, as `History.days` tells them."""
    if IMPORT in sums or EXPORT in sums:
        counted = [None if name not in sums else sums[name] // 1000 for name in (IMPORT, EXPORT)]
        return counted[0], counted[1]
    over, under = (None if key not in sums else sums[key] // AREA_PER_WH for key in (POWER, f"{POWER} under"))
    return (under, over) if role == "pv" else (over, under)


def _count(points: dict[tuple[str, str], list[Any]], before: Any, after: Any) -> None:
    """Add the values that differ: [unit, how many, time, old and new of the first]."""
    for at, signed in enumerate(before.part.stream.points):
        names = [_name(kept.part.read_as, at) for kept in (before, after)]
        old, new = (kept.part.columns().get(name) for kept, name in zip((before, after), names, strict=True))
        units = [kept.part.read_as.points[at].unit for kept in (before, after)]
        if (names[0], old, units[0]) == (names[1], new, units[1]):
            continue
        rows = [row for row in before.rows if (old and old[row]) is not None or (new and new[row]) is not None]
        if not rows:
            continue
        found = points.get((signed.name, names[1]))
        if found is None:
            example = rows[0]
            values = [decimal(column[example]) if column else None for column in (old, new)]
            found = points[signed.name, names[1]] = [units[1], 0, before.part.times[example], *values]
        found[1] += len(rows)


def _name(stream: Any, at: int) -> str:
    name = stream.points[at].name
    return str(evidence.read_name(name) if stream.inverted else name)


@contextmanager
def open_replay(path: Path, future_ms: int) -> Iterator[Replay]:
    """Open a store and its history. Raises StoreError."""
    store = connect_to_read(path)
    try:
        history = connect_history(history_path(path))
        try:
            yield Replay(store, history, future_ms)
        finally:
            history.close()
    finally:
        store.close()
