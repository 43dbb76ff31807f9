"""Delivers files piece by piece over HTTP, with every failure named for what the caller does next."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from wattness.errors import RefusedError, UnavailableError

from .base import Sources, secret_of
from .http import Answer, HttpClient

FINAL = frozenset({400, 413, 415, 422})  # what is wrong with the file; the others are about who asks and where
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


class Uploader:
    """Speaks to one base URL."""

    def __init__(self, session: aiohttp.ClientSession, url: str, timeout_s: float) -> None:
        self.client = HttpClient(session, url, timeout_s)
        self.url = self.client.url

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
            answer = await self.client.exchange(method, path, **options)
        except (UnavailableError, RefusedError):
            if source is not None and source.error is not None:
                raise source.error from None
            raise
        if 200 <= answer.status < 300:
            return answer
        if answer.status in FINAL:
            raise RefusedError(f"http_{answer.status}", answer.said())
        remedy = REMEDIES.get(answer.status, "")
        raise UnavailableError(f"{self.url} answered {answer.status} {answer.said()}{remedy}")


def bearer(file: str, sources: Sources) -> dict[str, str]:
    """Return the headers that show the secret in a file of the home, if one is named; raises ConfigError."""
    return {"Authorization": f"Bearer {secret_of(sources, file)}"} if file else {}
