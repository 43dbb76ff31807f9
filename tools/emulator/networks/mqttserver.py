"""A small MQTT 3.1.1 server for sandboxes: who may log in, and what becomes of a publication, is the sandbox's say."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from wattnet.faults import Faults

PACKET_BYTES_MAX = 256 * 1024
SESSIONS_MAX = 1000  # further connections are closed at once
RETAINED_MAX = 1000  # further topics are not retained

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = (
    1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14,
)  # fmt: skip
ACCEPTED, BAD_PROTOCOL, BAD_LOGIN, NOT_AUTHORISED = 0, 1, 4, 5  # of CONNACK


class ProtocolError(Exception):
    """What came is no MQTT 3.1.1: the connection is closed."""


class Login(NamedTuple):
    """What a CONNECT says."""

    client_id: str
    keepalive_s: int
    user: str
    password: str


class Publication(NamedTuple):
    """What a PUBLISH says."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Session(NamedTuple):
    """One connected client."""

    login: Login
    writer: asyncio.StreamWriter
    filters: set[str]


Admit = Callable[[Login], int]  # → CONNACK's code
Take = Callable[[Login, Publication], Awaitable[str]]  # → puback | twice | silent | drop


class MqttServer:
    """Serves clients; what the sandbox itself says goes out by `publish`."""

    def __init__(self, admit: Admit, take: Take) -> None:
        self.retained: dict[str, bytes] = {}
        self.connects = 0
        self._admit, self._take = admit, take
        self._sessions: list[Session] = []

    def publish(self, topic: str, payload: bytes) -> None:
        """Send to whoever subscribed to it, with QoS 0."""
        for session in self._sessions:
            if any(matches(wanted, topic) for wanted in session.filters):
                session.writer.write(_packet(PUBLISH, 0, _text(topic) + payload))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it goes or breaks the protocol."""
        try:
            if len(self._sessions) < SESSIONS_MAX:
                await self._serve(reader, writer)
        except (ProtocolError, OSError, asyncio.IncompleteReadError, UnicodeDecodeError):
            pass
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind, _, body = await _read(reader)
        if kind != CONNECT:
            raise ProtocolError("the first packet is a CONNECT")
        login, code = _connect(body)
        code = code or self._admit(login)
        writer.write(_packet(CONNACK, 0, bytes((0, code))))
        await writer.drain()
        if code != ACCEPTED:
            return
        self.connects += 1
        session = Session(login, writer, set())
        self._sessions.append(session)
        try:
            while await self._step(session, *await _read(reader)):
                await writer.drain()
        finally:
            self._sessions.remove(session)

    async def _step(self, session: Session, kind: int, flags: int, body: bytes) -> bool:
        """Do what one packet asks; False when it is the last."""
        if kind == PUBLISH:
            return await self._published(session, flags, body)
        if kind == SUBSCRIBE:
            self._subscribe(session, body)
        elif kind == UNSUBSCRIBE:
            session.filters.difference_update(topic for topic, _ in _topics(body[2:], 0))
            session.writer.write(_packet(UNSUBACK, 0, body[:2]))
        elif kind == PINGREQ:
            session.writer.write(_packet(PINGRESP, 0, b""))
        elif kind not in {PUBACK, DISCONNECT}:
            raise ProtocolError(f"packet {kind} is not for a server, or of QoS 2")
        return kind != DISCONNECT

    async def _published(self, session: Session, flags: int, body: bytes) -> bool:
        topic, rest = _take_text(body)
        qos, retain = flags >> 1 & 3, bool(flags & 1)
        if qos > 1 or not topic or "+" in topic or "#" in topic:
            raise ProtocolError("QoS 2, or a topic with wildcards")
        mid, payload = (rest[:2], rest[2:]) if qos else (b"", rest)
        outcome = await self._take(session.login, Publication(topic, payload, qos, retain))
        if outcome == "drop":
            return False
        if outcome != "silent":
            if retain and (topic in self.retained or len(self.retained) < RETAINED_MAX):
                self.retained[topic] = payload
            self.publish(topic, payload)
            session.writer.write((_packet(PUBACK, 0, mid) if qos else b"") * (2 if outcome == "twice" else 1))
        return True

    def _subscribe(self, session: Session, body: bytes) -> None:
        wanted = list(_topics(body[2:], 1))
        session.filters.update(topic for topic, _ in wanted)
        session.writer.write(_packet(SUBACK, 0, body[:2] + bytes(len(wanted))))  # QoS 0 is what we grant
        for topic, payload in self.retained.items():
            if any(matches(one, topic) for one, _ in wanted):
                session.writer.write(_packet(PUBLISH, 1, _text(topic) + payload))


@asynccontextmanager
async def listening(server: MqttServer) -> AsyncIterator[str]:
    """Listen on a free port of this machine; gives the URL."""
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(server.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"mqtt://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()


async def suffer(fate: str, faults: Faults, take: Callable[[], object]) -> str:
    """Let one submission meet its fate, in MQTT's words; `take` is what the sandbox does with it."""
    if fate in {"timeout", "error", "busy"}:  # MQTT 3.1.1 has no word for "busy": a server hangs up
        return "silent" if fate == "timeout" else "drop"
    take()
    if fate == "slow":
        await asyncio.sleep(faults.slow_s)
    if fate in {"lost", "late_error"}:
        return "drop"
    return "twice" if fate == "twice" else "puback"


