"""The board's idea of UTC: an offset from its uptime, set by network time or the gateway's acknowledgements."""


class Clock:
    """Converts uptime to unix time once it was set; never reads the RTC."""

    def __init__(self, step_ms):
        self.step_ms = step_ms
        self.offset_ms = None
        self.error_ms = None  # by how much the set clock was last found to differ
        self.steps = 0  # how often a set clock was moved
        self.network = False  # network time was heard in this boot: acknowledgements set the clock no more

    def unix(self, up_ms):
        """Return UTC in ms at `up_ms`, or None while the clock was never set in this boot."""
        return None if self.offset_ms is None else up_ms + self.offset_ms

    def acknowledged(self, unix_ms, up_ms):
        """Take the time of a fresh acknowledgement, unless there is network time, which wins."""
        return not self.network and self.set(unix_ms, up_ms)

    def heard(self, unix_ms, up_ms):
        """Take network time."""
        self.network = True
        return self.set(unix_ms, up_ms)

    def set(self, unix_ms, up_ms):
        """Say that it is `unix_ms` at `up_ms`; a set clock moves only if it is wrong by more than `step_ms`."""
        offset_ms = unix_ms - up_ms
        if offset_ms < 0:
            return False
        if self.offset_ms is not None:
            self.error_ms = offset_ms - self.offset_ms
            if abs(self.error_ms) <= self.step_ms:
                return False
            self.steps += 1
        self.offset_ms = offset_ms
        return True
