"""The chip's `machine`: UART on the meter bus, watchdog, resets, RTC and pins."""

import io
import select
import socket
import time

from micropython import const

import chip_supervisor as supervisor
import chip_time

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
_POLL = const(3)  # requests of MicroPython's stream protocol
_FILENO = const(10)
_RECONNECT_MS = const(1000)


def reset():
    """Reset the chip; nothing runs after this."""
    supervisor.halt("reset", HARD_RESET)


def soft_reset():
    """Restart the VM; nothing runs after this."""
    supervisor.halt("reset", SOFT_RESET)


def deepsleep(time_ms=0):
    """Sleep with everything off, then start again."""
    supervisor.halt("sleep", time_ms)


def lightsleep(time_ms=0):
    """Sleep with memory kept."""
    time.sleep_ms(time_ms)


def idle():
    """Give the processor away for a moment."""
    time.sleep_ms(1)


def reset_cause():
    """Why this start happened."""
    return supervisor.settings["cause"]


def unique_id():
    """The six bytes of the chip's MAC address."""
    text = supervisor.settings["uid"]
    return bytes(int(text[at : at + 2], 16) for at in range(0, 12, 2))


def freq(hz=240_000_000):
    """The processor's clock."""
    return hz


class WDT:
    """Watchdog: once started it bites unless it is fed; the supervisor holds the timer, so a hung VM is bitten too."""

    def __init__(self, id=0, timeout=5000):
        supervisor.tell("wdt", timeout)

    def feed(self):
        """Start its time anew."""
        supervisor.tell("feed")


class RTC:
    """The real-time clock; it keeps running through a reset and stops with the power."""

    def init(self, date):
        """Set it: year, month, day, weekday, hour, minute, second, microsecond."""
        seconds = chip_time.mktime(date[:3] + date[4:7])
        moved = chip_time.set_ns(seconds * 1_000_000_000 + date[7] * 1000)
        supervisor.tell("rtc", moved)

    def datetime(self, date=None):
        """Read it, or set it with `date`; returns what it shows."""
        if date is not None:
            self.init(date)
        now = chip_time.gmtime()
        return now[:3] + (now[6],) + now[3:6] + (chip_time.time_ns() // 1000 % 1_000_000,)


class Pin:
    """A pin that remembers its level; the supervisor is told of each change."""

    IN, OUT, OPEN_DRAIN, PULL_UP, PULL_DOWN = 1, 3, 7, 2, 1

    def __init__(self, id, mode=-1, pull=-1, value=None):
        self.id = id
        self._level = None
        self._set(value or 0)

    def init(self, mode=-1, pull=-1, value=None):
        """Set it up again."""
        if value is not None:
            self._set(value)

    def value(self, level=None):
        """Read the level, or set it."""
        if level is not None:
            self._set(level)
        return self._level

    def _set(self, level):
        level = 1 if level else 0
        if level != self._level:
            self._level = level
            supervisor.tell("pin", self.id, level)

    __call__ = value

    def on(self):
        """Set it high."""
        self._set(1)

    def off(self):
        """Set it low."""
        self._set(0)


class UART(io.IOBase):
    """A UART whose two wires are a TCP connection to the emulated bus; without a bus it hears nothing."""

    def __init__(self, id, baudrate=115200, **options):
        self._held = b""
        self._socket = None
        self._poller = select.poll()
        self._retry_at = time.ticks_ms()
        self.init(baudrate, **options)

    def init(self, baudrate=115200, bits=8, parity=None, stop=1, timeout=0, **_):
        """Set speed and format, and connect."""
        self._hello = "UART %d %d%s%d\n" % (baudrate, bits, "N" if parity is None else "OE"[parity == 0], stop)
        self._timeout = timeout
        self.deinit()
        self._connect()

    def deinit(self):
        """Let the bus go."""
        if self._socket is not None:
            self._poller.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def any(self):
        """How many bytes can be read at once, without waiting."""
        self._fill(0)
        return len(self._held)

    def read(self, count=None):
        """Up to `count` bytes, waiting the time-out for the first; None when there are none."""
        if not self._held:
            self._fill(self._timeout)
        if not self._held:
            return None
        cut = len(self._held) if count is None or count < 0 else count
        data, self._held = self._held[:cut], self._held[cut:]
        return data

    def readinto(self, buffer, count=None):
        """Like `read`, into a buffer; returns how many."""
        data = self.read(min(len(buffer), len(buffer) if count is None else count))
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)

    def write(self, data):
        """Send bytes; without a bus they are gone."""
        if self._socket is None and time.ticks_diff(time.ticks_ms(), self._retry_at) >= 0:
            self._connect()
        if self._socket is not None:
            try:
                self._socket.write(data)
            except OSError:
                self.deinit()
        return len(data)

    def flush(self):
        """Wait until everything is sent: the line model counts the time."""

    def txdone(self):
        """Whether everything is sent."""
        return True

    def ioctl(self, request, argument):
        """Answer the poller: held bytes at once, else through the socket."""
        if request == _FILENO:
            return -22 if self._held or self._socket is None else self._socket.fileno()
        if request == _POLL:
            return argument & (4 | (1 if self.any() else 0))
        return 0

    def _connect(self):
        self._retry_at = time.ticks_add(time.ticks_ms(), _RECONNECT_MS)
        if supervisor.settings["bus"] is None:
            return
        host, port = supervisor.settings["bus"]
        wire = socket.socket()
        try:
            wire.connect(socket.getaddrinfo(host, port)[0][-1])
            wire.write(self._hello)
        except OSError:
            wire.close()
            return
        wire.setblocking(False)
        self._socket = wire
        self._poller.register(wire, select.POLLIN)

    def _fill(self, wait_ms):
        while self._socket is not None and self._poller.poll(wait_ms):
            wait_ms = 0
            try:
                data = self._socket.read(256)
            except OSError:
                data = b""
            if data is None:
                return
            if not data:
                self.deinit()
                return
            self._held += data
