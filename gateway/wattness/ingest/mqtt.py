"""Frames from the boards' broker, and the way back to the boards."""

import asyncio
import logging
import random
import socket
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import cast

import aiomqtt

from wattness.cancelling import heed_cancellation
from wattness.endpoints import connection, tls_context
from wattness.model import Arrival, Endpoint

from .buffered import buffer

log = logging.getLogger(__name__)

AT_ONCE = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else an acknowledgement waits 40 ms behind a PUBACK
SUBSCRIPTIONS = [("wattness/1/+/frame", 1), ("wattness/1/+/state", 1), ("wattness/1/+/want", 1)]
FRAME_BYTES_MAX = 8192
WAITING_MAX = 2048  # frames; what comes on top is dropped and counted, and its board sends it again
BOARDS_MAX = 10_000  # whose state we remember
KEEPALIVE_S = 30
TIMEOUT_S = 5
BACKOFF_S = (0.2, 0.5, 1, 2, 5, 10, 30)


class MqttLink:
    """The one connection to the broker: iterate it for frames, `publish` to answer, `run` keeps it up.

    A frame's PUBACK is sent when it is handed over, so a broker with a bounded window holds back the rest.
    It promises nothing: only the gateway's own acknowledgement counts.
    """

    def __init__(self, endpoint: Endpoint, *, waiting_max: int = WAITING_MAX, seed: int | None = None) -> None:
        """Nothing is opened before `run`; `seed` fixes the jitter."""
        self.endpoint = endpoint
        self.connected = False
        self.error = ""  # why there is no connection, in words
        self.connects = 0
        self.counts: Counter[str] = Counter()  # dropped_full, bad_topic, too_long, unsent
        self.states: dict[bytes, str] = {}  # kid → online | offline
        self.on_want: Callable[[bytes, bytes], None] = lambda *_: None  # what a board wants: its kid, the payload
        self._tls = tls_context(endpoint)
        self._waiting_max = waiting_max
        self._random = random.Random(seed)  # noqa: S311 - jitter
        self._waiting: deque[tuple[Arrival, aiomqtt.Client | None, int]] = deque()
        self._arrived = asyncio.Event()
        self._first_connection = asyncio.Event()
        self._client: aiomqtt.Client | None = None

    def __len__(self) -> int:
        """How many frames wait to be taken."""
        return len(self._waiting)

    def __aiter__(self) -> AsyncIterator[Arrival]:
        """Yield frames in the order of their coming, for ever."""
        return self

    async def __anext__(self) -> Arrival:
        """Return the next frame; does not suspend while there is one."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        arrival, client, mid = self._waiting.popleft()
        if client is self._client:
            _puback(client, mid)
        return arrival

    async def wait_connected(self, timeout_s: float) -> bool:
        """Wait until there is a connection; False when the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._first_connection.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Connect, and connect again whenever the connection ends, until cancelled."""
        attempt = 0
        while True:
            try:
                async with self._make_client() as client:
                    self._client = client
                    await client.subscribe(SUBSCRIPTIONS)
                    heed_cancellation()
                    self.connected, self.error = True, ""
                    self.connects += 1
                    self._first_connection.set()
                    attempt = 0
                    async for _ in client.messages:  # the inbox below keeps them all: this ends with the connection
                        pass
            except aiomqtt.MqttError as error:
                self.error = str(error)
                log.warning("broker lost error=%s", self.error)
            finally:
                self._client, self.connected = None, False
            heed_cancellation()
            wait_s = BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]
            attempt += 1
            await asyncio.sleep(wait_s * self._random.uniform(0.5, 1))

    async def publish(self, topic: str, payload: bytes) -> bool:
        """Send to a board if there is a connection; False: it was not sent, whoever needs it asks again.

        QoS 0, and handed to paho directly: aiomqtt would wait for the socket with an event and a timer per message.
        """
        client = self._client
        if client is not None and client._client.publish(topic, payload).rc == 0:  # noqa: SLF001 - as in _puback
            return True
        self.counts["unsent"] += 1
        return False

    def accept(self, message: aiomqtt.Message) -> None:
        """Sort one message in; called by the connection, never waits."""
        mid = message.mid if message.qos else 0
        parts = message.topic.value.split("/")
        kid = _kid(parts[2]) if len(parts) == 4 else None
        payload = message.payload
        if kid is not None and isinstance(payload, bytes) and parts[3] == "frame":
            if len(payload) > FRAME_BYTES_MAX:
                self.counts["too_long"] += 1
            elif len(self._waiting) >= self._waiting_max:
                self.counts["dropped_full"] += 1
            else:
                self._waiting.append((Arrival(kid, payload), self._client, mid))
                self._arrived.set()
                return
        elif kid is not None and isinstance(payload, bytes) and parts[3] == "want":
            self.on_want(kid, payload)
        elif kid is not None and isinstance(payload, bytes):
            self._note_state(kid, payload)
        else:
            self.counts["bad_topic"] += 1
        _puback(self._client, mid)

    def _note_state(self, kid: bytes, payload: bytes) -> None:
        if len(self.states) < BOARDS_MAX or kid in self.states:
            self.states[kid] = "online" if payload == b"online" else "offline"

    def _make_client(self) -> aiomqtt.Client:
        """Return a client whose messages come to `accept` at once, without aiomqtt's task per message."""
        inbox = cast("type[asyncio.Queue[aiomqtt.Message]]", partial(_Inbox, self.accept))
        client = connection(
            self.endpoint,
            self._tls,
            logger=log,
            keepalive=KEEPALIVE_S,
            timeout=TIMEOUT_S,
            queue_type=inbox,
            socket_options=[AT_ONCE],
        )
        if self._tls is None:
            buffer(client._client)  # noqa: SLF001 - as in _puback
        client._client.disable_logger()  # noqa: SLF001 - it formats a line per packet
        client._client.manual_ack_set(True)  # noqa: SLF001 - as in _puback
        return client


class _Inbox(asyncio.Queue[aiomqtt.Message]):
    """What aiomqtt takes for its queue; it stays empty, so that whoever waits on it waits for the end."""

    def __init__(self, hand_over: Callable[[aiomqtt.Message], None], maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._hand_over = hand_over

    def put_nowait(self, item: aiomqtt.Message) -> None:
        """Hand the message over."""
        self._hand_over(item)


def _puback(client: aiomqtt.Client | None, mid: int) -> None:
    if mid and client is not None:
        client._client.ack(mid, 1)  # noqa: SLF001 - paho's public call; aiomqtt 2 has none of its own


def _kid(text: str) -> bytes | None:
    try:
        kid = bytes.fromhex(text)
    except ValueError:
        return None
    return kid if kid.hex() == text and len(kid) == 8 else None
