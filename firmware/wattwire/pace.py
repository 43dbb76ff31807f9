"""How fast a unit answers, how long to wait for it, how busy its bus is: figures in µs, the clock is the caller's."""

RESPONSE_US = 300000  # how long a unit may think that has never answered
RESPONSE_MIN_US = 100000  # below lies the runtime's own jitter
RESPONSE_MAX_US = 1000000
STRAY_US = 1000000  # behind the last request that was not answered: how late answers are
PATIENCE = 4  # times the latency
PATIENCE_MAX = 4  # times that, while it does not answer
WINDOW = 32  # answers of which the shortest turnaround counts
HUSH = 256  # answers for which a unit gets its pause after a change of units, once it needed it
NOISE = (8, 24, 64)  # what a garbled answer counts; from when on a line is noisy until a count of 0; the most
SETTLED = 16  # answers after which the turnaround is worth planning by


class Pace:
    """What one unit has shown, and its `manner`; `turnaround_us` is its shortest thinking of late."""

    def __init__(self, manner) -> None:
        self.manner = manner
        self.turnaround_us = 0
        self.answers = 0
        self._latency_us = 0  # the longest thinking of late
        self._patience = 1
        self._shortest_us = 0  # in this window
        self._hush = 0
        self._noise = 0
        self.stray = None  # (the Read that was not answered in time and whose answer may still come, when it was sent)
        self.is_noisy = False  # more than one answer in nine is garbled: read little at a time

    def response_us(self, wire_us: int) -> int:
        """Return how long to wait beyond the `wire_us` that both frames need."""
        slow_us = 1000 * self.manner.timeout_ms  # a device known as slow is never hurried
        if not self.answers:
            return slow_us or RESPONSE_US
        usual_us = max(PATIENCE * self._latency_us, wire_us, RESPONSE_MIN_US)
        return max(slow_us, min(usual_us * self._patience, RESPONSE_MAX_US))

    def change_ms(self) -> int:
        """Return the silence that the unit wants before a request behind another unit's.

        A pause after a change of units is long (some give every meter 200 ms) and seldom needed: it is kept only
        after a unit missed the first request behind another's.
        """
        if self._hush:
            return max(self.manner.gap_ms, self.manner.unit_change_ms)
        return self.manner.gap_ms

    def missed_change(self) -> None:
        """Note that there was no good answer to a request behind another unit's."""
        self._hush = HUSH

    def missed(self, read, now) -> None:
        """Note that no answer came in time to a request sent at `now`, or that it is repeated: both may be answered."""
        self.stray = read, now

    def stray_us(self, read, ticks_diff, now) -> int:
        """Return for how long an answer may still come that looks like one to `read`; until then, do not send it.

        An answer says from whom it is and how long, but not of which registers. The same Read may be sent at once.
        """
        if self.stray is None:
            return 0
        left_us = STRAY_US - ticks_diff(now, self.stray[1])
        if not 0 < left_us <= STRAY_US:  # a time long ago looks like the future once ticks wrapped
            left_us = 0
        elif self.stray[0] == read:
            return 0
        self.stray = None
        return left_us

    def answered(self, thinking_us: int) -> None:
        """Learn from an answer that came so long after the wire was done with the request."""
        thinking_us = max(thinking_us, 0)
        self._patience = 1
        self._hush = max(self._hush - 1, 0)
        self._noise = max(self._noise - 1, 0)
        if not self._noise:
            self.is_noisy = False
        self._latency_us = max(thinking_us, self._latency_us - self._latency_us // 8)
        if self.answers % WINDOW == 0:
            self._shortest_us = thinking_us
        self._shortest_us = min(self._shortest_us, thinking_us)
        self.turnaround_us = min(self.turnaround_us, thinking_us) if self.answers else thinking_us
        self.answers += 1
        if self.answers % WINDOW == 0:
            self.turnaround_us = self._shortest_us

    def garbled(self) -> None:
        """Note an answer that was damaged.

        CRC-16 misses one in 65,536 answers with several damaged bytes. Short answers seldom have several, and more of
        them come through.
        """
        each, noisy, most = NOISE
        self._noise = min(self._noise + each, most)
        if self._noise >= noisy:
            self.is_noisy = True

    def silent(self) -> None:
        """Wait longer next time, but not ever longer: a dead unit must not cost the others their turn."""
        self._patience = 2 * self._patience if self._patience < PATIENCE_MAX else 1


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
