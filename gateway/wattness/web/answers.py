"""What the API answers: the structs from which OpenAPI is described."""

from typing import Any

import msgspec

from wattness.store.views import BoardView, PointView, StreamView


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
    timezone: str  # whose days and hours the page shows
    broker: BrokerNow
    store: str = ""  # why nothing can be stored, in a sentence with the remedy; empty when all is well


class BoardNow(BoardView, frozen=True):
    """A board, with what the broker says of it."""

    online: str | None = None  # online | offline | null: never heard of


class SharedNow(msgspec.Struct, frozen=True):
    """A proxy through which others read a device: who is connected, and what became of requests since the start."""

    listen: str
    clients: int
    answered: dict[str, int]  # from the cache, or how else
    declined: dict[str, int]  # by reason
    ended: dict[str, int]  # connections, by reason


class DeviceNow(msgspec.Struct, frozen=True):
    """A device that the gateway reads itself."""

    name: str
    url: str
    role: str
    profile: str
    unit: int
    state: str  # new | metering | silent | wrong_map | unfit
    detail: str  # why it is not metering, in a sentence
    proxies: list[SharedNow]


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


class Flow(msgspec.Struct, frozen=True):
    """Where power goes now, in W; null is unknown, never 0. grid + is import, battery + charging, pv + generation."""

    at_unix_ms: int
    pv_w: int | None
    battery_w: int | None
    grid_w: int | None
    load_w: int | None
    vehicle_w: int | None
    load_derived: bool  # the load is pv + grid − battery − vehicle, as no stream measures it


class Reason(msgspec.Struct, frozen=True):
    """One reason of a verdict, in plain words."""

    code: str
    title: str
    text: str


class VerdictNow(msgspec.Struct, frozen=True):
    """A final interval that was not simply accepted."""

    id: int
    stream: int
    device: str
    role: str
    board_key: str  # hex
    a: int  # UTC unix milliseconds
    b: int
    verdict: str  # flagged | quarantined
    reasons: list[Reason]


class RuleNow(msgspec.Struct, frozen=True):
    """One rule of quality, and how often it has spoken."""

    code: str
    level: str  # flagged | quarantined
    title: str
    text: str
    count: int
    not_applied: str = ""  # why, and what would help, where it cannot be applied


class DailyReward(msgspec.Struct, frozen=True):
    """What a network paid in one day, by when the gateway learnt of it; days without pay are left out."""

    day: str  # YYYY-MM-DD in the site's time zone
    network: str
    amount: int
    unit: str


class BoardLogin(msgspec.Struct, frozen=True):
    """How a board logs in to its broker."""

    host: str
    port: int
    user: str
    password: str
    tls: bool


class Enrolled(msgspec.Struct, frozen=True):
    """What has to be put on a board; it is shown this once."""

    kid: str  # hex
    name: str
    gateway: str  # SHA-256 of the gateway's public key, in hex
    link_key: str  # hex
    mqtt: BoardLogin


class SettingsNow(msgspec.Struct, frozen=True):
    """The configuration file; it holds no secrets, only the names of files that do."""

    toml: str
    settings: dict[str, Any]
    restart_needed: bool  # the file differs from what the gateway runs with


class Change(msgspec.Struct, frozen=True):
    """One setting that differs; null is a default."""

    path: str
    old: Any
    new: Any


class SettingsVerdict(msgspec.Struct, frozen=True):
    """What becomes of new settings: whether they are good, and what differs."""

    ok: bool
    error: str | None
    changes: list[Change]
    restart_needed: bool


class Live(msgspec.Struct, frozen=True):
    """One event of the live stream: all that changes from second to second."""

    status: Status
    boards: list[BoardNow]
    streams: list[StreamNow]
    networks: list[NetworkNow]
    counters: dict[str, dict[str, int]]
    rows: list[Rows]  # only what is new since the last event


JsonObject = dict[str, Any]
