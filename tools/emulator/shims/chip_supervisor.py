"""The wires between the emulated chip and its supervisor: watchdog, resets, the RTC's offset, power."""

import json
import socket
import time

settings = {}  # what the supervisor says of this start; filled by `attach`
_wire = None


def attach(port):
    """Open the control wire and take this start's settings."""
    global _wire
    _wire = socket.socket()
    _wire.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
    settings.update(json.loads(_wire.readline()))


def tell(*words):
    """Send one line of words to the supervisor."""
    _wire.write(" ".join(str(word) for word in words) + "\n")


def halt(*words):
    """Say why, then run nothing more: the supervisor pulls the plug."""
    tell(*words)
    while True:
        try:
            time.sleep(1)
        except KeyboardInterrupt:
            pass
