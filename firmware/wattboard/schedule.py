"""When a device is read, and which time its rows bear; times are ms of uptime."""

BACKOFF_MS = 2000  # of a device that does not answer; doubles
BACKOFF_MAX_MS = 300000
PUNCTUAL_PERCENT = 5  # of the period: a read that began so soon after its slot counts as being at the slot


class Schedule:
    """Slots of one period, and later ones while the device is silent."""

    def __init__(self, period_ms, phase_ms):
        self.period_ms = period_ms
        self.phase_ms = phase_ms
        self.due_ms = 0
        self._backoff_ms = 0

    def answered(self, now_ms):
        """Go on with the next slot; return whether the device had been silent."""
        was_silent = self._backoff_ms > 0
        self._backoff_ms = 0
        self.due_ms = self._slot_after(now_ms)
        return was_silent

    def silent(self, now_ms):
        """Go on with the first slot after a pause that grows."""
        self._backoff_ms = min(max(BACKOFF_MS, 2 * self._backoff_ms), BACKOFF_MAX_MS)
        self.due_ms = self._slot_after(now_ms + self._backoff_ms)

    def stamp(self, began_ms):
        """Return a row's time: its slot if the read began punctually."""
        late_ms = (began_ms - self.phase_ms) % self.period_ms
        return began_ms - late_ms if 100 * late_ms <= PUNCTUAL_PERCENT * self.period_ms else began_ms

    def _slot_after(self, now_ms):
        return now_ms - (now_ms - self.phase_ms) % self.period_ms + self.period_ms
