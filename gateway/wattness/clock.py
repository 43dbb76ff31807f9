"""Two clocks: civil time, which a demo may run faster, and real time, which I/O lives by."""

import ctypes
import time
from dataclasses import dataclass

TIME_ERROR = 5  # of adjtimex(2): not synchronised


def adjtimex() -> int:
    """Return what Linux says of the system's clock."""
    buffer = ctypes.create_string_buffer(512)  # struct timex, all zero: change nothing
    return int(ctypes.CDLL(None).adjtimex(buffer))


@dataclass(frozen=True, slots=True)
class Clock:
    """Civil unix ms as `civil_ms + (real − real_ms) × rate`; the default is the true time.

    Schedules and timestamps use `now_ms`; leases, back-off, keepalives and time-outs use `real_ms_now`.
    """

    real_ms: int = 0
    civil_ms: int = 0
    rate: int = 1

    def now_ms(self) -> int:
        """Civil UTC unix milliseconds: what frames, intervals and reports are dated by."""
        return self.civil_ms + (self.real_ms_now() - self.real_ms) * self.rate

    def real_ms_now(self) -> int:
        """Real UTC unix milliseconds: what I/O is timed by."""
        return time.time_ns() // 1_000_000

    def steady_ms(self) -> int:
        """Milliseconds since some moment of this boot: what no setting of the clock moves."""
        return time.monotonic_ns() // 1_000_000

    def real_s(self, civil_ms: int) -> float:
        """How long `civil_ms` milliseconds of civil time take, in real seconds."""
        return civil_ms / self.rate / 1000


class Life:
    """This run of the gateway, told by a clock that may have been wrong when it began."""

    def __init__(self, clock: Clock) -> None:
        """It begins now."""
        self.clock = clock
        self.began_ms: float = clock.steady_ms()

    def saw(self, at_ms: int) -> bool:
        """Tell whether a civil moment was in this life; one that has not come yet was not."""
        now_ms = self.clock.now_ms()
        return now_ms - (self.clock.steady_ms() - self.began_ms) * self.clock.rate < at_ms <= now_ms