def matches(wanted: str, topic: str) -> bool:
    """Whether a topic filter (§4.7) covers a topic."""
    filters, levels = wanted.split("/"), topic.split("/")
    for at, one in enumerate(filters):
        if one == "#":
            return True
        if at >= len(levels) or one not in {"+", levels[at]}:
            return False
    return len(filters) == len(levels)


async def _read(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    """Return one packet's kind, flags and body."""
    first = (await reader.readexactly(1))[0]
    length = 0
    for shift in range(0, 28, 7):
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 127) << shift
        if digit < 128:
            break
    else:
        raise ProtocolError("the length has more than four digits")
    if length > PACKET_BYTES_MAX:
        raise ProtocolError(f"more than {PACKET_BYTES_MAX} bytes")
    return first >> 4, first & 15, await reader.readexactly(length)


def _connect(body: bytes) -> tuple[Login, int]:
    """Return what a CONNECT says, and CONNACK's code when it cannot be served."""
    protocol, rest = _take_text(body)
    if len(rest) < 4:
        raise ProtocolError("a short CONNECT")
    level, flags, keepalive_s = struct.unpack(">BBH", rest[:4])
    client_id, rest = _take_text(rest[4:])
    if flags & 4:  # a will: its topic and payload
        _, rest = _take_text(rest)
        _, rest = _take_text(rest)
    user, rest = _take_text(rest) if flags & 128 else ("", rest)
    password, rest = _take_text(rest) if flags & 64 else ("", rest)
    if rest:
        raise ProtocolError("trailing bytes")
    return Login(client_id, keepalive_s, user, password), ACCEPTED if (protocol, level) == ("MQTT", 4) else BAD_PROTOCOL


def _topics(body: bytes, extra: int) -> list[tuple[str, bytes]]:
    """Return the filters of a SUBSCRIBE (each with its QoS, one byte) or an UNSUBSCRIBE."""
    found = []
    while body:
        topic, body = _take_text(body)
        found.append((topic, body[:extra]))
        body = body[extra:]
    if not found:
        raise ProtocolError("no topic")
    return found


def _take_text(body: bytes) -> tuple[str, bytes]:
    length = int.from_bytes(body[:2], "big")
    if len(body) < 2 + length:
        raise ProtocolError("a short string")
    return body[2 : 2 + length].decode(), body[2 + length :]


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()


def _packet(kind: int, flags: int, body: bytes) -> bytes:
    digits, length = bytearray(), len(body)
    while True:
        length, digit = length >> 7, length & 127
        digits.append(digit | 128 if length else digit)
        if not length:
            return bytes((kind << 4 | flags,)) + bytes(digits) + body
