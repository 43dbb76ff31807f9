"""A connection to a network's MQTT broker: opened when it is needed, and anew after anything went wrong."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine

import aiomqtt

from wattness.config import Config, NetworkConfig, RemoteBroker, check_url
from wattness.endpoints import remote
from wattness.errors import UnavailableError
from wattness.model import Endpoint

from .base import Check, Sources

TIMEOUT_S = 5.0  # of one step: connecting, subscribing, a PUBACK
QUEUE_MAX = 100  # what the network says and nobody takes; further messages are dropped

Connect = Callable[[], Awaitable[aiomqtt.Client]]


class Line:
    """One connection for many publications; whoever shares it shares its failures."""

    def __init__(self, connect: Connect, url: str, topic: str = "") -> None:
        """`connect` makes a client, not opened; `topic` is subscribed to on every connection."""
        self.connects = 0
        self._connect, self._url, self._topic = connect, url, topic
        self._opening = asyncio.Lock()
        self._client: aiomqtt.Client | None = None

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Return when the broker has it (QoS 1) or it is on its way (QoS 0); raises UnavailableError."""
        client = await self.open()
        try:
            await _while_up(client, client.publish(topic, payload, qos, retain, timeout=TIMEOUT_S))
        except aiomqtt.MqttError as error:
            await self._drop(client)
            raise UnavailableError(f"{self._url}: {error}") from None

    async def next_message(self) -> bytes:
        """Return what came for the subscription; waits as long as the caller does. Raises UnavailableError."""
        client = await self.open()
        try:
            payload = (await anext(client.messages)).payload
        except aiomqtt.MqttError as error:
            await self._drop(client)
            raise UnavailableError(f"{self._url}: {error}") from None
        return payload if isinstance(payload, bytes) else b""

    async def drain(self) -> None:
        """Forget what came and was not taken."""
        client = await self.open()
        for _ in range(len(client.messages)):
            await anext(client.messages)

    async def open(self) -> aiomqtt.Client:
        """Return the connection that there is, else a new one; raises UnavailableError."""
        async with self._opening:
            if self._client is not None and not _end(self._client).done():
                return self._client
            await self._leave()
            client = await self._connect()
            try:
                await client.__aenter__()
            except aiomqtt.MqttError as error:
                raise UnavailableError(f"{self._url} does not let us in: {error}") from None
            self._client = client
            self.connects += 1
            try:
                if self._topic:
                    await client.subscribe(self._topic)
            except aiomqtt.MqttError as error:
                await self._leave()
                raise UnavailableError(f"{self._url}: {error}") from None
            return client

    async def close(self) -> None:
        """End the connection, if there is one; the next use opens another."""
        async with self._opening:
            await self._leave()

    async def check(self) -> Check:
        """Tell whether the broker lets us in; nothing is published."""
        try:
            await self.open()
        except UnavailableError as error:
            return Check("endpoint", ok=False, text=f"{error}; look at `url`, at the line and at this key's enrolment.")
        return Check("endpoint", ok=True, text=f"{self._url} lets us in.")

    async def _drop(self, client: aiomqtt.Client) -> None:
        """End this connection, unless somebody did and has opened another."""
        async with self._opening:
            if self._client is client:
                await self._leave()

    async def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            _end(client)
            with contextlib.suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)


def broker_of(config: NetworkConfig, sources: Sources, password_file: str = "", ca_file: str = "") -> Endpoint:
    """Return the broker at a network's `url`; raises ConfigError."""
    path = f"$.network[{config.name}]"
    check_url(config.url, ("mqtt", "mqtts"), f"{path}.url")
    broker = RemoteBroker(config.url, password_file, ca_file)
    return remote(Config(home=str(sources.home)), broker, f"{path}.settings")


async def _while_up(client: aiomqtt.Client, publishing: Coroutine[None, None, None]) -> None:
    """Wait for a publication's end or the connection's: aiomqtt would wait for a PUBACK that cannot come any more."""
    task = asyncio.ensure_future(publishing)
    try:
        await asyncio.wait((task, _end(client)), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise aiomqtt.MqttError("the broker hung up before it acknowledged")
        task.result()
    finally:
        task.cancel()
        _end(client)


def _end(client: aiomqtt.Client) -> "asyncio.Future[None]":
    """Return what is done once the connection has ended; its error counts as looked at."""
    end = client._disconnected  # noqa: SLF001 - it has no public way to learn of it but by reading messages
    if end.done():
        end.exception()
    return end
