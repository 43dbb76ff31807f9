"""What the gateway's rooms hand to one another; plain values, no behaviour."""

from decimal import Decimal
from typing import Any, NamedTuple

import msgspec


class Board(msgspec.Struct, frozen=True):
    """An enrolled board. `state`: active | quarantined | removed."""

    id: int
    name: str
    public_key: bytes  # 65 bytes, uncompressed point
    kid: bytes  # first 8 bytes of board_key
    board_key: bytes  # SHA-256 over public_key
    link_key: bytes  # 32 random bytes
    password: str  # of its broker login; the login's name is kid.hex()
    state: str = "active"
    reason: str = ""
    enrolled_unix_ms: int = 0
    provenance: str = "board"  # board | gateway: what the gateway itself read and signed


class Arrival(NamedTuple):
    """One frame as it came from a source: unverified, and typed so that nobody mistakes it."""

    kid: bytes  # who the topic says it is from
    raw: bytes


class Verified(NamedTuple):
    """One frame whose signature and form are good."""

    board_id: int
    raw: bytes
    digest: bytes  # SHA-256 over the payload, 32 bytes
    leaf: bytes  # the frame in an evidence tree, 32 bytes (wattwire.merkle.leaf_hash)
    record: Any  # wattwire.frame.Record


class Ack(NamedTuple):
    """What to tell a board: every frame of `log` up to `seq` is on disk."""

    board_id: int
    log: int
    seq: int


class LogEnd(NamedTuple):
    """The newest frame of a log."""

    log: int
    seq: int
    prev: bytes  # what the next record's prev must say
    boot: int
    is_whole: int = 1  # 0: frames before it are missing


class Report(msgspec.Struct, frozen=True):
    """A final interval, in canonical units and signs; adapters convert it to what a network wants."""

    board_key: bytes  # 32 bytes
    device: str  # hex of the serial's hash, else the stream's index in decimal: the slot's middle part
    role: str
    profile: str
    a: int  # UTC unix ms
    b: int
    figures: dict[str, Any]  # as wire.md §4 and vectors.json: milli-units, integers
    evidence: list[list[int]]  # [[log, first, last], …] ascending
    root: bytes  # RFC 9162 Merkle root over the evidence's frames
    verdict: str = "accepted"  # accepted | flagged | quarantined
    reasons: list[str] = []
    rated_w: int | None = None
    provenance: str = "board"
    rules: int = 1


class Reading(NamedTuple):
    """The points of one stream at one instant."""

    unix_ms: int
    values: dict[str, Decimal]  # by point name, in the point's unit; a point without a value is absent


class Job(msgspec.Struct, frozen=True):
    """One report's way to one network. State: available | running | retryable | completed | discarded."""

    id: int
    network: str
    key: str  # idempotency key: board key, device, a
    reports: tuple[Report, ...]  # the final intervals that it speaks of, ascending
    b: int  # where its slot ends, UTC unix ms
    attempt: int
    body: bytes | None  # the signed bytes, once they exist; always resent unchanged
    memory: dict[str, int | str] = {}  # the adapter's, as the report before left it
    turn: str | None = None  # jobs of one turn go one after another


class Receipt(NamedTuple):
    """What a network answered."""

    id: str
    detail: dict[str, Any]


class Reward(NamedTuple):
    """What a network paid for one stream in one epoch, and why."""

    epoch: int
    board_key: bytes
    device: str
    amount: int
    detail: dict[str, Any]


class Endpoint(NamedTuple):
    """Where the boards' broker is and how the gateway logs in to it."""

    host: str
    port: int
    user: str
    password: str
    tls: bool = False
    ca_file: str = ""  # empty: the system's certificates


class Login(NamedTuple):
    """A board's login at the broker."""

    user: str  # kid, in hex
    password: str
