"""Keeps the board alive or restarts it: the watchdog is fed only while every task makes progress."""

import asyncio
import io
import sys

from wattboard import hal

CRASH_PATH = "/crash.txt"
CRASH_CHARS = 2000
STALLED_MS = 60000
TICK_MS = 1000


class Supervisor:
    """Runs tasks that must never end; the first that does, or that stalls, lets the watchdog bite."""

    def __init__(self, watchdog, stalled_ms):
        self._watchdog = watchdog
        self._stalled_ms = stalled_ms
        self._beats = {}
        self._dead = False

    def beat(self, name):
        """Say that the task `name` makes progress."""
        self._beats[name] = hal.real_ms()

    async def run(self, tasks):
        """Run `tasks`, pairs of name and coroutine, and feed the watchdog while all is well."""
        running = []
        for name, task in tasks:
            self.beat(name)
            running.append(asyncio.create_task(self._guard(name, task)))
        while not self._dead:
            now_ms = hal.real_ms()
            for name, beat_ms in self._beats.items():
                if now_ms - beat_ms > self._stalled_ms:
                    self._dead = True
                    write_crash("%s made no progress" % name)
            if not self._dead:
                self._watchdog.feed()
            await asyncio.sleep_ms(TICK_MS)
        while True:
            await asyncio.sleep_ms(TICK_MS)  # the watchdog ends this

    async def _guard(self, name, task):
        try:
            await task
            write_crash("%s ended" % name)
        except Exception as error:  # noqa: BLE001 - the board's own supervisor
            text = io.StringIO()
            sys.print_exception(error, text)
            write_crash("%s\n%s" % (name, text.getvalue()))
        self._dead = True


def write_crash(text):
    """Keep the end of `text` for the next boot."""
    print(text)
    try:
        with open(CRASH_PATH, "w") as file:
            file.write(text[-CRASH_CHARS:])
    except OSError:
        pass  # a full flash must not hinder the reset
