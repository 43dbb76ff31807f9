"""What systemd wants to hear of a service (sd_notify(3)): ready, alive, stopping. Without systemd it hears nothing."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable

SOCKET_VARIABLE = "NOTIFY_SOCKET"
WATCHDOG_VARIABLE = "WATCHDOG_USEC"


def notify(state: str) -> bool:
    """Send `state`, e.g. READY=1; false when nobody listens."""
    address = os.environ.get(SOCKET_VARIABLE, "")
    if not address.startswith(("/", "@")):
        return False
    name = "\0" + address[1:] if address.startswith("@") else address  # the abstract namespace
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(state.encode(), name)
        return True
    return False


def watchdog_s() -> float | None:
    """How often systemd wants a sign of life, in seconds; None when it does not."""
    text = os.environ.get(WATCHDOG_VARIABLE, "")
    return int(text) / 1e6 if text.isdecimal() and int(text) else None


async def prove_life(is_alive: Callable[[], Awaitable[object]]) -> None:
    """Send a sign of life twice per watchdog period as long as `is_alive` returns: what hangs is restarted."""
    period_s = watchdog_s()
    while period_s is not None:
        await is_alive()
        notify("WATCHDOG=1")
        await asyncio.sleep(period_s / 2)
