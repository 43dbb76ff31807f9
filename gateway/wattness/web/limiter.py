"""How often a log-in may fail: a leaky bucket per source, and one for all of them."""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable

SOURCES_MAX = 1024  # one more forgets the one that failed longest ago
PER_SOURCE = (5, 10.0)  # so many failures at once, then one in so many seconds
IN_ALL = (100, 1.0)


class _Bucket:
    """Fills by one with each failure, and leaks."""

    __slots__ = ("_at_s", "_full", "_leak_s", "_level")

    def __init__(self, full: int, leak_s: float, at_s: float) -> None:
        self._full, self._leak_s = full, leak_s
        self._level, self._at_s = 0.0, at_s

    def wait_s(self, now_s: float) -> int:
        self._level = max(0.0, self._level - (now_s - self._at_s) / self._leak_s)
        self._at_s = now_s
        return math.ceil(max(0.0, self._level - self._full + 1) * self._leak_s)

    def add(self, now_s: float) -> None:
        self.wait_s(now_s)
        self._level += 1


class Limiter:
    """Tells who has to wait before the next attempt. Attempts of those who wait are not even looked at."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        """`now_s` is monotonic time."""
        self._now_s = now_s
        self._all = _Bucket(*IN_ALL, now_s())
        self._sources: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_s(self, address: str | None) -> int:
        """Return how many seconds this source has to wait; 0 when it may try."""
        now = self._now_s()
        own = self._sources.get(source(address))
        return max(self._all.wait_s(now), own.wait_s(now) if own else 0)

    def fail(self, address: str | None) -> None:
        """Count a failed attempt."""
        now, name = self._now_s(), source(address)
        self._all.add(now)
        bucket = self._sources.setdefault(name, _Bucket(*PER_SOURCE, now))
        bucket.add(now)
        self._sources.move_to_end(name)
        if len(self._sources) > SOURCES_MAX:
            self._sources.popitem(last=False)

    def __len__(self) -> int:
        """How many sources are remembered."""
        return len(self._sources)


def source(address: str | None) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 that an IPv6 host can choose its address from."""
    try:
        ip = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
