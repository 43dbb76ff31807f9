"""The board's own figures, for the health frames."""

import gc

from wattboard import hal

OFFLINE_PERIODS = 6  # what so many records would say, one does while the gateway is away: flash is for rows


class Health:
    """Counts what other parts tell it, and gathers the rest when a health frame is due."""

    def __init__(self, period_ms, crash, log, clock, state):
        self.period_ms = period_ms
        self._log = log
        self._clock = clock
        self._state = state
        self.due_ms = 0
        self._crash = crash  # the last words of the boot before, told once
        self._heap_low = hal.heap_free_bytes()
        self.counts = {}
        self._bus_since_ms = hal.real_ms()

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
        self._heap_low = min(self._heap_low, hal.heap_free_bytes())

    def values(self, meter):
        """Return the values of a health record and set when the next is due."""
        now_ms = hal.uptime_ms()
        period_ms = self.period_ms * (OFFLINE_PERIODS if meter.recorder.is_offline() else 1)
        self.due_ms = (now_ms // period_ms + 1) * period_ms
        self.collect()
        size, free = hal.flash_bytes()
        values = {
            "reset": hal.reset_cause(),
            "heap_free_bytes": hal.heap_free_bytes(),
            "heap_low_bytes": self._heap_low,
            "flash_bytes": size,
            "flash_free_bytes": free,
            "log_bytes": self._log.used_bytes(),
            "acked_seq": self._log.acked,
            "clock_offset_ms": self._clock.offset_ms,
            "clock_steps": self._clock.steps,
            "rssi_dbm": hal.rssi_dbm(),
            "command": self._state.command(),
            "polls": meter.polls,
            "silent_polls": meter.silent_polls,
            "silent_units": meter.silent_units(),
            "empty_polls": meter.empty_polls,
            "thinned_rows": meter.recorder.thinned_rows,
            "unstored_rows": meter.recorder.unstored_rows,
        }
        for device in meter.devices:
            values["errors_unit_%d" % device.unit] = device.errors
            if device.pace.answers:
                values["turnaround_us_unit_%d" % device.unit] = device.pace.turnaround_us
        values.update(self._bus_use(meter))
        values.update(self.counts)
        if self._crash:
            values["crash"], self._crash = self._crash, None
        return values

    def _bus_use(self, meter):
        """Return how busy the bus was since the last health record, and how many more reads a minute it could take."""
        now_ms = hal.real_ms()
        used = meter.devices[0].bus.use.take(1000 * (now_ms - self._bus_since_ms)) if meter.devices else None
        self._bus_since_ms = now_ms
        return {} if used is None else {"bus_percent": (used[0] + 5) // 10, "bus_headroom_per_min": used[1]}
