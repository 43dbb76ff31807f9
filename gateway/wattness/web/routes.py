"""Routes as data: the router and the OpenAPI document are both made from them."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from wattness.errors import StoreError

from .answers import Nothing, Problem

_IN_PATH = re.compile(r"{(\w+)}")


class NotFoundError(Exception):
    """What the path names does not exist; the text says what."""


class Route(NamedTuple):
    """One operation. `handler` takes the decoded parameters and returns an `answer`."""

    method: str
    path: str
    summary: str
    answer: Any
    handler: Callable[[Any], Awaitable[Any]]
    parameters: type[msgspec.Struct] = Nothing
    media_type: str = "application/json"

    @property
    def in_path(self) -> list[str]:
        """The names of the parameters that stand in the path."""
        return _IN_PATH.findall(self.path)

    @property
    def name(self) -> str:
        """The operation's id."""
        return self.method.lower() + "_" + "_".join(re.findall(r"\w+", self.path.removeprefix("/api/v1/")))


def endpoint(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return the aiohttp handler: parameters in, JSON out, every bad request answered with a sentence."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            parameters = decode(route, request.match_info, request.query)
        except ValueError as error:
            return problem(400, str(error))
        try:
            answer = await route.handler(parameters)
        except NotFoundError as error:
            return problem(404, str(error))
        except StoreError as error:
            return problem(503, str(error))
        return respond(200, answer)

    return handle


def decode(route: Route, path: Mapping[str, str], query: Any) -> Any:
    """Return the route's parameters; raises ValueError with a sentence that names the bad one."""
    values: dict[str, str] = dict(path)
    for name, value in query.items():
        if name in values:
            raise ValueError(f"The parameter {name[:40]!r} is given twice.")
        values[name] = value
    try:
        return msgspec.convert(values, route.parameters, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}."[:300]) from None


def respond(status: int, answer: Any) -> web.Response:
    """Return an answer as JSON."""
    return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")


def problem(status: int, sentence: str) -> web.Response:
    """Return what was wrong."""
    return respond(status, Problem(sentence))
