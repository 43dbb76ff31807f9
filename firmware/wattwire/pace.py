"""How fast a unit answers, how long to wait for it, how busy its bus is: figures in µs, the clock is the caller's."""

RESPONSE_US = 300000  # how long a unit may think that has never answered
RESPONSE_MIN_US = 50000  # below lies the runtime's own jitter
RESPONSE_MAX_US = 1000000
PATIENCE = 4  # times the latency
WINDOW = 32  # answers from which the shortest turnaround is taken, twice


class Pace:
    """What one unit has shown: `turnaround_us` is its shortest thinking of late, None before the first answer."""

    def __init__(self, timeout_ms: int = 0) -> None:
        self.turnaround_us = None
        self.answers = 0
        self._most_us = max(RESPONSE_MAX_US, 1000 * timeout_ms)
        self._least_us = 1000 * timeout_ms or RESPONSE_MIN_US  # a device known as slow is never hurried
        self._unknown_us = 1000 * timeout_ms or RESPONSE_US
        self._latency_us = 0  # the longest thinking of late
        self._patience = 1  # doubles with each time-out
        self._shortest_us = None  # in this window

    def response_us(self, wire_us: int) -> int:
        """Return how long to wait beyond the `wire_us` that both frames need."""
        usual_us = PATIENCE * self._latency_us if self.answers else self._unknown_us
        return min(max(usual_us, wire_us, self._least_us) * self._patience, self._most_us)

    def answered(self, thinking_us: int) -> None:
        """Learn from an answer that came so long after the wire was done with the request."""
        thinking_us = max(thinking_us, 0)
        self._patience = 1
        self._latency_us = max(thinking_us, self._latency_us - self._latency_us // 8)
        if self._shortest_us is None or thinking_us < self._shortest_us:
            self._shortest_us = thinking_us
        if self.turnaround_us is None or thinking_us < self.turnaround_us:
            self.turnaround_us = thinking_us
        self.answers += 1
        if self.answers % WINDOW == 0:
            self.turnaround_us, self._shortest_us = self._shortest_us, None

    def silent(self) -> None:
        """Wait longer next time: there was no answer."""
        self._patience = min(2 * self._patience, 16)


class Use:
    """How much of its time a bus is busy: add each exchange from its request to the silence after it."""

    def __init__(self) -> None:
        self._busy_us = 0
        self._exchanges = 0

    def add(self, busy_us: int) -> None:
        """Count an exchange, answered or not."""
        self._busy_us += busy_us
        self._exchanges += 1

    def take(self, elapsed_us: int) -> tuple[int, int] | None:
        """Return (permille of `elapsed_us` that was busy, further exchanges a minute that would fit) and begin anew.

        None if there was nothing to measure. The further exchanges are such as there were.
        """
        busy_us, exchanges = self._busy_us, self._exchanges
        self._busy_us = self._exchanges = 0
        if elapsed_us <= 0 or not exchanges:
            return None
        busy_us = min(busy_us, elapsed_us)
        free_us = 60000000 * (elapsed_us - busy_us) // elapsed_us
        return 1000 * busy_us // elapsed_us, free_us * exchanges // max(busy_us, 1)
