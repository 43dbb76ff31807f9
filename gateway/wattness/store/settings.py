"""What the store needs to know of the gateway."""

from typing import NamedTuple

import msgspec

from wattness.clock import Clock
from wattness.config import Interval
from wattness.quality import Judge


class Wants(NamedTuple):
    """Of which intervals a network wants reports, and in which order."""

    network: str
    roles: frozenset[str] = frozenset()  # of streams; empty: all
    devices: frozenset[str] = frozenset()  # their ids, or <board's kid>/<id>; empty: all
    scope: str = "stream"  # | board: one report for all of a board's
    window_ms: int = 0  # 0: of each interval; else of all that are final in such a window
    serial: str = "none"  # | stream | network: within these one after the other

    def is_simple(self) -> bool:
        """Tell whether each interval makes a report of its own, whatever became of the others."""
        return not self.window_ms and self.scope == "stream" and self.serial == "none"

    def takes(self, role: str, device: str, board_key: bytes) -> bool:
        """Tell whether a stream is one of those that are reported."""
        return (not self.roles or role in self.roles) and self.names(device, board_key)

    def names(self, device: str, board_key: bytes) -> bool:
        """Tell whether a stream is among the chosen devices."""
        return not self.devices or device in self.devices or f"{board_key[:8].hex()}/{device}" in self.devices


class Settings(msgspec.Struct, frozen=True):
    """The store's settings; all but the gateway have defaults."""

    gateway: bytes  # 32 bytes: SHA-256 of the gateway's public key, as streams records name it
    networks: tuple[Wants, ...] = ()
    interval: Interval = Interval()
    clock: Clock = Clock()
    judge: Judge = msgspec.field(default_factory=Judge)
    window_ms: int = 30  # two commits are at least this far apart; what comes in between shares the next one
    frames_max: int = 512  # … or this many frames
