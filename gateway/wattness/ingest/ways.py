"""The ways back to boards."""

from collections.abc import Awaitable, Callable
from typing import Protocol

Publish = Callable[[str, bytes], Awaitable[bool]]


class Slow(Protocol):
    """A way that some boards speak on, and that carries acknowledgements only."""

    def serves(self, kid: bytes) -> bool:
        """Whether this board was heard there."""
        ...

    async def acknowledge(self, kid: bytes, sealed: bytes) -> bool:
        """Send a sealed acknowledgement, if it is time for one."""
        ...


class Ways:
    """Each board hears us by the way it speaks on."""

    def __init__(self, publish: Publish) -> None:
        """Begin with MQTT's `publish`; a slow way may come later."""
        self._publish = publish
        self.slow: Slow | None = None

    async def publish(self, topic: str, payload: bytes) -> bool:
        """Send to a board; False: it was not sent, whoever needs it asks again."""
        slow, (_, _, kid, leaf) = self.slow, topic.split("/")
        if slow is None or not slow.serves(bytes.fromhex(kid)):
            return await self._publish(topic, payload)
        return leaf == "ack" and await slow.acknowledge(bytes.fromhex(kid), payload)
