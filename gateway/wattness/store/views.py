"""What the store shows to the page, the API and the command line; plain values."""

from typing import Any

import msgspec


class LogView(msgspec.Struct, frozen=True):
    """One log of a board: how far it is complete, and how far it reaches."""

    log: int
    head: int  # every frame up to here is on disk (or declared lost): what was acknowledged
    top: int  # the highest seq held
    frames: int
    last_unix_ms: int  # when the newest frame came in


class BoardView(msgspec.Struct, frozen=True):
    """A board and how it is doing."""

    id: int
    name: str
    kid: str  # hex
    board_key: str  # hex
    state: str
    reason: str
    enrolled_unix_ms: int
    last_unix_ms: int | None  # when its newest frame came in
    log: LogView | None  # its newest log
    health: dict[str, Any] | None  # its newest health record
    provenance: str = "board"  # board | gateway: who read the meters and signed


class PointView(msgspec.Struct, frozen=True):
    """One point of a stream: its name, unit and exponent."""

    name: str
    unit: str
    exponent: int


class StreamView(msgspec.Struct, frozen=True):
    """One device as one board sees it."""

    id: int
    board_id: int
    board: str  # the board's name
    board_key: str  # hex
    device: str
    role: str
    profile: str
    unit: int
    rated_w: int | None
    points: list[PointView]
    first_unix_ms: int | None
    last_unix_ms: int | None  # its last row
    open_unix_ms: int | None  # everything before is in final intervals
    provenance: str = "board"  # of its board


class JobView(msgspec.Struct, frozen=True):
    """One report's way to one network, as a person sees it."""

    id: int
    network: str
    key: str
    state: str  # available | running | retryable | completed | discarded
    attempt: int
    due_unix_ms: int
    reason: str
    receipt: str | None
    receipt_detail: dict[str, Any] | None


class IntervalView(msgspec.Struct, frozen=True):
    """A final interval and what became of its reports."""

    id: int
    stream_id: int
    board_key: str  # hex
    device: str
    role: str
    profile: str
    a: int
    b: int
    figures: dict[str, Any]
    evidence: list[list[int]]
    root: str  # hex
    verdict: str
    reasons: list[str]
    rated_w: int | None
    jobs: list[JobView]


class Depth(msgspec.Struct, frozen=True):
    """How many jobs of a network are in a state, and since when the oldest waits."""

    network: str
    state: str
    count: int
    oldest_unix_ms: int | None  # civil time of its creation; null: none of them waits


class Hole(msgspec.Struct, frozen=True):
    """Frames that a board has made and we do not hold, though later ones are here."""

    board_id: int
    log: int
    first: int
    last: int
    since_unix_ms: int  # when the frame behind it came in


class RewardView(msgspec.Struct, frozen=True):
    """What a network paid for one stream in one epoch."""

    network: str
    epoch: int
    board_key: str  # hex
    device: str
    amount: int
    detail: dict[str, Any]


class FrameView(msgspec.Struct, frozen=True):
    """One raw frame of an export."""

    board_key: str  # hex
    log: int
    seq: int
    kind: int
    received_unix_ms: int
    raw: bytes
