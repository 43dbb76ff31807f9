"""What the API answers and is asked: the structs from which OpenAPI is described."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from wattness.store.views import BoardView, PointView, StreamView

INTEGER_MAX = (1 << 53) - 1  # what JavaScript holds exactly

Id = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]
Time = Annotated[int, Meta(ge=0, le=INTEGER_MAX, description="UTC unix milliseconds")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request without parameters."""


class RowsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows of a stream."""

    stream: Id
    since: Time = 0
    limit: Annotated[int, Meta(ge=1, le=20_000)] = 5000
    point: Name | None = None  # without it: the stream's power


class IntervalsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which final intervals; `before` is the id to page on from."""

    stream: Id | None = None
    before: Id | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class RewardsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rewards, newest epoch first."""

    network: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1000


class Problem(msgspec.Struct, frozen=True):
    """What was wrong with a request, in one sentence."""

    error: str


class BrokerNow(msgspec.Struct, frozen=True):
    """The boards' broker as the gateway sees it."""

    own: bool
    address: str
    connected: bool
    error: str
    connects: int
    restarts: int


class Status(msgspec.Struct, frozen=True):
    """The gateway in a glance."""

    version: str
    gateway: str  # SHA-256 of its public key, in hex
    now_unix_ms: int  # civil time, which a demo may run faster
    started_unix_ms: int
    rate: int
    broker: BrokerNow


class BoardNow(BoardView, frozen=True):
    """A board, with what the broker says of it."""

    online: str | None = None  # online | offline | null: never heard of


class StreamNow(StreamView, frozen=True):
    """A stream, with the point that the page plots."""

    leading: PointView | None = None


class Rows(msgspec.Struct, frozen=True):
    """One point's rows, ascending; a null value is a value that the device did not give."""

    stream: int
    point: str
    unit: str
    rows: list[list[int | float | None]]  # [UTC unix ms, value in `unit`]


class NetworkNow(msgspec.Struct, frozen=True):
    """A reward network: what waits for it and what it did."""

    name: str
    kind: str
    url: str
    jobs: dict[str, int]  # by state: available, running, retryable, completed, discarded
    depth: int  # jobs that still have to be sent
    oldest_unix_ms: int | None  # since when the oldest of them waits
    last_receipt: str | None
    last_reason: str | None  # why its newest waiting or discarded report is not completed
    paid: int
    epoch: int | None


class Counters(msgspec.Struct, frozen=True):
    """How often what happened: {"rejected": {"bad_signature": 3}, …}."""

    counters: dict[str, dict[str, int]]


class Live(msgspec.Struct, frozen=True):
    """One event of the live stream: all that changes from second to second."""

    status: Status
    boards: list[BoardNow]
    streams: list[StreamNow]
    networks: list[NetworkNow]
    counters: dict[str, dict[str, int]]
    rows: list[Rows]  # only what is new since the last event


JsonObject = dict[str, Any]
