"""Delivers files piece by piece over HTTP, with every failure named for what the caller does next."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from wattness.errors import RefusedError, UnavailableError
from wattness.private import read_private

ANSWER_BYTES_MAX = 1 << 20
FINAL = frozenset({400, 413, 415, 422})  # what is wrong with the file; the others are about who asks and where
SENTENCE_MAX = 300
REMEDIES = {
    401: "; look at `token_file`",
    402: "; put credit on this key's account there",
    403: "; look at `token_file`",
    404: "; look at `url`",
    405: "; look at `url`",
}


class Pieces:
    """An asynchronous iterator that remembers why it ended early: the HTTP client hides that."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self.error: RefusedError | None = None
        self._source = source

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces."""
        try:
            async for piece in self._source:
                yield piece
        except RefusedError as error:
            self.error = error
            raise


class Answer(NamedTuple):
    """What a server said; a good one, whose status is 2xx."""

    status: int
    body: bytes


class Uploader:
    """Speaks to one base URL."""

    def __init__(self, session: aiohttp.ClientSession, url: str, timeout_s: float) -> None:
        self.session = session
        self.url = url.rstrip("/")
        self.timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def ask(self, method: str, path: str) -> Answer:
        """Send a request without a body."""
        return await self._exchange(method, path, None)

    async def post(self, path: str, pieces: AsyncIterator[bytes], headers: dict[str, str]) -> Answer:
        """Send a body piece by piece; raises what `pieces` raises, UnavailableError or RefusedError."""
        source = Pieces(pieces)
        return await self._exchange("POST", path, source, data=source, headers=headers)

    async def post_file(self, path: str, name: str, pieces: AsyncIterator[bytes]) -> Answer:
        """Send a file as a form does; raises what `pieces` raises, UnavailableError or RefusedError."""
        source = Pieces(pieces)
        form = aiohttp.MultipartWriter("form-data")
        part = form.append(source, {"Content-Type": "application/octet-stream"})
        part.set_content_disposition("form-data", name="file", filename=name)
        return await self._exchange("POST", path, source, data=form)

    async def _exchange(self, method: str, path: str, source: Pieces | None, **options: Any) -> Answer:
        try:
            async with self.session.request(
                method, self.url + path, timeout=self.timeout, allow_redirects=False, **options
            ) as response:
                body = await _read(response)
                status, wait = response.status, response.headers.get("Retry-After", "")
        except TimeoutError:
            raise UnavailableError(f"{self.url} did not answer in {self.timeout.total} s") from None
        except (aiohttp.ClientError, asyncio.IncompleteReadError, OSError, RefusedError) as error:
            if source is not None and source.error is not None:
                raise source.error from None
            raise UnavailableError(f"{self.url}: {type(error).__name__}: {error}") from None
        if 200 <= status < 300:
            return Answer(status, body)
        said = body.decode(errors="replace").strip()[:SENTENCE_MAX]
        if status in FINAL:
            raise RefusedError(f"http_{status}", said)
        again_s = float(wait) if wait.isdecimal() else 0
        raise UnavailableError(f"{self.url} answered {status} {said}{REMEDIES.get(status, '')}", again_s)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise UnavailableError(f"{response.url} answered more than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)


def bearer(file: str, home: Path) -> dict[str, str]:
    """Return the headers that show the secret in a file of the home, if one is named; raises ConfigError."""
    return {"Authorization": f"Bearer {read_private(home / file).strip()}"} if file else {}
