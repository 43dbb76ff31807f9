"""The connection to Home Assistant's broker: describes once, tells what changes, begins anew when either side does."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import aiomqtt

from wattness.cancelling import heed_cancellation
from wattness.clock import Clock
from wattness.config import NetworkConfig
from wattness.endpoints import connection, tls_context
from wattness.errors import StoreError
from wattness.model import Endpoint
from wattness.store.reader import Reader
from wattness.store.views import BoardView, StreamView

from .entities import (
    Device,
    Topics,
    board_name,
    board_state,
    describe_board,
    describe_gateway,
    describe_stream,
    stale,
    stream_name,
)

log = logging.getLogger(__name__)
T = TypeVar("T")

PERIOD_S = 5.0
SILENT_MS = 15 * 60_000  # a stream or a board that said nothing for so long is unavailable
BACKOFF_S = (1, 2, 5, 10, 30, 60)
GATHER_S = 1.0  # for the retained descriptions of earlier lives
TOPICS_MAX = 10_000


class Readable(Protocol):
    """The part of the store that we need."""

    async def read(self, query: Callable[[Reader], T]) -> T:
        """Run a query in the reading thread."""
        ...


class Facts(NamedTuple):
    """Where the bridge knows things from."""

    store: Readable
    clock: Clock
    version: str
    gateway: str  # hex
    networks: Sequence[NetworkConfig]
    units: dict[str, str]  # kind of network → unit of its rewards


class Snapshot(NamedTuple):
    """All there is to tell, at one moment: {short name: …}."""

    devices: dict[str, Device]
    states: dict[str, dict[str, Any]]
    available: dict[str, bool]


class Bridge:
    """Publishes until cancelled; Home Assistant being away costs nothing but a wait."""

    def __init__(self, endpoint: Endpoint, prefix: str, facts: Facts) -> None:
        """Nothing is opened before `run`; `prefix` is Home Assistant's discovery prefix."""
        self.endpoint = endpoint
        self.topics = Topics(prefix, facts.gateway)
        self.connected = False
        self.error = ""
        self._tls = tls_context(endpoint)
        self._facts = facts
        self._sent: dict[str, str] = {}  # topic → what it holds
        self._retained: set[str] = set()
        self._look = asyncio.Event()

    async def run(self) -> None:
        """Connect, and connect again whenever the connection ends."""
        attempt = 0
        while True:
            try:
                async with self._client() as client:
                    self.connected, self.error, attempt = True, "", 0
                    await self._serve(client)
            except aiomqtt.MqttError as error:
                self.error = str(error)
                log.warning("home assistant's broker lost error=%s", self.error)
            except ExceptionGroup as group:
                lost, others = group.split(aiomqtt.MqttError)
                if others is not None or lost is None:
                    raise
                self.error = str(lost.exceptions[0])
                log.warning("home assistant's broker lost error=%s", self.error)
            finally:
                self.connected = False
            heed_cancellation()
            await asyncio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
            attempt += 1

    def _client(self) -> aiomqtt.Client:
        will = aiomqtt.Will(self.topics.status, b"offline", qos=1, retain=True)
        return connection(self.endpoint, self._tls, will=will, timeout=10)

    async def _serve(self, client: aiomqtt.Client) -> None:
        self._sent.clear()
        self._retained.clear()
        await client.subscribe(f"{self.topics.discovery}/status")
        await client.subscribe(f"{self.topics.discovery}/device/+/config")
        async with asyncio.TaskGroup() as tasks:
            listener = tasks.create_task(self._listen(client))
            try:
                await self._publish_for_ever(client)
            finally:
                listener.cancel()
                with contextlib.suppress(aiomqtt.MqttError):
                    await client.publish(self.topics.status, b"offline", qos=1, retain=True)

    async def _publish_for_ever(self, client: aiomqtt.Client) -> None:
        await client.publish(self.topics.status, b"online", qos=1, retain=True)
        await asyncio.sleep(GATHER_S)
        while True:
            heed_cancellation()
            try:
                await self._publish(client, await self._facts.store.read(self._snapshot))
            except StoreError as error:
                log.warning("home assistant not told error=%s", error)
            self._look.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PERIOD_S):
                    await self._look.wait()

    async def _listen(self, client: aiomqtt.Client) -> None:
        """Describe everything again when Home Assistant was started; remember what earlier lives described."""
        async for message in client.messages:
            topic = message.topic.value
            if topic == f"{self.topics.discovery}/status":
                if message.payload == b"online":
                    self._sent.clear()
                    self._look.set()
            elif not message.payload:
                self._retained.discard(topic)
            elif len(self._retained) < TOPICS_MAX:
                self._retained.add(topic)

    async def _publish(self, client: aiomqtt.Client, snapshot: Snapshot) -> None:
        topics = self.topics
        for topic in stale(sorted(self._retained), topics, snapshot.devices):
            await client.publish(topic, b"", qos=1, retain=True)
            self._retained.discard(topic)
            self._sent.pop(topic, None)
        for name, device in snapshot.devices.items():
            await self._tell(client, topics.config(name), device.config, retain=True)
        for name, is_there in snapshot.available.items():
            await self._tell(client, topics.available(name), "online" if is_there else "offline", retain=True)
        for name, state in snapshot.states.items():
            await self._tell(client, topics.state(name), state, retain=False)

    async def _tell(self, client: aiomqtt.Client, topic: str, value: dict[str, Any] | str, *, retain: bool) -> None:
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
        if self._sent.get(topic) != text:
            await client.publish(topic, text.encode(), qos=1, retain=retain)
            self._sent[topic] = text

    def _snapshot(self, reader: Reader) -> Snapshot:
        facts, topics, version = self._facts, self.topics, self._facts.version
        boards, streams = reader.boards(), reader.streams()
        units = [(network.name, facts.units[network.kind]) for network in facts.networks]
        devices = [
            describe_gateway(topics, units, version),
            *(describe_board(topics, board, version) for board in boards),
            *(describe_stream(topics, stream, version) for stream in streams),
        ]
        states = {board_name(board): board_state(board) for board in boards}
        states |= {stream_name(stream): state for stream in streams if (state := self._row(reader, stream)) is not None}
        states["gateway"] = _gateway_state(reader, facts.networks)
        now_ms = facts.clock.now_ms()
        available = {board_name(board): _is_fresh(board, now_ms) for board in boards}
        available |= {stream_name(stream): _is_fresh(stream, now_ms) for stream in streams}
        return Snapshot({device.name: device for device in devices}, states, available)

    @staticmethod
    def _row(reader: Reader, stream: StreamView) -> dict[str, Any] | None:
        row = reader.newest_row(stream.id)
        return None if row is None else {point.name: row[1].get(point.name) for point in stream.points}


def _gateway_state(reader: Reader, networks: Sequence[NetworkConfig]) -> dict[str, Any]:
    depths = reader.depths()
    state: dict[str, Any] = {}
    for network in networks:
        waiting = [
            depth.count for depth in depths if depth.network == network.name and depth.oldest_unix_ms is not None
        ]
        state[f"waiting_{network.name}"] = sum(waiting)
        state[f"paid_{network.name}"] = reader.paid(network.name)
    return state


def _is_fresh(view: BoardView | StreamView, now_ms: int) -> bool:
    return view.last_unix_ms is not None and now_ms - view.last_unix_ms <= SILENT_MS
