"""The challenge's check: do these raw frames prove that claim? A pure function; every doubt has a reason code."""

from collections import deque
from itertools import pairwise
from typing import Any, NamedTuple

from wattwire import cose, evidence, frame, merkle
from wattwire.errors import WireError

from .envelope import key_hash, signed_by
from .report import Report

FRAMES_MAX = 4096  # as many as a gateway makes an interval of


class AuditError(Exception):
    """The claim is lost; `reason` is a stable snake_case code."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Shown(NamedTuple):
    """One frame whose signature was found good."""

    raw: bytes
    payload: bytes
    record: Any  # wattwire.frame.Record


def audit(report: Report, figures: dict[str, Any], board: bytes, gateway: bytes, raws: list[bytes]) -> None:
    """Return if the frames prove what `gateway` (key hash) claims of `board` (public key), else raise AuditError."""
    if len(raws) > FRAMES_MAX:
        raise AuditError("too_long", f"at most {FRAMES_MAX} frames")
    shown = [_verify(board, raw) for raw in raws]
    _check_sequence(report, shown)
    if merkle.root(raws) != report.root:
        raise AuditError("bad_root")
    _check_streams(report, gateway, shown)
    _check_gaps(report, shown)
    _check_figures(report, figures, shown)


def _verify(board: bytes, raw: bytes) -> Shown:
    try:
        kid, payload, signature = cose.parse(raw)
        if kid != key_hash(board)[: cose.KID_SIZE]:
            raise AuditError("wrong_board", f"a frame of {kid.hex()}")
        if not signed_by(board, kid, payload, signature, cose.AAD):
            raise AuditError("bad_signature")
        return Shown(raw, payload, frame.decode(payload))
    except WireError as error:
        raise AuditError("bad_form", str(error)) from None


def _check_sequence(report: Report, shown: list[Shown]) -> None:
    """The frames must be the evidence's, each once, ascending, chained, complete but for holes the board declared."""
    places = [(one.record.log, one.record.seq) for one in shown]
    if len(set(places)) < len(places):
        raise AuditError("replayed_frame")
    if sorted(places) != places:
        raise AuditError("bad_order")
    holes = _holes(shown)
    remaining = deque(shown)
    for log, first, last in report.evidence:
        expected = first
        while remaining and expected <= remaining[0].record.seq <= last and remaining[0].record.log == log:
            one = remaining.popleft()
            _check_hole(holes, log, expected, one.record.seq - 1)
            expected = one.record.seq + 1
        _check_hole(holes, log, expected, last)
    if remaining:
        raise AuditError("extra_frame", f"log {remaining[0].record.log} seq {remaining[0].record.seq}")
    for before, one in pairwise(shown):
        if _follows(before, one) and one.record.prev != frame.prev_of(before.payload):
            raise AuditError("broken_chain", f"log {one.record.log} seq {one.record.seq}")
        if (before.record.boot, before.record.up) >= (one.record.boot, one.record.up):
            raise AuditError("equivocation", f"the board's own time does not rise to log {one.record.log}")


def _holes(shown: list[Shown]) -> list[tuple[int, int, int]]:
    return sorted((one.record.log, *one.record.lost) for one in shown if one.record.lost)


def _check_hole(holes: list[tuple[int, int, int]], log: int, first: int, last: int) -> None:
    """Nothing may be missing from `first` to `last` but what holes span."""
    if not _declared(holes, log, first, last):
        raise AuditError("missing_frames", f"log {log} seq {first} to {last}")


def _declared(holes: list[tuple[int, int, int]], log: int, first: int, last: int) -> bool:
    """Whether the board said that all of `first` to `last` is lost."""
    for of, low, high in holes:
        if of == log and low <= first <= high:
            first = high + 1
    return first > last


def _follows(before: Shown, one: Shown) -> bool:
    return bool(before.record.log == one.record.log and before.record.seq + 1 == one.record.seq)


def _check_streams(report: Report, gateway: bytes, shown: list[Shown]) -> None:
    """Every streams record names this gateway, every row's is shown, and the one in force at the end is as claimed."""
    known = {frame.prev_of(one.payload): one.record.body for one in shown if one.record.kind == frame.KIND_STREAMS}
    if any(body.gateway != gateway for body in known.values()):
        raise AuditError("wrong_gateway")
    if any(body.about.get("provenance", "board") != report.provenance for body in known.values()):
        raise AuditError("bad_provenance", "the frames say otherwise")
    for one in shown:
        if one.record.kind == frame.KIND_ROWS and one.record.body.streams_hash not in known:
            raise AuditError("missing_frames", "the streams record in force is not shown")
    stream = evidence.collect([one.record for one in shown], report.device, (), report.b).stream
    if stream is None:
        raise AuditError("unknown_stream", report.device)
    if (stream.role, stream.profile) != (report.role, report.profile):
        raise AuditError("bad_stream", f"it is {stream.role} by {stream.profile}")


def _check_gaps(report: Report, shown: list[Shown]) -> None:
    """No frame may be left out between two that hold rows of the stream inside the interval.

    Whoever could leave out two minutes of a cloud, or a counter's reset, would earn more: neighbours join over 120 s.
    """
    bodies = evidence.streams_by_hash([one.record for one in shown])
    dated = evidence.dates([one.record for one in shown])
    holes = _holes(shown)
    latest: int | None = None
    gap = False
    for at, one in enumerate(shown):
        gap = gap or (at > 0 and not _adjacent(holes, shown[at - 1], one))
        times = _row_times(report.device, one.record, bodies, dated)
        if times and gap and latest is not None and latest < report.b and min(times) > report.a:
            raise AuditError("missing_frames", f"before log {one.record.log} seq {one.record.seq}")
        if times:
            latest, gap = max(times), False


def _adjacent(holes: list[tuple[int, int, int]], before: Shown, one: Shown) -> bool:
    """Whether by the board's own word nothing that still exists lies between these two."""
    left, right = before.record, one.record
    if left.log == right.log:
        return _declared(holes, left.log, left.seq + 1, right.seq - 1)
    opens = right.kind == frame.KIND_STREAMS and right.seq == 1 and right.log == left.log + 1
    return opens and right.body.previous in {None, (left.seq, frame.prev_of(before.payload))}


def _row_times(device: str, record: Any, bodies: dict[bytes, Any], dated: dict[Any, int]) -> list[int]:
    start: int | None = evidence.unix_of_up(record, dated)
    if record.kind != frame.KIND_ROWS or start is None:
        return []
    names = evidence.devices(bodies[record.body.streams_hash])
    entries = [entry for entry in record.body.entries if names[entry.stream : entry.stream + 1] == [device]]
    return [time for entry in entries for time in frame.times(entry, start)]


def _check_figures(report: Report, figures: dict[str, Any], shown: list[Shown]) -> None:
    try:
        recomputed = evidence.figures([one.record for one in shown], report.device, report.a, report.b)
    except WireError as error:
        raise AuditError("bad_figures", str(error)) from None
    for name in sorted(recomputed.keys() | figures.keys()):
        if recomputed.get(name) != figures.get(name):
            raise AuditError(
                "bad_figures", f"{name}: claimed {figures.get(name)}, the frames say {recomputed.get(name)}"
            )
