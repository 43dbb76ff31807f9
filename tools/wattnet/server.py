"""The composition root: the application, its settlement, and how both start and end."""

import asyncio
import contextlib
import hashlib
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
from aiohttp import web

from . import books
from .api import routes
from .faults import Faults, inject
from .guard import PROOF_BYTES_MAX, limit_clients, refusals
from .ledger import Ledger
from .settings import Settings

LOG = logging.getLogger(__name__)


def make_app(ledger: Ledger, settings: Settings, faults: Faults | None = None) -> web.Application:
    """Return the application over a ledger."""
    limits = limit_clients(settings.per_minute, settings.clock.real_ms_now)
    middlewares = [refusals, *([inject(faults)] if faults else []), limits]
    app = web.Application(middlewares=middlewares, client_max_size=PROOF_BYTES_MAX)
    app.add_routes(routes(ledger, settings))
    return app


def settle_once(ledger: Ledger, settings: Settings) -> list[int]:
    """Let unanswered challenges expire, and settle what is due; return the epochs."""
    now_ms = settings.clock.now_ms()
    ledger.expire(settings.clock.real_ms_now())
    return books.settle_due(ledger, settings.epoch(now_ms - settings.grace_ms), now_ms)


async def settle(ledger: Ledger, settings: Settings) -> None:
    """Settle, again and again, until cancelled."""
    while True:
        try:
            for number in settle_once(ledger, settings):
                LOG.info("settled epoch=%d", number)
        except apsw.Error:
            LOG.exception("settlement failed, it is tried again")
        await asyncio.sleep(settings.settle_every_s)


@asynccontextmanager
async def serving(
    file: Path | str,
    address: tuple[str, int],
    settings: Settings,
    *,
    seed: int | None = None,
    faults: Faults | None = None,
) -> AsyncIterator[str]:
    """Serve, and give the address as a URL; everything is closed at the end."""
    secret = None if seed is None else hashlib.sha256(b"wattnet seed %d" % seed).digest()
    with contextlib.closing(Ledger(file, secret)) as ledger:
        runner = web.AppRunner(make_app(ledger, settings, faults), shutdown_timeout=1, access_log=None)
        await runner.setup()
        task = asyncio.create_task(settle(ledger, settings), name="settle")
        try:
            site = web.TCPSite(runner, *address)
            await site.start()
            yield f"http://{address[0]}:{runner.addresses[0][1]}"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await runner.cleanup()


async def serve(
    file: Path | str,
    address: tuple[str, int],
    settings: Settings,
    *,
    seed: int | None = None,
    faults: Faults | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; the first line on standard output says where."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with serving(file, address, settings, seed=seed, faults=faults) as url:
        print(f"wattnet serves {url}", flush=True)
        await stop.wait()
