"""Civil time, which a demo may run faster than the true one, for the programs of this folder."""

import time
from typing import NamedTuple


class Clock(NamedTuple):
    """Civil unix ms as `civil_ms + (real − real_ms) × rate`; the default is the true time."""

    real_ms: int = 0
    civil_ms: int = 0
    rate: int = 1

    def now_ms(self) -> int:
        """Civil UTC unix milliseconds."""
        return self.civil_ms + (self.real_ms_now() - self.real_ms) * self.rate

    def real_ms_now(self) -> int:
        """Real UTC unix milliseconds."""
        return time.time_ns() // 1_000_000

    @classmethod
    def parse(cls, text: str) -> "Clock":
        """Read `real_ms,civil_ms,rate`; raises ValueError."""
        real_ms, civil_ms, rate = (int(part) for part in text.split(","))
        if rate < 1:
            raise ValueError("the clock's rate must be at least 1")
        return cls(real_ms, civil_ms, rate)
