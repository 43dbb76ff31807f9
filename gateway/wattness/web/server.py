"""The web server: the API, its description, the page, and what keeps strangers out."""

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web

from wattness.config import split_address
from wattness.errors import ConfigError

from .answers import Live
from .api import Api, Sources
from .events import Events
from .openapi import describe
from .routes import Route, endpoint, problem

ASSETS = Path(__file__).parent / "assets"
REQUEST_BYTES_MAX = 64 * 1024
STOP_S = 2.0
LOCAL_NAMES = {"localhost", "localhost."}

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(listen: str, sources: Sources) -> AsyncIterator[tuple[str, Events]]:
    """Serve the page and the API; gives the page's address, and the events that somebody must `run`."""
    host, port = split_address(listen, "$.web.listen")
    require_loopback(host)
    app, events = make_app(sources)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(
                f"{listen} cannot be opened for the page ({error.strerror}): "
                "stop the program that uses it, or set another address in web.listen."
            ) from None
        port = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}/", events
    finally:
        await runner.cleanup()


def require_loopback(host: str) -> None:
    """Refuse to show the page to the network: it has no log-in yet."""
    if not is_local(host):
        raise ConfigError(
            f"$.web.listen: {host} would show the page to others, and it has no log-in: keep it on 127.0.0.1 and use "
            "an SSH tunnel (`ssh -L 8080:127.0.0.1:8080 gateway`)."
        )


def make_app(sources: Sources) -> tuple[web.Application, Events]:
    """Return the application and its events."""
    api = Api(sources)
    events = Events(api)
    listen = Route(
        "GET", "/api/v1/events", "Live values as server-sent events.", Live, api.live, media_type="text/event-stream"
    )
    document = msgspec.json.encode(describe((*api.routes, listen), sources.version))

    async def openapi(_: web.Request) -> web.StreamResponse:
        return web.Response(body=document, content_type="application/json")

    async def page(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(ASSETS / "index.html")

    app = web.Application(middlewares=[guard], client_max_size=REQUEST_BYTES_MAX)
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(events.close)
    for route in api.routes:
        app.router.add_route(route.method, route.path, endpoint(route))
    app.router.add_get(listen.path, events.stream)
    app.router.add_get("/api/openapi.json", openapi)
    app.router.add_get("/", page)
    app.router.add_static("/assets", ASSETS)
    return app, events


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer only who asked for a local name: another name is a page elsewhere that rebinds its DNS to us."""
    if not is_local(_name_in(request.headers.get("Host", ""))):
        return problem(403, "Open this page as http://localhost or http://127.0.0.1.")
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return problem(error.status, f"{error.reason}.")


def is_local(host: str) -> bool:
    """Whether a host's name can only mean this machine."""
    try:
        return host.lower() in LOCAL_NAMES or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _name_in(host: str) -> str:
    return host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-cache")
