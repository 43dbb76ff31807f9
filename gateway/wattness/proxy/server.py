"""The proxies of a gateway: each listens for clients, and those of one line share its turns."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from wattness import devices
from wattness.config import split_address
from wattness.errors import ConfigError
from wattwire.modbus import EXCEPTIONS

from .access import Access, Client
from .asked import DeclinedError, parse
from .mbap import Request
from .session import Session
from .share import Line, Share

BACKLOG = 16
TOLD_MAX = 256  # what is not told any more is still counted
BY_DEVICE = frozenset((*EXCEPTIONS.values(), "unknown", "away", "silent", "garbled"))

log = logging.getLogger(__name__)


class Target(NamedTuple):
    """A metered device: its line, and its unit on it."""

    line: Line
    unit: int


class Proxy:
    """One server. `counts` has what became of requests, by (answered | declined | ended, how or why)."""

    def __init__(self, settings: devices.Proxy, unit: int, share: Share) -> None:
        """Nobody can come before `listen`."""
        self.settings = settings
        self.counts: Counter[tuple[str, str]] = Counter()
        self.address = ("", 0)  # where it listens
        self._sessions: set[Session] = set()
        self._access = Access(settings, unit)
        self._share = share
        self._told: set[tuple[Client, str]] = set()

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._sessions)

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[None]:
        """Let clients come; raises ConfigError."""
        host, port = split_address(self.settings.listen, "$.proxy.listen")
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(lambda: Session(self), host, port, backlog=BACKLOG)
        except OSError as error:
            raise ConfigError(
                f"{self.settings.listen} cannot be opened for the proxy of {self.settings.device} ({error.strerror}): "
                "stop the program that uses it, or set another address in its [[proxy]] listen; ports below 1024 need "
                "the right to bind them."
            ) from None
        self.address = server.sockets[0].getsockname()[:2]
        log.info("proxy device=%s listen=%s:%s", self.settings.device, *self.address)
        try:
            yield
        finally:
            server.close()
            sessions = list(self._sessions)
            for session in sessions:
                session.abort()
            for session in sessions:
                await session.ended()

    def enter(self, session: Session, client: Client | None) -> str:
        """Take a new connection in; returns the reason if it may not stay."""
        if client is None:
            return "gone"
        if not self._access.admits(client):
            return "client_not_allowed"
        if len(self._sessions) >= self.settings.clients_max:
            return "too_many_clients"
        self._sessions.add(session)
        return ""

    def leave(self, session: Session, reason: str) -> None:
        """Forget a connection."""
        self._sessions.discard(session)
        if reason:
            self.counts["ended", reason] += 1

    async def answer(self, client: Client, request: Request) -> bytes:
        """Return the PDU of an answer, also of one that declines."""
        try:
            unit = self._access.unit(request.unit)
            asked = parse(request.pdu)
            if asked.written is not None:
                self._access.check_write(client, unit, asked.written)
            found = await self._share.answer(unit, asked, self.settings.max_age_ms, str(client))
        except DeclinedError as error:
            self.counts["declined", error.reason] += 1
            self._tell(client, request, error)
            return bytes((request.pdu[0] | 0x80, error.code))
        except asyncio.CancelledError:
            self.counts["declined", "abandoned"] += 1
            raise
        self.counts["answered", found.how] += 1
        return found.pdu

    def _tell(self, client: Client, request: Request, error: DeclinedError) -> None:
        """Say once for each client and reason what was declined before the device was asked."""
        if error.reason in BY_DEVICE or (client, error.reason) in self._told or len(self._told) >= TOLD_MAX:
            return
        self._told.add((client, error.reason))
        listen, function = self.settings.listen, request.pdu[0]
        log.warning("declined proxy=%s client=%s function=%d reason=%s", listen, client, function, error.reason)


class Proxies:
    """All proxies of a gateway."""

    def __init__(self, settings: Sequence[devices.Proxy], targets: Mapping[str, Target]) -> None:
        """`targets` are the devices by their names."""
        self._shares: dict[int, Share] = {}
        self.all: list[Proxy] = []
        for each in settings:
            line, unit = targets[each.device]
            share = self._shares.setdefault(id(line), Share(line))
            self.all.append(Proxy(each, unit, share))

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[None]:
        """Let clients come meanwhile; raises ConfigError."""
        async with AsyncExitStack() as stack:
            for proxy in self.all:
                await stack.enter_async_context(proxy.listen())
            yield

    async def run(self) -> None:
        """Ask the devices for them, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for share in self._shares.values():
                tasks.create_task(share.run(), name="proxy-share")
