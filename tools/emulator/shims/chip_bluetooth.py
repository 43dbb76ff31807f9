"""The chip's `bluetooth`: commands and events as JSON lines to a bridge, behind which is a radio of bumble's."""

import asyncio
import json
import socket
from binascii import hexlify, unhexlify

import chip_supervisor as supervisor

FLAG_READ, FLAG_WRITE, FLAG_NOTIFY = 0x02, 0x08, 0x10
_IO_BYTES = 4096


class UUID:
    """A UUID; its bytes are little-endian, as on the air."""

    def __init__(self, value):
        if isinstance(value, int):
            self._bytes = bytes((value & 0xFF, value >> 8))
        elif isinstance(value, str):
            self._bytes = bytes(reversed(unhexlify(value.replace("-", ""))))
        else:
            self._bytes = bytes(value)

    def __eq__(self, other):
        return isinstance(other, UUID) and self._bytes == other._bytes

    def __hash__(self):
        return hash(self._bytes)


class BLE:
    """The radio; a program makes one. Calls return at once; what comes of them comes to `irq`, as on the chip."""

    def __init__(self):
        self._wire = None
        self._handler = None
        self._task = None

    def active(self, on=None):
        """Whether the radio is on; with an argument, switch it."""
        if on is None:
            return self._wire is not None
        if on and self._wire is None:
            self._wire = socket.socket()
            host, port = supervisor.settings["ble"]
            self._wire.connect(socket.getaddrinfo(host, port)[0][-1])
            self._task = asyncio.create_task(self._listen())
        elif not on and self._wire is not None:
            self._wire.close()
            self._wire = None
        return on

    def irq(self, handler):
        """Have events go to `handler`."""
        self._handler = handler

    def config(self, *_, **__):
        """Take settings and forget them."""

    def gap_scan(self, duration_ms, interval_us=1280000, window_us=11250, active=0):
        """Begin to scan, or end with None."""
        self._tell("scan", duration_ms)

    def gap_connect(self, addr_type, addr=None, scan_duration_ms=2000):
        """Begin to connect, or give up with None."""
        self._tell("connect", None if addr_type is None else hexlify(addr).decode(), scan_duration_ms)

    def gap_disconnect(self, conn_handle):
        """End a connection."""
        self._tell("disconnect", conn_handle)

    def gattc_discover_services(self, conn_handle):
        """Ask for all services."""
        self._tell("services", conn_handle)

    def gattc_discover_characteristics(self, conn_handle, start_handle, end_handle):
        """Ask for characteristics in a range."""
        self._tell("characteristics", conn_handle, start_handle, end_handle)

    def gattc_discover_descriptors(self, conn_handle, start_handle, end_handle):
        """Ask for descriptors in a range."""
        self._tell("descriptors", conn_handle, start_handle, end_handle)

    def gattc_write(self, conn_handle, value_handle, data, mode=0):
        """Write a value; with mode 1 its success is an event."""
        self._tell("write", conn_handle, value_handle, hexlify(data).decode(), mode)

    def _tell(self, *words):
        if self._wire is None:
            raise OSError(19)
        self._wire.write(json.dumps(words) + "\n")

    async def _listen(self):
        reader = asyncio.StreamReader(self._wire)
        while True:
            line = await reader.readline()
            if not line:
                return
            event, data = json.loads(line)
            # On the chip these are views of the radio's own memory, good only during the call.
            data = tuple(memoryview(unhexlify(each[1:])) if isinstance(each, str) else each for each in data)
            if self._handler is not None:
                self._handler(event, data)
