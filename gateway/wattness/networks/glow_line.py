"""The line to one of Glow's servers: reports by UDP, what arrived by TCP, and what became of it by HTTP."""

import asyncio
import contextlib
from typing import NamedTuple

import msgspec

from wattness.errors import UnavailableError

from . import glow_wire
from .glow_wire import Synced
from .http import HttpClient, shaped, taken

TIMEOUT_S = 4.0
RECENT_S = 1800.0  # the list has a megabyte: it is not asked for more often than that
UNKNOWN_DEVICE = b"\0"  # the whole answer


class Server(NamedTuple):
    """Where a server is, and the key that it signs its answers with."""

    host: str
    udp_port: int
    tcp_port: int
    key: bytes  # X of the compressed point


class _Report(msgspec.Struct, rename="pascal"):
    power_output: int


class _Recent(msgspec.Struct, rename="pascal"):
    timeslot_offset: int
    reports: list[_Report]


class Line:
    """Speaks to one server as one device."""

    def __init__(self, server: Server, short_id: int, web: HttpClient | None) -> None:
        self.server, self.short_id = server, short_id
        self.web = web
        self._recent: _Recent | None = None
        self._recent_until_s = 0.0

    async def transmit(self, packet: bytes) -> None:
        """Send one UDP packet; nobody tells whether it arrives."""
        loop, to = asyncio.get_running_loop(), (self.server.host, self.server.udp_port)
        try:
            transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=to)
        except OSError as error:
            raise UnavailableError(f"nothing can be sent to {self.server.host}: {error}") from None
        try:
            transport.sendto(packet)
        finally:
            transport.close()

    async def sync(self) -> Synced:
        """Ask which slots arrived; raises UnavailableError unless the answer is the server's own."""
        reply = await self._reply()
        try:
            return glow_wire.parse_sync(reply, self.server.key)
        except ValueError as error:
            raise UnavailableError(f"the answer of {self.server.host} is not believed: {error}") from None

    async def output(self, slot: int, public_key: bytes) -> int | None:
        """Return what the server holds for a slot; None when it does not say."""
        if self._recent is None or asyncio.get_running_loop().time() >= self._recent_until_s:
            self._recent = await self.recent(public_key)
            self._recent_until_s = asyncio.get_running_loop().time() + RECENT_S
        at = -1 if self._recent is None else slot - self._recent.timeslot_offset
        return self._recent.reports[at].power_output if self._recent and 0 <= at < len(self._recent.reports) else None

    async def recent(self, public_key: bytes) -> _Recent | None:
        """Return what the server holds of the last two weeks; None without its HTTP interface."""
        if self.web is None:
            return None
        query = {"publicKey": public_key.hex()}
        answer = await self.web.exchange("GET", "/api/v1/recent-reports", params=query)
        try:
            return shaped(msgspec.json.decode(taken(answer, "look at settings.http_port")), _Recent)
        except msgspec.DecodeError:
            raise UnavailableError("the server's list of recent reports is not understood") from None

    async def _reply(self) -> bytes:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._ask()
        except TimeoutError:
            raise UnavailableError(f"{self.server.host} did not answer in {TIMEOUT_S} s") from None
        except (OSError, asyncio.IncompleteReadError) as error:
            raise UnavailableError(f"{self.server.host}:{self.server.tcp_port}: {error}") from None

    async def _ask(self) -> bytes:
        """Return what follows the length; at most 64 KiB, for the length has two bytes."""
        reader, writer = await asyncio.open_connection(self.server.host, self.server.tcp_port)
        try:
            writer.write(self.short_id.to_bytes(4, "little"))
            await writer.drain()
            size = int.from_bytes(await reader.readexactly(2), "little")
            return await reader.readexactly(size)
        except asyncio.IncompleteReadError as error:
            if error.partial == UNKNOWN_DEVICE:
                raise UnavailableError(
                    f"Glow does not know ShortID {self.short_id}: an auditor (GCA) must pass the farm and "
                    "authorise this key, and settings.short_id is the number given then"
                ) from None
            raise
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
