"""The access point between an emulated board and its gateway: relays TCP, and can be switched off."""

import asyncio
import contextlib
from pathlib import Path

CHUNK = 65536


class AccessPoint:
    """Relays to one address; switched off it drops every connection, and the board's radio finds no network.

    The radio looks for the file `silence`, which is there for as long as the access point is off.
    """

    def __init__(self, silence: Path) -> None:
        self._silence = silence
        self._to: tuple[str, int] | None = None
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def relay(self, host: str, port: int) -> tuple[str, int]:
        """Have connections go to that address; return the one that the board is to use."""
        self._to = (host, port)
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        own_host, own_port = self._server.sockets[0].getsockname()[:2]
        return str(own_host), int(own_port)

    async def switch(self, *, on: bool) -> None:
        """Switch it on or off."""
        if on:
            self._silence.unlink(missing_ok=True)
            return
        self._silence.touch()
        self._drop()

    async def stop(self) -> None:
        """Close everything."""
        self._drop()
        if self._server is not None:
            self._server.close()
            self._server = None

    def _drop(self) -> None:
        for writer in self._writers:
            writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._to is not None  # noqa: S101  (set before the server is there)
        if self._silence.exists():
            writer.close()
            return
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(*self._to)
            self._writers.update((writer, far_writer))
            try:
                await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
            finally:
                self._writers.difference_update((writer, far_writer))
                far_writer.close()
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()
