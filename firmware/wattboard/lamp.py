"""The status LED and its four meanings; loaded only where the configuration names a pin."""

import asyncio

from wattboard import hal

STARTING, METERING, OFFLINE, FAULT = "starting", "metering", "no network", "fault"
PATTERNS = {  # ms of light, dark, light, dark …, again and again
    STARTING: (1000,),  # steady
    METERING: (60, 1940),  # a short flash: rows come in, and the gateway has them
    OFFLINE: (120, 280, 120, 1480),  # two flashes: rows are kept on the flash until the gateway has them
    FAULT: (150, 150),  # quick: a unit is silent, the flash is nearly full, or this is safe mode
}
STARTING_MS = 60000
BEHIND_FRAMES = 8  # more that wait, and the gateway is not there
FULL_PERCENT = 95


class Lamp:
    """The LED's task; it only looks at what the others do."""

    def __init__(self, pin, is_low, meter, log, uplink):
        self._pin = pin
        self._is_low = is_low  # lit by a low level
        self._meter = meter
        self._log = log
        self._uplink = uplink
        self._first = log.last + 1  # of this start

    def meaning(self):
        """Return what there is to say; the worst first."""
        log = self._log
        if not self._meter.devices or self._meter.silent_units():
            return FAULT
        if 100 * log.waiting_bytes() >= FULL_PERCENT * log.limit_bytes:
            return FAULT
        if self._uplink.connected and log.acked >= self._first and log.last - log.acked <= BEHIND_FRAMES:
            return METERING
        return STARTING if hal.uptime_ms() < STARTING_MS else OFFLINE

    async def run(self, beat):
        """Say it for ever."""
        while True:
            beat("lamp")
            is_lit = True
            for duration_ms in PATTERNS[self.meaning()]:
                self._pin(int(is_lit != self._is_low))
                await asyncio.sleep_ms(duration_ms)
                is_lit = not is_lit
