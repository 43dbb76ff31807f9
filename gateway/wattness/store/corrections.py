"""What a profile had wrong, put right on reading: the signed integers stay, other words are said about them.

A correction is data: the profile's hash as boards signed it, and for its points what they are to be read as:

    {"profile": "<32 hex digits>", "inverted": true, "points": {"power": {"exponent": 0, "sign": -1, "name": …}}}
"""

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any

import apsw
import msgspec

from wattness.errors import ConfigError
from wattwire import evidence, frame

from .schema import ask

POINTS_MAX = 200
STREAMS_MAX = 1000  # that are remembered
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class PointFix(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a point is to be read as; what is not said stays."""

    name: Name | None = None
    unit: Name | None = None
    exponent: Annotated[int, msgspec.Meta(ge=-frame.EXPONENT_MAX, le=frame.EXPONENT_MAX)] | None = None
    modulus: Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)] | None = None
    sign: Annotated[int, msgspec.Meta(ge=-1, le=1)] = 1


class Fix(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One correction of one profile."""

    profile: str
    points: dict[str, PointFix] = {}
    inverted: bool | None = None  # the wiring is the other way round than its streams record says


class Corrections:
    """Every correction in force; a later one is applied to what an earlier one made."""

    def __init__(self, fixes: Sequence[Fix] = ()) -> None:
        """`fixes` in the order in which they were applied."""
        self.fixes = list(fixes)
        self._by_profile: dict[bytes, list[Fix]] = {}
        for fix in fixes:
            self._by_profile.setdefault(bytes.fromhex(fix.profile), []).append(fix)
        self._read: dict[Any, tuple[Any, frozenset[str]]] = {}

    def stream(self, stream: Any) -> Any:
        """Return the stream (`wattwire.frame.Stream`) as it is to be read."""
        return self._corrected(stream)[0] if stream.profile_hash in self._by_profile else stream

    def negated(self, stream: Any) -> frozenset[str]:
        """Return the names, as they are read, of points whose sign changes by itself."""
        return self._corrected(stream)[1] if stream.profile_hash in self._by_profile else frozenset()

    def _corrected(self, stream: Any) -> tuple[Any, frozenset[str]]:
        found = self._read.get(stream)
        if found is None:
            if len(self._read) >= STREAMS_MAX:
                self._read.clear()
            found = self._read[stream] = _apply(stream, self._by_profile[stream.profile_hash])
        return found


Columns = dict[str, list[int | None]]


def read_entry(
    entry: Any, stream: Any, start: int, corrections: Corrections, names: set[str] | None = None
) -> tuple[list[int], Columns]:
    """Return (times, columns in milli-units) of an entry whose stream a board signed as `stream`."""
    columns: Columns
    times, columns = evidence.entry_rows(entry, corrections.stream(stream), start, names)
    for name in corrections.negated(stream) & columns.keys():
        columns[name] = [None if value is None else -value for value in columns[name]]
    return times, columns


def _apply(stream: Any, fixes: Sequence[Fix]) -> tuple[Any, frozenset[str]]:
    points = list(stream.points)
    signs = [1] * len(points)
    inverted = stream.inverted
    for fix in fixes:
        inverted = inverted if fix.inverted is None else fix.inverted
        for at, point in enumerate(points):
            change = fix.points.get(point.name)
            if change is not None:
                signs[at] *= change.sign
                points[at] = _changed(point, change)
    names = [evidence.read_name(point.name) if inverted else point.name for point in points]
    negated = frozenset(name for name, sign in zip(names, signs, strict=True) if sign < 0)
    return stream._replace(points=tuple(points), inverted=inverted), negated


def _changed(point: Any, change: PointFix) -> Any:
    return frame.Point(
        change.name or point.name,
        change.unit or point.unit,
        point.exponent if change.exponent is None else change.exponent,
        change.modulus or point.modulus,
    )


def parse(text: str | bytes, source: str) -> Fix:
    """Return the correction in a JSON text; raises ConfigError that names the `source` and the key's path."""
    try:
        fix = msgspec.json.decode(text, type=Fix)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: {error}.") from None
    return checked(fix, source)


def checked(fix: Fix, source: str) -> Fix:
    """Return the correction if it says something; raises ConfigError that names the `source`."""
    if not re.fullmatch(r"[0-9a-f]{32}", fix.profile):
        raise ConfigError(f"{source}: $.profile: must be the profile's hash as boards name it, 32 hexadecimal digits.")
    if len(fix.points) > POINTS_MAX or not (fix.points or fix.inverted is not None):
        raise ConfigError(f"{source}: $.points: must name from 1 to {POINTS_MAX} points, or give `inverted`.")
    for name, change in fix.points.items():
        if change.sign == 0 or change == PointFix():
            raise ConfigError(f"{source}: $.points.{name}: must change something, and a sign is 1 or -1.")
    return fix


def read_fixes(history: apsw.Connection) -> list[Fix]:
    """Return the corrections in force, in the order in which they were applied."""
    rows = ask(history, "SELECT body FROM correction ORDER BY id")
    return [msgspec.json.decode(body, type=Fix) for (body,) in rows]


def dump(fix: Fix) -> str:
    """Return the JSON text of a correction."""
    return json.dumps(msgspec.to_builtins(fix), sort_keys=True)
