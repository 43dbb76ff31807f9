"""Faults on request, for tests: a seeded bad day of the network, or an exact script of one."""

import asyncio
import random
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from .guard import Handler, answer

Share = Annotated[float, Meta(ge=0, le=1)]
Fault = Literal["ok", "timeout", "error", "late_error", "lost", "twice", "slow", "busy", "refused"]


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which share of the POSTs goes wrong and how; `script` names the fate of the first ones, in order."""

    seed: int = 0
    script: list[Fault] = []
    timeout: Share = 0  # never answers, and takes nothing
    error: Share = 0  # answers 500, and takes nothing
    late_error: Share = 0  # takes the report, then answers 500
    lost: Share = 0  # takes the report, then drops the connection
    twice: Share = 0  # answers two times on the same connection
    slow: Share = 0  # answers after slow_s
    busy: Share = 0  # answers 429
    slow_s: Annotated[float, Meta(ge=0, le=60)] = 0.2
    paths: tuple[str, ...] = ("/v1/reports",)  # prefixes


def parse(text: str) -> Faults:
    """Read the JSON of `--faults`; raises ValueError."""
    return msgspec.json.decode(text, type=Faults)


def drawing(faults: Faults) -> Callable[[], str]:
    """Return what tells the fate of one submission after the other: the script's, then by share."""
    source = random.Random(faults.seed)
    script = list(faults.script)
    kinds = ("timeout", "error", "late_error", "lost", "twice", "slow", "busy")
    shares = [getattr(faults, kind) for kind in kinds]

    def draw() -> str:
        if script:
            return script.pop(0)
        return source.choices((*kinds, "ok"), (*shares, max(0.0, 1 - sum(shares))))[0]

    return draw


def inject(faults: Faults) -> Any:
    """Return the middleware that makes them happen."""
    draw = drawing(faults)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method != "POST" or not request.path.startswith(faults.paths):
            return await handler(request)
        return await _suffer(draw(), faults, request, handler)

    return middleware


async def _suffer(fault: str, faults: Faults, request: web.Request, handler: Handler) -> web.StreamResponse:
    if fault == "timeout":
        await asyncio.sleep(3600)
    if fault == "error":
        return answer({"reason": "internal", "detail": "a fault on request"}, 500)
    if fault == "refused":  # by a script only: a network that does so by chance takes nothing for granted
        return answer({"reason": "bad_form", "detail": "a fault on request"}, 400)
    if fault == "busy":
        response = answer({"reason": "too_many", "detail": "a fault on request"}, 429)
        response.headers["Retry-After"] = "1"
        return response
    taken = await handler(request)
    if fault == "late_error":
        return answer({"reason": "internal", "detail": "taken, yet a fault on request"}, 500)
    if fault == "slow":
        await asyncio.sleep(faults.slow_s)
    if fault == "lost" and request.transport is not None:
        request.transport.abort()
    if fault == "twice" and isinstance(taken, web.Response):
        return await _answer_twice(request, taken)
    return taken


async def _answer_twice(request: web.Request, response: web.Response) -> web.Response:
    await response.prepare(request)
    await response.write_eof()
    body = response.body if isinstance(response.body, bytes) else b""
    if request.transport is not None:
        head = f"HTTP/1.1 {response.status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        request.transport.write(head.encode() + body)
    return response
