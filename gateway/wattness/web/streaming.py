"""The SenML export: read in a thread of its own, sent as fast as the client takes it."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import TypeVar

from aiohttp import web

from wattness.config import DATABASE_NAME
from wattness.errors import StoreError
from wattness.store.reader import Reader, open_reader
from wattness.store.readings import Part
from wattness.store.views import StreamView

from .queries import SenmlQuery
from .routes import NotFoundError, RefusalError, Route, decode
from .senml import MEDIA_TYPE, Record, pack
from .sources import Sources

T = TypeVar("T")
log = logging.getLogger(__name__)

SENML, WHAT = "/api/v1/senml", "Readings as SenML (RFC 8428)."
HOUR_MS = 3_600_000
REACH_DAYS = 31
EXPORTS_MAX = 2  # at a time
PIECES = 16  # that are sent at a time


class Export:
    """Answers with readings."""

    def __init__(self, sources: Sources) -> None:
        """`sources` is read at each request."""
        self._from = sources
        self._running = 0
        self.route = Route("GET", SENML, WHAT, list[Record], self.answer, SenmlQuery, media_type=MEDIA_TYPE)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer with a stream's readings of some time."""
        query: SenmlQuery = decode(self.route, request.match_info, request.query)
        until = self._from.clock.now_ms() if query.until is None else query.until
        since = max(0, until - HOUR_MS) if query.since is None else query.since
        if not 0 < until - since <= REACH_DAYS * 24 * HOUR_MS:
            raise RefusalError(400, f"Ask from an earlier to a later time, {REACH_DAYS} days at most.")
        stream = await self._from.store.read(lambda reader: _stream(reader, query))
        if self._running >= EXPORTS_MAX:
            raise RefusalError(503, f"{EXPORTS_MAX} exports run already: try again.")
        self._running += 1
        thread = ThreadPoolExecutor(1, thread_name_prefix="senml")
        stack = ExitStack()
        try:
            pieces = await _in(thread, lambda: self._open(stack, stream, query.point, (since, until)))
            return await _send(request, thread, pieces)
        finally:
            thread.submit(stack.close)  # behind what the thread may still be at
            thread.shutdown(wait=False)
            self._running -= 1

    def _open(self, stack: ExitStack, stream: StreamView, point: str | None, reach: tuple[int, int]) -> Iterator[bytes]:
        reader = stack.enter_context(open_reader(self._from.config.path(DATABASE_NAME)))
        parts = reader.readings(stream.id, *reach)
        return pack(stream, parts if point is None else _only(point, parts), self._from.config.web.enterprise)


async def _send(request: web.Request, thread: ThreadPoolExecutor, pieces: Iterator[bytes]) -> web.StreamResponse:
    def read() -> bytes:
        return b"".join(islice(pieces, PIECES))

    body = await _in(thread, read)
    if not body:
        raise NotFoundError("No readings of that time are held.")
    response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE})
    await response.prepare(request)
    try:
        while body:
            await response.write(body)
            body = await _in(thread, read)
    except StoreError as error:  # the answer has begun: it must not look whole
        log.warning("export cut off error=%s", error)
        if request.transport is not None:
            request.transport.abort()
    return response


async def _in(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(thread, work)


def _stream(reader: Reader, query: SenmlQuery) -> StreamView:
    stream = next((one for one in reader.streams() if one.id == query.stream), None)
    if stream is None:
        raise NotFoundError(f"There is no stream {query.stream}.")
    if query.point is not None and query.point not in {point.name for point in stream.points}:
        raise NotFoundError(f"Stream {query.stream} has no point {query.point!r}.")
    return stream


def _only(point: str, parts: Iterator[Part]) -> Iterator[Part]:
    for times, columns in parts:
        if point in columns:
            yield times, {point: columns[point]}
