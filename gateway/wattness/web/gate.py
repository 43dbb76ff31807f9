"""The gate: what keeps strangers, and pages elsewhere, away from the API."""

import logging
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from wattness.errors import ConfigError

from .credentials import SESSION_S, Credentials
from .limiter import Limiter
from .queries import Login
from .routes import Handler, decode_body, problem
from .tls import is_local

log = logging.getLogger(__name__)

SAFE = {"GET", "HEAD", "OPTIONS"}
CSRF_HEADER = "X-Wattness"  # a page elsewhere cannot send it without our word, which we never give
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
LOGIN, LOGOUT, METRICS = "/api/v1/login", "/api/v1/logout", "/metrics"
OPEN = {"/", "/assets", LOGIN}
UNKNOWN = "Log in first: POST the token of `wattness token show` to /api/v1/login, or send it as a Bearer token."


class Gate:
    """Admits who has the token or a session."""

    def __init__(self, credentials: Credentials, limiter: Limiter, cookie: str, *, secure: bool, local: bool) -> None:
        """`secure`: under TLS. `local`: only this machine can reach us, so only its own names are ours."""
        self._credentials, self._limiter = credentials, limiter
        self.cookie = f"__Host-{cookie}" if secure else cookie
        self._secure, self._local = secure, local
        self.failures = 0
        self.refusals = 0  # attempts that came too soon

    @property
    def middleware(self) -> Middleware:
        """The gate as aiohttp wants it."""

        @web.middleware
        async def pass_through(request: web.Request, handler: Handler) -> web.StreamResponse:
            return self._stop(request) or await handler(request)

        return pass_through

    def admits(self, request: web.Request) -> bool:
        """Tell whether this request may still be answered: a token can be replaced, a session closed, meanwhile."""
        token = _bearer(request)
        try:
            return self._is_session(request) if token is None else self._credentials.is_token(token)
        except ConfigError:
            return False

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Open a session for who knows the token."""
        body = await decode_body(request, Login)
        refused = self._try(request, body.token)
        if refused is not None:
            return refused
        response = web.Response(status=204)
        session = self._credentials.open()
        response.set_cookie(
            self.cookie, session, max_age=SESSION_S, path="/", httponly=True, samesite="Strict", secure=self._secure
        )
        return response

    async def logout(self, request: web.Request) -> web.StreamResponse:
        """End the session that the request came with."""
        self._credentials.close(request.cookies.get(self.cookie, ""))
        response = web.Response(status=204)
        response.del_cookie(self.cookie, path="/", httponly=True, samesite="Strict", secure=self._secure)
        return response

    def _stop(self, request: web.Request) -> web.Response | None:
        if self._local and not is_local(_name_in(request.headers.get(hdrs.HOST, ""))):
            return problem(403, "Open this page as http://localhost or http://127.0.0.1.")
        if request.method not in SAFE and not _is_same_origin(request):
            return problem(403, "A page elsewhere may not ask for this.")
        resource = request.match_info.route.resource
        return None if resource is not None and resource.canonical in OPEN else self._refusal(request)

    def _refusal(self, request: web.Request) -> web.Response | None:
        """Return why this request is not answered, or None."""
        token = _bearer(request)
        if token is not None:
            return self._try(request, token)
        if self._is_session(request):
            if request.method in SAFE or request.headers.get(CSRF_HEADER) == "1":
                return None
            return problem(403, f"Send the header `{CSRF_HEADER}: 1` with whatever changes something.")
        if request.path == METRICS and _is_from_here(request):
            return None
        refused = problem(401, UNKNOWN)
        refused.headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="wattness"'
        return refused

    def _is_session(self, request: web.Request) -> bool:
        return self._credentials.is_session(request.cookies.get(self.cookie, ""))

    def _try(self, request: web.Request, token: str) -> web.Response | None:
        wait_s = self._limiter.wait_s(request.remote)
        if wait_s:
            self.refusals += 1
            refused = problem(429, f"Too many wrong tokens: wait {wait_s} s.")
            refused.headers[hdrs.RETRY_AFTER] = str(wait_s)
            return refused
        if self._credentials.is_token(token):
            return None
        self.failures += 1
        self._limiter.fail(request.remote)
        log.warning("log-in failed source=%s", request.remote)
        return problem(401, "This is not the token; `wattness token show` shows it.")


def _name_in(host: str) -> str:
    return host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]


def _bearer(request: web.Request) -> str | None:
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None


def _is_same_origin(request: web.Request) -> bool:
    """Whether a browser says that one of our own pages asks; programs say nothing."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = request.headers.get(hdrs.ORIGIN)
    try:
        return origin is None or urlsplit(origin).netloc.lower() == request.headers.get(hdrs.HOST, "").lower()
    except ValueError:
        return False


def _is_from_here(request: web.Request) -> bool:
    """Whether this very machine asks, for itself: not through a proxy, not by another's name."""
    return (
        is_local(request.remote or "")
        and is_local(_name_in(request.headers.get(hdrs.HOST, "")))
        and not any(name in request.headers for name in FORWARDED)
    )
