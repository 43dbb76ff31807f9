"""Routes as data: the router and the OpenAPI document are both made from them."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec
from aiohttp import web

from wattness.errors import ConfigError, StoreError

from .answers import Problem
from .queries import Nothing

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

JSON = "application/json"
_IN_PATH = re.compile(r"{(\w+)}")


class RefusalError(Exception):
    """A request that is not answered as asked; the text says why, in one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        """`status` is HTTP's."""
        super().__init__(sentence)
        self.status = status


class NotFoundError(RefusalError):
    """What the path names does not exist; the text says what."""

    def __init__(self, sentence: str) -> None:
        """It is always 404."""
        super().__init__(404, sentence)


class Route(NamedTuple):
    """One operation. `handler` takes the decoded parameters, and the decoded body if there is one."""

    method: str
    path: str
    summary: str
    answer: Any  # None: nothing
    handler: Callable[..., Awaitable[Any]]
    parameters: type[msgspec.Struct] = Nothing
    body: type[msgspec.Struct] | None = None
    media_type: str = JSON
    status: int = 200

    @property
    def in_path(self) -> list[str]:
        """The names of the parameters that stand in the path."""
        return _IN_PATH.findall(self.path)

    @property
    def name(self) -> str:
        """The operation's id."""
        return self.method.lower() + "_" + "_".join(re.findall(r"\w+", self.path.removeprefix("/api/v1/")))


def endpoint(route: Route) -> Handler:
    """Return the aiohttp handler: parameters and body in, JSON out."""

    async def handle(request: web.Request) -> web.StreamResponse:
        parameters = decode(route, request.match_info, request.query)
        bodies = () if route.body is None else (await decode_body(request, route.body),)
        answer = await route.handler(parameters, *bodies)
        return web.Response(status=route.status) if route.answer is None else respond(route.status, answer)

    return handle


@web.middleware
async def sentences(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever is refused, by us or by the server, with one sentence as JSON."""
    try:
        return await handler(request)
    except RefusalError as error:
        return problem(error.status, str(error))
    except (StoreError, ConfigError) as error:
        return problem(503, str(error))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        answer = problem(error.status, f"{error.reason}.")
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer


def decode(route: Route, path: Mapping[str, str], query: Any) -> Any:
    """Return the route's parameters; raises RefusalError with a sentence that names the bad one."""
    values: dict[str, str] = dict(path)
    for name, value in query.items():
        if name in values:
            raise RefusalError(400, f"The parameter {name[:40]!r} is given twice.")
        values[name] = value
    try:
        return msgspec.convert(values, route.parameters, strict=False)
    except msgspec.ValidationError as error:
        raise RefusalError(400, f"{error}."[:300]) from None


async def decode_body(request: web.Request, form: type[T]) -> T:
    """Return a request's JSON body; raises RefusalError. A form of a page elsewhere can send no such content type."""
    if request.content_type != JSON:
        raise RefusalError(415, f"Send the body as {JSON}.")
    try:
        return msgspec.json.decode(await request.read(), type=form)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise RefusalError(400, f"{error}."[:300]) from None


def respond(status: int, answer: Any) -> web.Response:
    """Return an answer as JSON."""
    return web.Response(status=status, body=msgspec.json.encode(answer), content_type=JSON)


def problem(status: int, sentence: str) -> web.Response:
    """Return what was wrong."""
    return respond(status, Problem(sentence))
