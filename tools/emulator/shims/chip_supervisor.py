"""The wires between the emulated chip and its supervisor: watchdog, resets, the RTC's offset, power."""

import socket
import time

COLD = {"cause": 1, "uid": "000000000000", "bus": None, "rate": 1, "rtc_ns": 0, "wrap_in_ms": None, "cut": None}
settings = dict(COLD)  # what the supervisor says of this start; filled by `attach`
_wire = None


def attach(given):
    """Take this start's settings and open the control wire."""
    global _wire
    settings.update(given)
    _wire = socket.socket()
    _wire.connect(socket.getaddrinfo("127.0.0.1", given["control"])[0][-1])


def tell(*words):
    """Send one line of words to the supervisor."""
    if _wire is not None:
        _wire.write(" ".join(str(word) for word in words) + "\n")


def halt(*words):
    """Say why, then run nothing more: the supervisor pulls the plug."""
    tell(*words)
    while True:
        try:
            time.sleep(1)
        except KeyboardInterrupt:
            pass
