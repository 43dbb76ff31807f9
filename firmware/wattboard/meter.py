"""Polls the streams on one bus by the schedule, and seals frames between polls, so that signing delays none."""

import asyncio

from wattboard import hal
from wattboard.device import FULL, TRIES
from wattboard.errors import SilentError
from wattwire.schedule import Schedule, choose

WAKE_REAL_MS = 5000
SEAL_GRACE_REAL_MS = 1000  # how long a frame waits for a gap between polls


class Meter:
    """The task of the bus. `polls`, `silent` and `empty` count what became of the reads."""

    def __init__(self, devices, periods_ms, recorder, health, beat):
        self.devices = devices
        self.recorder = recorder
        self.polls = 0
        self.silent_polls = 0
        self.empty_polls = 0  # answered, without a single value
        self._health = health
        self._beat = beat
        self._wake = asyncio.Event()
        self._streams_wanted = False
        self._seal_ms = 0  # what a seal last took, by the schedule's clock
        self._schedules = [
            Schedule(period_ms, index * period_ms // len(devices)) for index, period_ms in enumerate(periods_ms)
        ]

    def want_streams(self):
        """Have the streams record sealed once more, soon."""
        self._streams_wanted = True
        self._wake.set()

    async def run(self):
        """Find the devices, open a streams record, then poll and seal for ever."""
        await self._find_devices()
        self._begin()
        while True:
            await self._sleep()
            self._seal_what_is_due()
            index = self._next()
            if self._schedules[index].due_ms <= hal.uptime_ms():
                await self._poll(index)

    def silent_units(self):
        """Return how many devices do not answer."""
        return len([schedule for schedule in self._schedules if schedule.is_silent])

    async def _find_devices(self):
        """Ask every device what it is, and read each once, so that the first streams record is true."""
        for index, device in enumerate(self.devices):
            self._beat("meter")
            try:
                await device.identify()
                await device.poll()
                self._schedules[index].answered(hal.uptime_ms())
            except SilentError:
                self._schedules[index].silent(hal.uptime_ms())

    def _begin(self):
        """Seal a streams record of what the devices are now, and of what is not to be claimed for."""
        about = self.recorder.witness.about
        for index, device in enumerate(self.devices):
            key = "unsettled_%d" % index
            about.pop(key, None)
            names = device.unsettled()
            if names:
                about[key] = ",".join(names)
        self.recorder.begin([device.stream() for device in self.devices], hal.uptime_ms())

    async def _sleep(self):
        self._beat("meter")
        wake_ms = min(self._schedules[self._next()].due_ms, self.recorder.due_ms, self._health.due_ms)
        wake_ms = min(max(wake_ms, hal.uptime_ms() + 1), hal.uptime_ms() + WAKE_REAL_MS * hal.RATE)
        await hal.sleep_until(wake_ms, self._wake)
        self._wake.clear()

    def _next(self):
        return choose(self._schedules, hal.uptime_ms())

    def _seal_what_is_due(self):
        """Seal, in the gap between two polls if there is one."""
        now_ms = hal.uptime_ms()
        if self._streams_wanted:
            self._streams_wanted = False
            self.recorder.repeat_streams(now_ms)
        due_ms = min(self.recorder.due_ms, self._health.due_ms)
        if now_ms < due_ms:
            return
        gap_ms = self._schedules[self._next()].due_ms - now_ms
        if gap_ms < self._seal_ms and now_ms < due_ms + SEAL_GRACE_REAL_MS * hal.RATE:
            return
        if self._health.due_ms <= now_ms:
            self.recorder.seal_health(self._health.values(self), now_ms)
        if self.recorder.due_ms <= now_ms:
            self.recorder.seal_rows(now_ms)
        self._health.collect()
        self._seal_ms = hal.uptime_ms() - now_ms

    async def _poll(self, index):
        device = self.devices[index]
        schedule = self._schedules[index]
        began_ms = hal.uptime_ms()
        began_real_ms = hal.real_ms()
        was_known = device.known
        self.polls += 1
        device.tries = 1 if schedule.is_silent else TRIES
        # The row that begins a frame has the slow points too, so that no interval's edge needs a row before it.
        level = max(schedule.level(began_ms), int(self.recorder.is_empty(index)))
        try:
            found = await self._read(device, level)
        except SilentError:
            self.silent_polls += 1
            schedule.silent(began_ms, self.silent_units() * (hal.real_ms() - began_real_ms))
            return
        if device.is_complete:
            schedule.took(level, began_ms)
        if schedule.answered(began_ms) and was_known and device.walks:
            # It was away and may have come back as something else.
            await self._meet_again(device)
            return
        if found is None:
            self.empty_polls += 1
            return
        row, changed = found
        if changed:
            self._begin()
        self.recorder.add(index, schedule.stamp(began_ms), row)

    async def _read(self, device, level):
        if not device.known:
            await device.identify()
            self._begin()  # whatever the first poll brings: rows have the columns that the streams record says
            level = FULL
        return await device.poll(level)

    async def _meet_again(self, device):
        before = device.stream()
        try:
            await device.identify()
            await device.poll()
        except SilentError:
            pass  # a device that stays unknown is asked again at its next poll
        if device.known and device.stream() != before:
            self._begin()
