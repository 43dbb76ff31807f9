"""One bounded HTTP exchange with a network, with every failure named for what the caller does next."""

import asyncio
import json
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar

import aiohttp
import msgspec

from wattness.clock import Clock
from wattness.errors import RefusedError, UnavailableError

from .base import Check

ANSWER_BYTES_MAX = 16 * 1024 * 1024
CLOCK_OFF_S_MAX = 60  # of the network's clock, before its checks would refuse what we date
AGAIN = frozenset({408, 425, 429})  # and everything from 500 on
FINAL = frozenset({400, 409, 410, 413, 414, 415, 422})  # of what was sent; any other no is of its sender, or for now

T = TypeVar("T")


def new_session(**options: Any) -> aiohttp.ClientSession:
    """Return a session that keeps no cookies, to be used in `async with`."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), **options)


class Answer(NamedTuple):
    """An answer below 500."""

    status: int
    body: bytes

    def said(self) -> str:
        """Return the beginning of what it says, for people."""
        return self.body[:500].decode("utf-8", "replace").strip()


class HttpClient:
    """Speaks to one base URL; an answer that is not the network's own JSON never costs a report."""

    def __init__(self, session: aiohttp.ClientSession, url: str, timeout_s: float) -> None:
        self.session = session
        self.url = url.rstrip("/")
        self.timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """Return the JSON object at `path`."""
        return await self._ask("GET", path, params=query)

    async def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """Deliver `body` and return the JSON object that answers it."""
        return await self._ask("POST", path, data=body, headers=headers)

    async def reach(self, path: str, clock: Clock) -> list[Check]:
        """Ask for `path` and tell whether anybody answers, and whether their clock agrees with ours."""
        try:
            async with self.session.get(self.url + path, timeout=self.timeout, allow_redirects=False) as response:
                status, date = response.status, response.headers.get("Date", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            text = f"{self.url} does not answer: {type(error).__name__} {error}; look at `url` and at the line."
            return [Check("endpoint", ok=False, text=text)]
        if status >= 500:
            return [Check("endpoint", ok=False, text=f"{self.url} answers {status}; try again later.")]
        try:
            off_s = round(clock.real_ms_now() / 1000 - parsedate_to_datetime(date).timestamp())
        except (ValueError, TypeError):
            return [Check("endpoint", ok=True, text=f"{self.url} answers, and does not tell the time.")]
        told = f"This clock is {abs(off_s)} s {'ahead of' if off_s > 0 else 'behind'} the network's"
        remedy = "; set it by network time (NTP)." if abs(off_s) > CLOCK_OFF_S_MAX else "."
        return [
            Check("endpoint", ok=True, text=f"{self.url} answers."),
            Check("clock", ok=abs(off_s) <= CLOCK_OFF_S_MAX, text=told + remedy),
        ]

    async def exchange(self, method: str, path: str, **options: Any) -> Answer:
        """Return the answer, whatever its form; raises UnavailableError where there is none, or only for now."""
        try:
            async with self.session.request(
                method, self.url + path, timeout=self.timeout, allow_redirects=False, **options
            ) as response:
                answer = Answer(response.status, await _read(response))
                wait = response.headers.get("Retry-After", "")
        except TimeoutError:
            raise UnavailableError(f"{self.url} did not answer in {self.timeout.total} s") from None
        except (aiohttp.ClientError, asyncio.IncompleteReadError, OSError) as error:
            raise UnavailableError(f"{self.url}: {type(error).__name__}: {error}") from None
        if answer.status in AGAIN or answer.status >= 500:
            wait_s = float(wait) if wait.isdecimal() else 0
            raise UnavailableError(f"{self.url} answered {answer.status} {answer.said()}", wait_s)
        return answer

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = await self.exchange(method, path, **options)
        value = _parse(answer.body)
        if 200 <= answer.status < 300 and value is not None:
            return value
        reason = value.get("reason") if value else None
        if 400 <= answer.status < 500 and isinstance(reason, str):
            raise RefusedError(reason[:64], str(value.get("detail", ""))[:500] if value else "")
        raise UnavailableError(f"{self.url} answered {answer.status}, which is not this network's protocol")


def taken(answer: Answer, gate: str) -> bytes:
    """Return the body of a yes; raises RefusedError, or UnavailableError with the `gate` where that is closed."""
    if 200 <= answer.status < 300:
        return answer.body
    if answer.status in FINAL:
        raise RefusedError(f"http_{answer.status}", answer.said())
    remedy = f": {gate}" if answer.status in {401, 403} else ", which is not this network's protocol; look at `url`"
    raise UnavailableError(f"the network answered {answer.status} {answer.said()}{remedy}")


def shaped(value: dict[str, Any], kind: type[T]) -> T:
    """Return an answer as `kind`; raises UnavailableError for one that does not follow the network's protocol."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UnavailableError(f"the network's answer is not understood: {error}") from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise UnavailableError(f"{response.url} answered more than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)


def _parse(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in `body`, or None when there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
