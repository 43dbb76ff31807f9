"""Safe mode: no metering, but health records and the uplink, so that the gateway can put things right."""

import asyncio

from wattboard import hal

WAKE_MS = 1000


class NoMeter:
    """Stands where the meter does: seals a streams record without streams, and health records."""

    devices = ()
    polls = silent_polls = empty_polls = 0

    def __init__(self, recorder, health, beat):
        self.recorder = recorder
        self._health = health
        self._beat = beat
        self._streams_wanted = True

    def want_streams(self):
        """Have the streams record sealed once more, soon."""
        self._streams_wanted = True

    def silent_units(self):
        """No unit is asked."""
        return 0

    async def run(self):
        """Tell of the board's health for ever."""
        while True:
            self._beat("meter")
            now_ms = hal.uptime_ms()
            if self._streams_wanted:
                self._streams_wanted = False
                self.recorder.begin((), now_ms)
            if self._health.due_ms <= now_ms:
                self.recorder.seal_health(self._health.values(self), now_ms)
            await asyncio.sleep_ms(WAKE_MS)
