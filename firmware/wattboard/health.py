"""The board's own figures, for the health frames."""

import gc

from wattboard import hal
from wattboard.loan import Loan

OFFLINE_PERIODS = 6  # what so many records would say, one does while the gateway is away: flash is for rows


class Health:
    """Counts what other parts tell it; `vitals` gathers the rest when a health frame is due."""

    def __init__(self, period_ms, crash, log, clock, state):
        self.period_ms = period_ms
        self.due_ms = 0
        self.counts = {}
        self.heap_free_bytes = self.heap_low_bytes = hal.heap_free_bytes()
        self.bus_since_ms = hal.real_ms()
        self._sources = (log, clock, state)
        self._crash = crash  # the last words of the boot before, told once

    def count(self, name):
        """Add one to a figure of its own."""
        self.counts[name] = self.counts.get(name, 0) + 1

    def tell(self, name, value):
        """Set a figure or a word of its own; None takes it back."""
        if value is not None:
            self.counts[name] = value
        else:
            self.counts.pop(name, None)

    def collect(self):
        """Free memory while nothing waits, and keep the low-water mark of what is left then."""
        gc.collect()
        self.heap_free_bytes = hal.heap_free_bytes()
        self.heap_low_bytes = min(self.heap_low_bytes, self.heap_free_bytes)

    def values(self, meter):
        """Return the values of a health record and set when the next is due."""
        now_ms = hal.uptime_ms()
        period_ms = self.period_ms * (OFFLINE_PERIODS if meter.recorder.is_offline() else 1)
        self.due_ms = (now_ms // period_ms + 1) * period_ms
        self.collect()
        with Loan("wattboard.vitals") as vitals:
            values = vitals.gather(self, meter, *self._sources)
        values.update(self.counts)
        if self._crash:
            values["crash"], self._crash = self._crash, None
        return values
