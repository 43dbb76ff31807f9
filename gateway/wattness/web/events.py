"""Live values as server-sent events: one reader of the store for all who listen."""

import asyncio
import logging

import msgspec
from aiohttp import web

from wattness.errors import StoreError

from .api import Api
from .routes import problem

log = logging.getLogger(__name__)

PERIOD_S = 1.0
LISTENERS_MAX = 64
BEHIND_MAX = 5  # events; who is further behind is cut off, and the browser connects again
RETRY_MS = 2000


class Events:
    """Sends a `live` event a second to every listener, while there is one."""

    def __init__(self, api: Api) -> None:
        """Nothing is read before somebody listens."""
        self._api = api
        self._listeners: set[asyncio.Queue[bytes]] = set()
        self._listening = asyncio.Event()
        self._since: dict[int, int] = {}

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
        if len(self._listeners) >= LISTENERS_MAX:
            return problem(503, f"{LISTENERS_MAX} pages listen already: close one.")
        queue: asyncio.Queue[bytes] = asyncio.Queue(BEHIND_MAX)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        self._listeners.add(queue)
        self._listening.set()
        try:
            await response.write(b"retry: %d\n\n" % RETRY_MS)
            while queue in self._listeners:
                await response.write(await queue.get())
        except ConnectionError:
            pass  # the page was closed
        finally:
            self._leave(queue)
        return response

    async def close(self, _: web.Application | None = None) -> None:
        """Let every listener go: the server stops."""
        for queue in list(self._listeners):
            self._leave(queue)

    async def _next(self) -> bytes:
        live = await self._api.live(self._since)
        self._since = {stream.id: stream.last_unix_ms or 0 for stream in live.streams}
        return b"event: live\ndata: " + msgspec.json.encode(live) + b"\n\n"

    def _send(self, event: bytes) -> None:
        for queue in list(self._listeners):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._leave(queue)

    def _leave(self, queue: asyncio.Queue[bytes]) -> None:
        self._listeners.discard(queue)
        if queue.empty():
            queue.put_nowait(b"")  # wakes who waits for an event
        if not self._listeners:
            self._listening.clear()
            self._since = {}
