"""When a device is read, which of its points are due, and whose turn it is; times are ms of an uptime."""

BACKOFF_MS = 2000  # of a device that does not answer; doubles
BACKOFF_MAX_MS = 300000
RETRIES_PERCENT = 1  # of the time, for all units together that have been silent for long
PUNCTUAL_PERCENT = 5  # of the period: a read that began so soon after its slot counts as being at the slot
RATES = ("fast", "slow", "once")  # the classes of points; a level reads its own class and those before it
AGES_MS = (0, 10000, 3600000)  # how old the values of each class may grow


class Schedule:
    """Slots of one period, and later ones while the device is silent."""

    def __init__(self, period_ms, phase_ms):
        self.period_ms = period_ms
        self.phase_ms = phase_ms
        self.due_ms = 0
        self._backoff_ms = 0
        self._read_ms = [None] * len(RATES)  # when all points of each class were last read

    @property
    def is_silent(self):
        """Tell whether the device did not answer when it was last asked."""
        return self._backoff_ms > 0

    def answered(self, now_ms):
        """Go on with the next slot; return whether the device had been silent."""
        was_silent = self._backoff_ms > 0
        self._backoff_ms = 0
        self.due_ms = self._slot_after(now_ms)
        return was_silent

    def silent(self, now_ms, lost_ms=0):
        """Go on with the first slot after a pause that grows.

        `lost_ms` is what asking every silent unit once takes; where that is much, the longest pause is longer.
        """
        longest_ms = max(BACKOFF_MAX_MS, 100 * lost_ms // RETRIES_PERCENT)
        self._backoff_ms = min(max(BACKOFF_MS, 2 * self._backoff_ms), longest_ms)
        self.due_ms = self._slot_after(now_ms + self._backoff_ms)

    def stamp(self, began_ms):
        """Return a row's time: its slot if the read began punctually."""
        late_ms = (began_ms - self.phase_ms) % self.period_ms
        return began_ms - late_ms if 100 * late_ms <= PUNCTUAL_PERCENT * self.period_ms else began_ms

    def level(self, now_ms):
        """Return the level to read now: the highest whose points are too old, or nearer to that now than next time."""
        found = 0
        for index, age_ms in enumerate(AGES_MS):
            read_ms = self._read_ms[index]
            if read_ms is None or 2 * (now_ms - read_ms) + self.period_ms >= 2 * age_ms:
                found = index
        return found

    def took(self, level, now_ms):
        """Note that all points of `level` were read."""
        for index in range(level + 1):
            self._read_ms[index] = now_ms

    def _slot_after(self, now_ms):
        return now_ms - (now_ms - self.phase_ms) % self.period_ms + self.period_ms


def choose(schedules, now_ms):
    """Return the index of the schedule whose turn it is: of those due the one with the earliest end of its slot.

    If none is due, it is the one that will be due first.
    """
    best = 0
    for index, schedule in enumerate(schedules):
        if _rank(schedule, now_ms) < _rank(schedules[best], now_ms):
            best = index
    return best


def _rank(schedule, now_ms):
    if schedule.due_ms > now_ms:
        return (1, schedule.due_ms)
    return (0, schedule.due_ms + schedule.period_ms)
