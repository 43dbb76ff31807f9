"""What a gateway claims: one final interval of one stream, parsed strictly."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from .refusal import RefusalError

RULES = 1  # wire.md §4
LENGTH_MS_MIN = 1_000
LENGTH_MS_MAX = 86_400_000
ENERGY_MWH_MAX = 10**12  # 1 GWh in one interval: far above any site, far below where integers end
RANGES_MAX = 4096  # one per frame of the longest proof; 8 KiB of a report hold fewer
_INT_MAX = (1 << 53) - 1

Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]
Ms = Annotated[int, Meta(ge=0, le=_INT_MAX)]
Count = Annotated[int, Meta(ge=0, le=_INT_MAX)]
Energy = Annotated[int, Meta(ge=0, le=ENERGY_MWH_MAX)]
Milliwatts = Annotated[int, Meta(ge=-_INT_MAX, le=_INT_MAX)]
Energies = Annotated[dict[Word, Energy], Meta(max_length=16)]


class Power(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Statistics of power in mW over the rows inside the interval."""

    n: Count
    min: Milliwatts
    max: Milliwatts
    mean: Milliwatts


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """wire.md §4, in milli-units."""

    covered_ms: Count
    counter_resets: Count
    energy: Energies
    gap_energy: Energies
    rows: Count
    power: Power | None = None


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The signed content of a claim; field names are the keys on the wire."""

    rules: Literal[1]
    board: Key
    device: Annotated[str, Meta(pattern=r"\A([0-9a-f]{32}|0|[1-9][0-9]{0,3})\Z")]
    role: Literal["pv", "battery", "grid", "load", "vehicle", "charger"]
    profile: Word
    a: Ms
    b: Ms
    figures: Figures
    evidence: Annotated[list[tuple[Count, Count, Count]], Meta(min_length=1, max_length=RANGES_MAX)]
    root: Key
    verdict: Literal["accepted", "flagged", "quarantined"]
    reasons: Annotated[list[Word], Meta(max_length=16)]
    provenance: Literal["board", "gateway"]  # who read the meter and signed the frames
    rated_w: Count | None = None


def read(value: dict[Any, Any]) -> tuple[Report, dict[str, Any]]:
    """Return the report and its figures exactly as signed; raises RefusalError."""
    if value.get("rules") != RULES:
        raise RefusalError(422, "bad_rules", "this network settles by rules = 1")
    for name in ("board", "root"):  # msgspec would take base64 text for bytes
        if not isinstance(value.get(name), bytes):
            raise RefusalError(422, "bad_type", f"$.{name} must be a byte string")
    try:
        report = msgspec.convert(value, Report)
    except msgspec.ValidationError as error:
        raise RefusalError(422, _reason(str(error)), str(error)) from None
    _check(report)
    return report, value["figures"]


def check_time(report: Report, now_ms: int, age_ms_max: int, future_ms: int) -> None:
    """Refuse intervals that are not over yet, and those too old to be settled."""
    if report.b > now_ms + future_ms:
        raise RefusalError(425, "too_early", "the interval ends in the future of this network's clock")
    if report.b < now_ms - age_ms_max:
        raise RefusalError(422, "too_old", f"intervals are taken up to {age_ms_max // 3_600_000} h after their end")


def _check(report: Report) -> None:
    if not LENGTH_MS_MIN <= report.b - report.a <= LENGTH_MS_MAX:
        raise RefusalError(422, "bad_range", "an interval lasts one second to one day")
    if report.figures.covered_ms > report.b - report.a:
        raise RefusalError(422, "bad_range", "more time covered than the interval has")
    if report.verdict == "quarantined":
        raise RefusalError(422, "quarantined", "a quarantined interval cannot be claimed")
    end = (-1, -1)
    for log, first, last in report.evidence:
        if not (log, first) > end or not 1 <= first <= last:
            raise RefusalError(422, "bad_range", "$.evidence must be ascending, apart and from seq 1 on")
        end = (log, last)


def _reason(text: str) -> str:
    if "unknown field" in text:
        return "unknown_key"
    if "missing required" in text:
        return "missing_key"
    return "bad_range" if any(mark in text for mark in ("length", ">=", "<=", "matching")) else "bad_type"
