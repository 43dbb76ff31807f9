"""Where the gateway's own log goes on in this life, and which time its rows have."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from wattness.clock import Clock
from wattness.errors import ConfigError
from wattness.model import LogEnd
from wattness.private import write_private
from wattwire.records import HASH_SIZE

log = logging.getLogger(__name__)

EARLIEST_MS = 1_750_000_000_000  # a clock that says less was never set
FILE_SIZE_MAX = 4096


class Origin(NamedTuple):
    """What the first record of this life continues."""

    log: int
    seq: int  # of the record before it
    prev: bytes
    boot: int  # of this life
    previous: tuple[int, bytes] | None = None  # of the log before, for a log's first record


def origin(stored: LogEnd | None, marked: LogEnd | None) -> Origin:
    """Return where to go on behind what the database holds and what the mark remembers."""
    boot = max(end.boot for end in (stored, marked, LogEnd(0, 0, b"", 0)) if end is not None) + 1
    newest = max((end for end in (stored, marked) if end is not None), key=lambda end: end[:2], default=None)
    if newest is None:
        return Origin(1, 0, bytes(HASH_SIZE), boot)
    if newest[:2] == (stored[:2] if stored else None) and stored is not None and stored.is_whole:
        return Origin(stored.log, stored.seq, stored.prev, boot)
    log.warning("own log begins anew log=%d: the database lacks frames of the one before", newest.log + 1)
    return Origin(newest.log + 1, 0, bytes(HASH_SIZE), boot, (newest.seq, newest.prev))


class Mark:
    """How far a key's log had come, kept apart from the database; it may lag behind, and may be missing."""

    def __init__(self, home: Path, kid: bytes) -> None:
        """The file is made with the first `write`."""
        self.path = home / f"own-{kid.hex()}.mark"

    def read(self) -> LogEnd | None:
        """Return what was marked, or None; raises ConfigError for a file that says nothing sensible."""
        try:
            with self.path.open("rb") as file:
                form: Any = json.loads(file.read(FILE_SIZE_MAX))
            return LogEnd(int(form["log"]), int(form["seq"]), bytes.fromhex(form["prev"]), int(form["boot"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self.path} cannot be read ({error}); remove it only if the database was never restored."
            ) from None

    def write(self, number: int, seq: int, prev: bytes, boot: int) -> None:
        """Mark a frame that is on disk."""
        form = {"log": number, "seq": seq, "prev": prev.hex(), "boot": boot}
        try:
            write_private(self.path, json.dumps(form) + "\n")
        except ConfigError as error:  # a full disk: the mark lags, which only matters after a restore
            log.warning("mark not written error=%s", error)


class Uptime:
    """Civil ms since this object was made, that never jump; and the civil time that they stand for."""

    def __init__(self, clock: Clock, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Time begins now."""
        self.clock = clock
        self._monotonic_ns = monotonic_ns
        self._began_ns = monotonic_ns()

    def now_ms(self) -> int:
        """Return the ms since the beginning."""
        return (self._monotonic_ns() - self._began_ns) * self.clock.rate // 1_000_000

    def unix(self, up_ms: int) -> int | None:
        """Return the UTC ms at `up_ms`, or None while the clock was never set."""
        unix_ms = self.clock.now_ms() - self.now_ms() + up_ms
        return unix_ms if unix_ms >= EARLIEST_MS else None
