"""Live values as server-sent events: one reader of the store for all who listen."""

import asyncio
import logging
from collections.abc import Callable

import msgspec
from aiohttp import web

from wattness.errors import StoreError

from .api import Api
from .routes import problem

log = logging.getLogger(__name__)

PERIOD_S = 1.0
LISTENERS_MAX = 64
PER_SOURCE_MAX = 32  # a page each; a household behind one router is one source
BEHIND_MAX = 5  # events; who is further behind is cut off, and the browser connects again
RETRY_MS = 2000


class Listener:
    """One page that listens: a short queue, and the connection that is cut when it runs over."""

    def __init__(self, request: web.Request) -> None:
        """The connection is the request's."""
        self.request = request
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(BEHIND_MAX)


class Events:
    """Sends a `live` event a second to every listener, while there is one."""

    def __init__(self, api: Api, admits: Callable[[web.Request], bool]) -> None:
        """Nothing is read before somebody listens; who is admitted no more hears no more."""
        self._api = api
        self._admits = admits
        self._listeners: set[Listener] = set()
        self._listening = asyncio.Event()
        self._since: dict[int, int] = {}
        self.dropped = 0  # who was cut off for being behind

    def __len__(self) -> int:
        """How many listen."""
        return len(self._listeners)

    async def run(self) -> None:
        """Feed the listeners until cancelled."""
        while True:
            await self._listening.wait()
            try:
                event = await self._next()
            except StoreError as error:
                log.warning("live event left out error=%s", error)
            else:
                self._send(event)
            await asyncio.sleep(PERIOD_S)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Answer one listener until it goes."""
        if len(self) >= LISTENERS_MAX:
            return problem(503, f"{LISTENERS_MAX} pages listen already: close one.")
        if sum(other.request.remote == request.remote for other in self._listeners) >= PER_SOURCE_MAX:
            return problem(503, f"{PER_SOURCE_MAX} pages listen already from your address: close one.")
        listener = Listener(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        self._listeners.add(listener)
        self._listening.set()
        try:
            await response.write(b"retry: %d\n\n" % RETRY_MS)
            while listener in self._listeners:
                await response.write(await listener.queue.get())
        except ConnectionError:
            pass  # the page was closed
        finally:
            self._leave(listener)
        return response

    async def close(self, _: web.Application | None = None) -> None:
        """Let every listener go: the server stops."""
        for listener in list(self._listeners):
            self._leave(listener)

    async def _next(self) -> bytes:
        live = await self._api.live(self._since)
        self._since = {stream.id: stream.last_unix_ms or 0 for stream in live.streams}
        return b"event: live\ndata: " + msgspec.json.encode(live) + b"\n\n"

    def _send(self, event: bytes) -> None:
        for listener in list(self._listeners):
            if not self._admits(listener.request):
                self._leave(listener)
            elif listener.queue.full():
                self._cut(listener)
            else:
                listener.queue.put_nowait(event)

    def _cut(self, listener: Listener) -> None:
        """End a connection that takes nothing: what it waits for would never return."""
        self.dropped += 1
        self._leave(listener)
        if listener.request.transport is not None:
            listener.request.transport.abort()

    def _leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        if listener.queue.empty():
            listener.queue.put_nowait(b"")  # wakes who waits for an event
        if not self._listeners:
            self._listening.clear()
            self._since = {}
