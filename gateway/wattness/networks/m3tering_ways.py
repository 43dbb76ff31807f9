"""The two ways to deliver a meter's messages: to a Console as ChirpStack would, or to a prover over HTTP.

A Console reads ChirpStack's uplink events from an MQTT broker, so these are what we publish, and its answers come as
ChirpStack's downlink commands. A Console that hands its downlinks to ChirpStack's own API instead cannot be heard here.
"""

import asyncio
import base64
import hashlib
import json
import logging
import uuid
from typing import Any, NamedTuple

import msgspec

from wattness.clock import Clock
from wattness.errors import RejectedError, UnavailableError

from .base import Check
from .http import HttpClient, taken
from .m3tering_payload import CORE_SIZE, Answer, decode, parse_answer
from .mqtt import Line

LOG = logging.getLogger(__name__)


class Meter(NamedTuple):
    """How ChirpStack names a device."""

    application: str
    dev_eui: str
    port: int

    @property
    def up(self) -> str:
        """Where its uplinks are published."""
        return f"application/{self.application}/device/{self.dev_eui}/event/up"

    @property
    def down(self) -> str:
        """Where what it is told is published."""
        return f"application/{self.application}/device/{self.dev_eui}/command/down"


class _Command(msgspec.Struct):
    devEui: str  # noqa: N815 - ChirpStack's name
    data: str


class Console:
    """A Console behind a broker: one message at a time, for its answers do not say to which they are."""

    def __init__(self, line: Line, meter: Meter, answer_s: float) -> None:
        self.line, self.meter, self.answer_s = line, meter, answer_s
        self._turn = asyncio.Lock()

    async def deliver(self, raw: bytes) -> Answer:
        """Publish a message and return what the Console says to it; raises UnavailableError."""
        nonce = decode(raw).nonce
        async with self._turn:
            await self.line.drain()
            await self.line.publish(self.meter.up, event(self.meter, raw))
            try:
                async with asyncio.timeout(self.answer_s):
                    return await self._answer(nonce)
            except TimeoutError:
                await self.line.close()  # what comes late must not be taken for the answer to another message
                raise UnavailableError(
                    f"the Console did not answer in {self.answer_s} s: it may be away, "
                    "this key may not be on its M3ter NFT, or its downlinks may not reach this broker"
                ) from None

    async def held(self, question: bytes) -> int | None:
        """Return the nonce that the Console took last; the question is a message of nonce 0."""
        return (await self.deliver(question)).nonce

    async def check(self, question: bytes) -> list[Check]:
        """Tell whether broker and Console answer."""
        reached = await self.line.check()
        if not reached.ok:
            return [reached]
        try:
            nonce = await self.held(question)
        except UnavailableError as error:
            return [reached, Check("gate", ok=False, text=f"No answer: {error}.")]
        return [reached, Check("gate", ok=True, text=f"The Console knows this key; its last nonce is {nonce}.")]

    async def _answer(self, nonce: int) -> Answer:
        while True:
            answer = _read(await self.line.next_message(), self.meter.dev_eui)
            # Who expects just this nonce takes it, and who is asked for the nonce tells it: else it is an old answer.
            is_old = answer is not None and (answer.nonce is None if nonce == 0 else answer.nonce == nonce - 1)
            if answer is not None and not is_old:
                return answer
            LOG.info("downlink passed over device=%s old=%s", self.meter.dev_eui, is_old)


class Prover:
    """A prover, which takes the signed core and says nothing of nonces."""

    def __init__(self, client: HttpClient, m3ter_id: int, clock: Clock) -> None:
        self.client, self.m3ter_id, self.clock = client, m3ter_id, clock

    async def deliver(self, raw: bytes) -> Answer:
        """Post a batch of one; raises UnavailableError or RefusedError."""
        body = json.dumps([{"m3ter_id": self.m3ter_id, "message": raw[:CORE_SIZE].hex()}]).encode()
        headers = {"Content-Type": "application/json"}
        answer = await self.client.exchange("POST", "/batch-payloads", data=body, headers=headers)
        taken(answer, "this prover asks for a login, which M3tering's has not")
        return Answer(is_on=True, nonce=None, latitude=None, longitude=None)

    async def held(self, question: bytes) -> int | None:  # noqa: ARG002 - a Console is asked
        """Return nothing: a prover cannot be asked."""
        return None

    async def check(self, question: bytes) -> list[Check]:  # noqa: ARG002 - a Console is asked
        """Tell whether it answers."""
        return await self.client.reach("/", self.clock)


def event(meter: Meter, raw: bytes) -> bytes:
    """Return ChirpStack's uplink event: the same message gives the same bytes."""
    digest = hashlib.sha256(raw).digest()
    value: dict[str, Any] = {
        "deduplicationId": str(uuid.UUID(bytes=digest[:16], version=4)),
        "deviceInfo": {"applicationId": meter.application, "deviceName": meter.dev_eui, "devEui": meter.dev_eui},
        "fCnt": decode(raw).nonce,
        "fPort": meter.port,
        "confirmed": False,
        "data": base64.b64encode(raw).decode(),
    }
    return json.dumps(value).encode()


def _read(payload: bytes, dev_eui: str) -> Answer | None:
    try:
        command = msgspec.json.decode(payload, type=_Command)
        if command.devEui.lower() != dev_eui:
            return None
        return parse_answer(base64.b64decode(command.data, validate=True))
    except (msgspec.DecodeError, ValueError, RejectedError):
        return None
