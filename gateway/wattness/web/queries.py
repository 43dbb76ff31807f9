"""What the API is asked: parameters and bodies, as the structs from which OpenAPI is described."""

import datetime as dt
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

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


class HistoryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """Which part of a point's past; without times the last day."""

    stream: Id
    point: Name | None = None  # without it: the stream's power
    since: Time | None = None
    until: Time | None = None
    step: Literal["auto", "1m", "5m", "1h", "1d"] = "auto"


class DaysQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """Which days of a stream, of the site's time zone; without them the last week."""

    stream: Id
    since: dt.date | None = None
    until: dt.date | None = None


class SenmlQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """Which readings of a stream; without times the last hour."""

    stream: Id
    since: Time | None = None
    until: Time | None = None
    point: Name | None = None  # without it: all of them


class VerdictsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which verdicts; `before` is the id to page on from."""

    stream: Id | None = None
    before: Id | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class DailyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """Which days' rewards, of the site's time zone; without days the last month."""

    network: Name | None = None
    since: dt.date | None = None
    until: dt.date | None = None


class BoardQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which board, by its key id."""

    kid: Annotated[str, Meta(pattern="^[0-9a-f]{16}$", description="The board's key id, in hex")]


class SettingsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether settings are only looked at, or written."""

    dry_run: bool = True


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token that `wattness token show` shows."""

    token: Annotated[str, Meta(min_length=1, max_length=200)]


class Enrolment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A board to be made known."""

    public_key: Annotated[str, Meta(pattern="^04[0-9a-fA-F]{128}$", description="What the board showed, in hex")]
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    host: Annotated[str, Meta(max_length=253, description="The broker's name or address as boards see it")] = ""


class NewSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole text of gateway.toml as it shall be."""

    toml: Annotated[str, Meta(max_length=48_000)]
