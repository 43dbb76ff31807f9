"""The reference network as a sandbox: a real wattnet in memory, with a ledger of what it took."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from aiohttp import web
from aiohttp.typedefs import Middleware

from civilclock import Clock
from wattnet.faults import Faults
from wattnet.guard import Handler
from wattnet.ledger import Ledger as Book
from wattnet.refusal import RefusalError
from wattnet.server import make_app, settle
from wattnet.settings import Settings

from .base import Ledger, Served
from .serving import listening

PATH = "/v1/reports"


@asynccontextmanager
async def serving(public_key: bytes, clock: Clock, faults: Faults) -> AsyncIterator[Served]:
    """Serve a network that knows nobody yet: gateways introduce themselves."""
    del public_key
    ledger, settings = Ledger(), Settings(clock, challenge_percent=0, age_ms_max=400 * 86_400_000)
    with closing(Book(":memory:", None)) as book:
        app = make_app(book, settings, faults)
        app.middlewares.append(_noting(ledger))  # the innermost: it sees what was taken before an answer was lost
        settling = asyncio.create_task(settle(book, settings), name="settle")
        try:
            async with listening(app) as url:
                yield Served(url, ledger, {})
        finally:
            settling.cancel()
            await asyncio.gather(settling, return_exceptions=True)


def _noting(ledger: Ledger) -> Middleware:
    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != PATH:
            return await handler(request)
        try:
            taken = await handler(request)
        except RefusalError as error:
            ledger.refuse(error.reason)
            raise
        if isinstance(taken, web.Response) and isinstance(taken.body, bytes):
            value = json.loads(taken.body)
            ledger.take(value["slot"], bytes.fromhex(value["report"]))
        return taken

    return note
