"""The web server: the API, its description, the page, and what keeps strangers out."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web

from wattness.config import split_address
from wattness.errors import ConfigError

from .answers import Live
from .api import Api
from .books import Books
from .credentials import Credentials
from .events import Events
from .gate import LOGIN, LOGOUT, METRICS, OPEN, Gate
from .limiter import Limiter
from .manage import Manage
from .metrics import Metrics
from .openapi import describe
from .past import Past
from .queries import Login
from .routes import Route, endpoint, sentences
from .sources import Sources
from .streaming import Export
from .tls import check_web, is_local

ASSETS = Path(__file__).parent / "assets"
REQUEST_BYTES_MAX = 1 << 20  # the longest settings, every character of them escaped
STOP_S = 2.0
EVENTS, EVENT, TEXT = "/api/v1/events", "text/event-stream", "text/plain"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@asynccontextmanager
async def serve(sources: Sources) -> AsyncIterator[tuple[str, Events]]:
    """Serve the page and the API; gives the page's address, and the events that somebody must `run`."""
    listen = sources.config.web.listen
    host, port = split_address(listen, "$.web.listen")
    context = check_web(sources.config)
    app, events = make_app(sources)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=context)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(
                f"{listen} cannot be opened for the page ({error.strerror}): "
                "stop the program that uses it, or set another address in web.listen."
            ) from None
        port = runner.addresses[0][1]
        scheme = "http" if context is None else "https"
        yield f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/", events
    finally:
        await runner.cleanup()


def make_app(sources: Sources) -> tuple[web.Application, Events]:
    """Return the application and its events; raises ConfigError when there is no token to log in with."""
    api, gate = Api(sources), open_gate(sources)
    events = Events(api, gate.admits)
    routes = (*api.routes, *Past(sources).routes, *Books(sources).routes, *Manage(sources).routes)
    export = Export(sources)
    metrics = Metrics(sources, lambda: _counts(events, gate))
    special = (
        (Route("POST", LOGIN, "Log in: sets a cookie.", None, gate.login, body=Login, status=204), gate.login),
        (Route("POST", LOGOUT, "Log out.", None, gate.logout, status=204), gate.logout),
        (Route("GET", EVENTS, "Live values as server-sent events.", Live, api.live, media_type=EVENT), events.stream),
        (export.route, export.answer),
        (Route("GET", METRICS, "Counts for Prometheus.", str, metrics.scrape, media_type=TEXT), metrics.scrape),
    )
    described = (*routes, *(route for route, _ in special))
    document = msgspec.json.encode(describe(described, sources.version, OPEN, gate.cookie))

    async def openapi(_: web.Request) -> web.StreamResponse:
        return web.Response(body=document, content_type="application/json")

    async def page(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(ASSETS / "index.html")

    app = web.Application(middlewares=[sentences, gate.middleware], client_max_size=REQUEST_BYTES_MAX)
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(events.close)
    for route, handler in (*((route, endpoint(route)) for route in routes), *special):
        app.router.add_route(route.method, route.path, handler)
    app.router.add_get("/api/openapi.json", openapi)
    app.router.add_get("/", page)
    app.router.add_static("/assets", ASSETS)
    return app, events


def _counts(events: Events, gate: Gate) -> dict[str, int]:
    return {
        "listeners": len(events),
        "event_listeners_dropped": events.dropped,
        "logins_failed": gate.failures,
        "logins_refused": gate.refusals,
    }


def open_gate(sources: Sources) -> Gate:
    """Return the gate of this gateway's own token; raises ConfigError."""
    config, clock = sources.config, sources.clock
    credentials = Credentials(Path(config.home), lambda: clock.real_ms_now() // 1000)
    local = is_local(split_address(config.web.listen, "$.web.listen")[0])
    cookie = f"wattness-{sources.gateway[:8]}"  # cookies do not tell ports apart: two gateways on one host
    return Gate(credentials, Limiter(time.monotonic), cookie, secure=bool(config.web.tls_cert), local=local)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    is_asset = request.path == "/" or request.path.startswith("/assets/")
    response.headers.setdefault("Cache-Control", "no-cache" if is_asset else "no-store")
