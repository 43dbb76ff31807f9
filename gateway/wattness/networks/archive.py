"""A board's day as an archive: its root block promises every frame, and the file is made from it, piece by piece."""

import datetime as dt
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple

import cbor2

from wattness.errors import RefusedError
from wattness.model import Report
from wattwire import cose, frame

from . import car
from .base import Sources

FORMAT = "wattness/day/1"
BATCH = 64  # frames that are in memory at a time
FRAMES_MAX = 20_000  # of a day; a board of a row in ten seconds makes about 1,440
ROOT_BYTES_MAX = 1 << 20  # larger blocks do not travel between IPFS nodes

Span = tuple[int, int, int]  # log, first, last


async def root_block(reports: Sequence[Report], sources: Sources) -> bytes:
    """Return the root block of the reports of one board's day; raises RefusedError with a reason.

    The same reports give the same bytes, whatever network they are for.
    """
    first = reports[0]
    if any(report.verdict == "quarantined" for report in reports):
        raise RefusedError("quarantined", "an interval of this day may not be claimed")
    board = await sources.board(first.board_key)
    if board is None:
        raise RefusedError("unknown_board", "the board is no longer enrolled here")
    spans = union(report.evidence for report in reports)
    if sum(last - begin + 1 for _, begin, last in spans) > FRAMES_MAX:
        raise RefusedError("too_many_frames", f"a day may have {FRAMES_MAX}")
    promised = await _promise(first.board_key, spans, sources)
    begin = min(report.a for report in reports)
    root = car.block(
        {
            "format": FORMAT,
            "board": first.board_key,
            "public_key": board.public_key,
            "gateway": promised.gateway,
            "provenance": first.provenance,
            "day": dt.datetime.fromtimestamp(begin // 1000, dt.UTC).date().isoformat(),
            "rules": first.rules,
            "frames": promised.runs,
            "frame_bytes": promised.size,
            "streams": _streams(reports),
        }
    )
    if len(root) > ROOT_BYTES_MAX:
        raise RefusedError("too_many_intervals", f"a day's root block may have {ROOT_BYTES_MAX} bytes")
    return root


class Archive:
    """The CARv1 file of a root block; its bytes follow from the block alone, whenever they are made."""

    def __init__(self, root: bytes, sources: Sources) -> None:
        """`root` is what `root_block` returned."""
        self.cid = car.cid(root)
        self.value: dict[str, Any] = cbor2.loads(root)
        self.count = 1 + sum(len(links) for _, _, links in self.value["frames"])
        self._begin = car.header(self.cid) + car.section(self.cid, root)
        self.size = len(self._begin) + self.value["frame_bytes"]
        self.name = f"{self.value['day']}-{self.value['board'][:8].hex()}-{car.cid_text(self.cid)[-8:]}"
        self._sources = sources

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the file; raises RefusedError when a frame is gone, or is not the one that was promised."""
        yield self._begin
        for log, first, links in self.value["frames"]:
            for at in range(0, len(links), BATCH):
                promised = links[at : at + BATCH]
                span = (log, first + at, first + at + len(promised) - 1)
                frames = await frames_of(self.value["board"], span, self._sources)
                yield b"".join(map(_section, frames, promised))


async def frames_of(board_key: bytes, span: Span, sources: Sources) -> list[bytes]:
    """Return the frames of a span, all of them; raises RefusedError when one is gone."""
    log, first, last = span
    found = await sources.frames(board_key, [span])
    if len(found) != last - first + 1:
        raise RefusedError("no_evidence", f"frames {first} to {last} of log {log} are no longer all held")
    return found


def union(evidence: Iterable[list[list[int]]]) -> list[Span]:
    """Return the spans of several intervals' evidence as one: ascending, neither overlapping nor touching."""
    spans: list[Span] = []
    for log, first, last in sorted({(log, first, last) for ranges in evidence for log, first, last in ranges}):
        if spans and spans[-1][0] == log and first <= spans[-1][2] + 1:
            spans[-1] = (log, spans[-1][1], max(last, spans[-1][2]))
        else:
            spans.append((log, first, last))
    return spans


def _section(raw: bytes, promised: cbor2.CBORTag) -> bytes:
    block = car.bytes_block(raw)
    cid = car.cid(block)
    if car.link(cid) != promised:
        raise RefusedError("frame_changed", "the database holds another frame than was promised")
    return car.section(cid, block)


class _Promise(NamedTuple):
    runs: list[Any]  # [[log, first, links], …]
    size: int  # of the frames' blocks in the file
    gateway: bytes  # hash of the key that the board reports to, in its own words


async def _promise(board_key: bytes, spans: Sequence[Span], sources: Sources) -> _Promise:
    """Return what to promise of the frames in these spans."""
    runs, size, gateway = [], 0, None
    for log, first, last in spans:
        links: list[cbor2.CBORTag] = []
        for at in range(first, last + 1, BATCH):
            for raw in await frames_of(board_key, (log, at, min(last, at + BATCH - 1)), sources):
                block = car.bytes_block(raw)
                links.append(car.link(car.cid(block)))
                size += car.section_size(len(block))
                gateway = gateway or _gateway_of(raw)
        runs.append([log, first, links])
    if gateway is None:
        raise RefusedError("no_streams", "none of the frames says which gateway they are for")
    return _Promise(runs, size, gateway)


def _gateway_of(raw: bytes) -> bytes | None:
    """Return the gateway that a frame names, if it is a streams record."""
    record = frame.decode(cose.parse(raw)[1])
    return bytes(record.body.gateway) if record.kind == frame.KIND_STREAMS else None


def _streams(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """Return the intervals by stream, with what proves each of them, and nothing of what was measured."""
    found: dict[tuple[str, str, str], list[Any]] = {}
    for report in sorted(reports, key=lambda report: (report.device, report.a)):
        proof = [report.a, report.b, report.verdict, report.root, report.evidence]
        found.setdefault((report.device, report.role, report.profile), []).append(proof)
    return [
        {"device": device, "role": role, "profile": profile, "intervals": intervals}
        for (device, role, profile), intervals in found.items()
    ]
