"""What every request passes first: errors become JSON, and nobody gets more than their share."""

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from .refusal import RefusalError

REPORT_BYTES_MAX = 8_192
PROOF_BYTES_MAX = 34 * 1024 * 1024  # 4,096 frames of 8 KiB, and their lengths
UPLOAD_TIMEOUT_S = 60
BUCKETS_MAX = 10_000
CLIENT_FACTOR = 4  # an address may carry several gateways

LOG = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Rates:
    """A token bucket per name: `per_minute` on average, a tenth of it at once; the oldest names are forgotten."""

    def __init__(self, per_minute: int) -> None:
        self.per_ms = per_minute / 60_000
        self.size = max(1.0, per_minute / 10)
        self._buckets: OrderedDict[object, tuple[float, int]] = OrderedDict()

    def take(self, name: object, now_ms: int) -> None:
        """Count one request of `name`; raises RefusalError when there were too many."""
        level, then = self._buckets.pop(name, (self.size, now_ms))
        level = min(self.size, level + max(0, now_ms - then) * self.per_ms)
        self._buckets[name] = (level - 1 if level >= 1 else level, now_ms)
        while len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)
        if level < 1:
            raise RefusalError(429, "too_many", f"try again in {self.wait_s(level)} s")

    def wait_s(self, level: float = 0.0) -> int:
        """How many seconds until a request fits again, rounded up."""
        return 1 + int((1 - level) / self.per_ms / 1000)


def answer(value: Any, status: int = 200) -> web.Response:
    """Return a JSON answer; bytes are written as hex."""
    text = json.dumps(value, default=lambda item: item.hex() if isinstance(item, bytes) else list(item))
    return web.Response(text=text, status=status, content_type="application/json")


async def read_body(request: web.Request, limit: int) -> bytes:
    """Return the body; raises RefusalError when it is longer than `limit` or takes too long to arrive."""
    body = bytearray()
    try:
        async with asyncio.timeout(UPLOAD_TIMEOUT_S):
            async for chunk in request.content.iter_chunked(65_536):
                body += chunk
                if len(body) > limit:
                    raise RefusalError(413, "too_long", f"at most {limit} bytes")
    except TimeoutError:
        raise RefusalError(408, "too_slow", f"a body must arrive within {UPLOAD_TIMEOUT_S} s") from None
    return bytes(body)


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every no into JSON; only a defect of ours is a 500, and it is logged."""
    try:
        return await handler(request)
    except RefusalError as error:
        response = answer({"reason": error.reason, "detail": error.detail}, error.status)
        if error.status == 429:
            response.headers["Retry-After"] = error.detail.split()[-2]
        return response
    except web.HTTPException as error:
        return answer({"reason": error.reason.lower().replace(" ", "_"), "detail": ""}, error.status)
    except Exception:
        LOG.exception("request failed path=%s", request.path)
        return answer({"reason": "internal", "detail": "try again"}, 500)


def limit_clients(per_minute: int, now_ms: Callable[[], int]) -> Any:
    """Return a middleware that gives each address `CLIENT_FACTOR` gateways' worth of requests."""
    rates = Rates(per_minute * CLIENT_FACTOR)

    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "POST":
            rates.take(request.remote, now_ms())
        return await handler(request)

    return limit
