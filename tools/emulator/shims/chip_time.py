"""The chip's `time`: `time` and `time_ns` run RATE times as fast from boot on; ticks and sleeps stay real."""

import time as _real
from time import sleep, sleep_ms, sleep_us  # noqa: F401  (the chip's names, as they are)

from micropython import const

RATE = 1
_EPOCH_UNIX_S = const(946_684_800)  # the ESP32 port counts from 2000-01-01
_PERIOD = const(1 << 30)  # all ticks wrap here on the chip; on the unix VM they never would
_base_ns = 0
_start_us = _real.ticks_us()
_ticks_offset = 0


def begin(rate, rtc_ns, wrap_in_ms):
    """Set the speed, the RTC's start and, if wanted, how soon `ticks_ms` wraps."""
    global RATE, _base_ns, _start_us, _ticks_offset
    RATE = rate
    _base_ns = rtc_ns
    _start_us = _real.ticks_us()
    now = _real.ticks_ms()
    _ticks_offset = -now if wrap_in_ms is None else _PERIOD - wrap_in_ms - now


def set_ns(value):
    """Set the RTC; returns by how much it moved."""
    global _base_ns
    moved = value - time_ns()
    _base_ns += moved
    return moved


def time_ns():
    """Nanoseconds of the RTC since 2000, RATE times as fast as the true ones."""
    return _base_ns + (_real.ticks_us() - _start_us) * 1000 * RATE


def time():
    """Whole seconds of the RTC since 2000."""
    return time_ns() // 1_000_000_000


def gmtime(seconds=None):
    """Civil date of seconds since 2000; the chip's eight fields."""
    return _real.gmtime((time() if seconds is None else seconds) + _EPOCH_UNIX_S)[:8]


localtime = gmtime


def mktime(date):
    """Seconds since 2000 of a date's fields."""
    year, month, day, hour, minute, second = date[:6]
    month += 9
    year += month // 12 - 1
    days = 365 * year + year // 4 - year // 100 + year // 400 + (month % 12 * 306 + 5) // 10 + day - 1
    return (days - 730_425) * 86_400 + hour * 3600 + minute * 60 + second


def ticks_ms():
    """Real milliseconds, wrapping at 2^30."""
    return (_real.ticks_ms() + _ticks_offset) & (_PERIOD - 1)


def ticks_us():
    """Real microseconds, wrapping at 2^30, which is every 18 minutes."""
    return (_real.ticks_us() - _start_us) & (_PERIOD - 1)


ticks_cpu = ticks_us


def ticks_add(ticks, delta):
    """`ticks` moved by `delta`, wrapped."""
    return (ticks + delta) & (_PERIOD - 1)


def ticks_diff(end, start):
    """Signed distance from `start` to `end` around the wrap."""
    half = _PERIOD >> 1
    return ((end - start + half) & (_PERIOD - 1)) - half
