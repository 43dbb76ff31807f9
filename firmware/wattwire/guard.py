"""When a car may be asked: a guard for its 12-V battery. Every request keeps control units awake, and they drain it.

A battery that is being charged shows a car that is awake. So does traffic on the bus, but only after we were silent
ourselves for a while: what we keep awake proves nothing. Measuring and listening wake nobody.
"""

AWAKE_MV = 13200  # above it the car charges its battery
HOLD_MS = 30000  # how long a proof holds
CHECK_MS = 10000  # between two looks
QUIET_MS = 60000  # of our own silence before traffic proves anything
UNHEARD_MAX = 3  # requests in a row without an answer: the car sleeps, whatever the voltage says
REST_MS = 60000  # after that


class Guard:
    """Give it what was measured, heard and answered; it says whether to ask. Times are ms that never wrap."""

    def __init__(self, awake_mv: int = AWAKE_MV) -> None:
        self.awake_mv = awake_mv
        self.check_ms = 0  # when to measure next
        self._until_ms = 0
        self._rests_until_ms = 0
        self._asked_ms = -QUIET_MS
        self._unheard = 0

    def may_ask(self, now_ms: int) -> bool:
        """Tell whether a request may go out."""
        return self._rests_until_ms <= now_ms < self._until_ms

    def may_listen(self, now_ms: int) -> bool:
        """Tell whether traffic would prove that the car is awake."""
        return now_ms >= self._until_ms and now_ms - self._asked_ms >= QUIET_MS

    def measured(self, now_ms: int, millivolts: int | None) -> None:
        """Take the battery's voltage; None from an adapter that cannot measure."""
        self.check_ms = now_ms + CHECK_MS
        if millivolts is not None and millivolts >= self.awake_mv:
            self._until_ms = now_ms + HOLD_MS

    def listened(self, now_ms: int, frames: int) -> None:
        """Take how much traffic there was that is not ours; only while `may_listen`."""
        if frames and self.may_listen(now_ms):
            self._until_ms = now_ms + HOLD_MS

    def answered(self, now_ms: int, values: int) -> None:
        """Take how many values a request brought."""
        self._asked_ms = now_ms
        self._unheard = 0 if values else self._unheard + 1
        if self._unheard >= UNHEARD_MAX:
            self._unheard = 0
            self._rests_until_ms = now_ms + REST_MS
