"""One client's connection: its requests are answered one after another, in the order in which they came."""

import asyncio
import time
from collections import deque
from typing import Protocol

from wattwire.errors import WireError

from .access import Client, client_of
from .mbap import Request, Requests, answer

READ_BYTES = 1024  # taken at once
INBOX_MAX = 16  # whole requests that wait; the rest waits with the client
OUTBOX_BYTES_MAX = 4096
IDLE_S = 600.0
UNFINISHED_S = 10.0  # for the rest of a request
SLOW_S = 10.0  # for a client to take its answers
RATE_S, BURST = 0.002, 500  # a client that asks more often is answered later


class Host(Protocol):
    """What a connection needs of its proxy."""

    def enter(self, session: "Session", client: Client | None) -> str:
        """Take a new connection in; returns the reason if it may not stay."""
        ...

    def leave(self, session: "Session", reason: str) -> None:
        """Forget a connection; `reason` says why it was ended from here, if it was."""
        ...

    async def answer(self, client: Client, request: Request) -> bytes:
        """Return the PDU of an answer, also of one that declines."""
        ...


class Session(asyncio.BufferedProtocol):
    """The connection; it ends with its transport."""

    def __init__(self, host: Host) -> None:
        """It begins when the transport is made."""
        self._host = host
        self._space = bytearray(READ_BYTES)
        self._requests = Requests()
        self._inbox: deque[Request] = deque()
        self._some, self._writable = asyncio.Event(), asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._reason = ""
        self._free_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if the proxy lets it in."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server makes
        self._transport = transport
        transport.set_write_buffer_limits(high=OUTBOX_BYTES_MAX)
        peer = transport.get_extra_info("peername")
        client = client_of(peer[0]) if peer else None  # it may have gone already
        reason = self._host.enter(self, client)
        if reason or client is None:
            self.end(reason)
            return
        self._task = asyncio.get_running_loop().create_task(self._serve(transport, client), name="proxy-client")
        self._await_bytes(IDLE_S, "idle")

    def get_buffer(self, _: int) -> bytearray:
        """Return where bytes go."""
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes that came."""
        if self._requests.is_broken or self._transport is None:
            return
        was_between = self._requests.is_between
        try:
            found = self._requests.feed(bytes(self._space[:nbytes]))
        except WireError as error:
            self.abort(error.reason)
            return
        self._inbox += found
        self._some.set()
        if len(self._inbox) >= INBOX_MAX:
            self._transport.pause_reading()
        if self._requests.is_broken:  # behind good requests
            self._transport.pause_reading()
        elif self._requests.is_between:
            self._await_bytes(IDLE_S, "idle")
        elif was_between or found:
            self._await_bytes(UNFINISHED_S, "unfinished")

    def pause_writing(self) -> None:
        """Wait until the client has taken its answers."""
        self._writable.clear()
        self._writing = asyncio.get_running_loop().call_later(SLOW_S, self.abort, "slow_reader")

    def resume_writing(self) -> None:
        """Go on."""
        self._writable.set()
        _cancel(self._writing)

    def eof_received(self) -> bool:
        """End: who says good-bye wants no answers, and no writes any more."""
        return False

    def connection_lost(self, _: Exception | None) -> None:
        """Do nothing more for the client."""
        for handle in (self._reading, self._writing, self._task):
            _cancel(handle)
        self._host.leave(self, self._reason)

    def end(self, reason: str = "") -> None:
        """End it from here."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.close()

    def abort(self, reason: str = "") -> None:
        """End it without waiting for the client."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()

    async def ended(self) -> None:
        """Wait for what still runs."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def _await_bytes(self, seconds: float, reason: str) -> None:
        _cancel(self._reading)
        self._reading = asyncio.get_running_loop().call_later(seconds, self.abort, reason)

    async def _serve(self, transport: asyncio.Transport, client: Client) -> None:
        try:
            while True:
                while not self._inbox:
                    if self._requests.is_broken:
                        self.end("nonsense")
                        return
                    self._some.clear()
                    await self._some.wait()
                request = self._inbox.popleft()
                if len(self._inbox) < INBOX_MAX and not self._requests.is_broken:
                    transport.resume_reading()
                await self._keep_pace()
                pdu = await self._host.answer(client, request)
                await self._writable.wait()
                transport.write(answer(request, pdu))
        finally:
            transport.close()

    async def _keep_pace(self) -> None:
        now_s = time.monotonic()
        self._free_s = max(self._free_s, now_s - BURST * RATE_S) + RATE_S
        if self._free_s > now_s:
            await asyncio.sleep(self._free_s - now_s)


def _cancel(what: asyncio.TimerHandle | asyncio.Task[None] | None) -> None:
    if what is not None:
        what.cancel()
