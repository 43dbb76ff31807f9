"""What the store needs to know of the gateway."""

import msgspec

from wattness.clock import Clock
from wattness.config import Interval
from wattness.quality import Judge


class Settings(msgspec.Struct, frozen=True):
    """The store's settings; all but the gateway have defaults."""

    gateway: bytes  # 32 bytes: SHA-256 of the gateway's public key, as streams records name it
    networks: tuple[str, ...] = ()  # each final interval makes one job per name
    interval: Interval = Interval()
    clock: Clock = Clock()
    judge: Judge = msgspec.field(default_factory=Judge)
    window_ms: int = 30  # two commits are at least this far apart; what comes in between shares the next one
    frames_max: int = 512  # … or this many frames
