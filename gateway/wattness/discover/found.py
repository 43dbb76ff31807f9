"""What a search finds: a device, and for each of its roles an offer of how to read it."""

from enum import StrEnum
from typing import NamedTuple

from wattness.devices import Address


class Confidence(StrEnum):
    """How sure an offer is."""

    CERTAIN = "certain"  # the device says itself what it is
    LIKELY = "likely"  # something that few other devices have was found
    POSSIBLE = "possible"  # its values make sense, no more: `answers like`

    @property
    def rank(self) -> int:
        """0 for the surest."""
        return tuple(Confidence).index(self)


class Offer(NamedTuple):
    """A profile with which the device can be read as one role."""

    profile: str
    role: str
    confidence: Confidence
    why: str
    rated_w: int | None = None
    read_ms: int = 0  # how long its default points took to read


class Found(NamedTuple):
    """A unit that answered, and is taken for something."""

    address: Address
    unit: int
    maker: str | None
    model: str | None
    serial: str | None
    offers: tuple[Offer, ...]
    connect_pause_ms: int = 0
    fingerprint: tuple[object, ...] = ()  # alike for one device that answers by several unit numbers


class Mute(NamedTuple):
    """Somebody was there, and nothing came of it."""

    address: Address
    why: str
