"""A socket that reads and writes in large pieces, so that paho's many small calls stay inside the process.

paho asks the kernel four times for each message and once for each acknowledgement. Every such call gives up the
interpreter lock, and beside the verifying and storing threads it takes long to get it back: up to 100 µs each.
"""

import asyncio
import contextlib
import socket
from typing import Any

import paho.mqtt.client as paho

READ_BYTES = 64 * 1024
UNSENT_BYTES_MAX = 1 << 20
RETRY_S = 0.01


class BufferedSocket(socket.socket):
    """A connected TCP socket; what was sent goes out with `flush`."""

    def __init__(self, connected: socket.socket) -> None:
        """Take the place of `connected`."""
        family, kind, protocol = connected.family, connected.type, connected.proto
        super().__init__(family, kind, protocol, fileno=connected.detach())
        self._read, self._at = b"", 0
        self._unsent = bytearray()

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Return up to `bufsize` bytes of what is here, else of what the kernel has."""
        if self._at == len(self._read):
            self._read, self._at = super().recv(READ_BYTES, flags), 0
        part = self._read[self._at : self._at + bufsize]
        self._at += len(part)
        return part

    def pending(self) -> int:
        """How many bytes are here; aiomqtt reads on while there are any, as it does for TLS."""
        return len(self._read) - self._at

    def send(self, data: Any, _flags: int = 0, /) -> int:
        """Keep `data` for `flush`; raises BlockingIOError when too much waits."""
        if len(self._unsent) > UNSENT_BYTES_MAX:
            raise BlockingIOError
        self._unsent += data
        return len(data)

    def flush(self) -> bool:
        """Send what waits; False when the kernel did not take all of it now."""
        if self._unsent:
            with contextlib.suppress(OSError):  # a broken connection is seen by whoever reads
                del self._unsent[: super().send(self._unsent)]
        return not self._unsent

    def close(self) -> None:
        """Send what can be sent, and close."""
        self.flush()
        super().close()


def buffer(client: paho.Client) -> None:
    """Have `client`, which aiomqtt drives, use a BufferedSocket from its next connection on; not for TLS."""
    connect, unregister = client._create_socket, client.on_socket_unregister_write  # noqa: SLF001 - no public way in

    def written(driven: paho.Client, userdata: Any, connection: Any) -> None:
        """Flush when paho has handed over all that it has."""
        _flush(connection)
        if unregister is not None:
            unregister(driven, userdata, connection)

    client._create_socket = lambda: BufferedSocket(connect())  # type: ignore[method-assign,arg-type] # noqa: SLF001
    client.on_socket_unregister_write = written


def _flush(connection: BufferedSocket) -> None:
    if connection.fileno() >= 0 and not connection.flush():
        asyncio.get_running_loop().call_later(RETRY_S, _flush, connection)
