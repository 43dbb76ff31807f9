"""Boards behind LoRaWAN: ChirpStack's uplink events become the same signed frames that MQTT brings.

ChirpStack 4 publishes JSON to `application/<id>/device/<devEui>/event/up` with the payload in base64 as `data`; the
network servers of Helium are ChirpStack. What a board hears back is an acknowledgement in a downlink, sealed as on
MQTT, and rare: downlinks take the gateways' air time, and acknowledgements are cumulative.
"""

import asyncio
import base64
import json
import logging
import random
import re
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import aiomqtt
import msgspec

from wattness.cancelling import heed_cancellation
from wattness.config import Lorawan
from wattness.endpoints import connection, tls_context
from wattness.model import Arrival, Endpoint
from wattwire import lora
from wattwire.cose import parse
from wattwire.errors import WireError

log = logging.getLogger(__name__)

DEVICES_MAX = 1000  # whose uplinks we put together; the longest silent goes first
ASSEMBLIES_MAX = 4  # frames that a device may send at once; the oldest goes first
EVENT_BYTES_MAX = 64 * 1024
BACKOFF_S = (1, 2, 5, 10, 30, 60)
CONNECTION = {"timeout": 10, "max_queued_incoming_messages": 1000}

_DEV_EUI = re.compile(r"[0-9a-f]{16}")


class _DeviceInfo(msgspec.Struct):
    devEui: str  # noqa: N815 - ChirpStack's name


class _Event(msgspec.Struct):
    deviceInfo: _DeviceInfo  # noqa: N815 - ChirpStack's name
    fPort: int = 0  # noqa: N815 - ChirpStack's name
    data: str = ""


class Assembler:
    """Uplinks in, frames out; pure but for the counts."""

    def __init__(self, port: int) -> None:
        """`port` is the boards' FPort; what comes by another is somebody else's."""
        self.port = port
        self.counts: Counter[str] = (
            Counter()
        )  # bad_event, other_port, bad_uplink, bad_frame, incomplete, repaired, frames
        self.devices: dict[bytes, tuple[str, str]] = {}  # kid → (application, devEui) of its newest frame
        self._assemblies: OrderedDict[str, OrderedDict[tuple[int, int], lora.Assembly]] = OrderedDict()

    def take(self, topic: str, payload: bytes) -> Arrival | None:
        """Take one event; return the frame that it completes."""
        found = _read(topic, payload)
        if found is None:
            self.counts["bad_event"] += 1
            return None
        application, device, port, uplink = found
        if port != self.port:
            self.counts["other_port"] += 1
            return None
        try:
            seq, _, last = lora.header(uplink)
        except WireError:
            self.counts["bad_uplink"] += 1
            return None
        raw = self._add(device, (seq, last), uplink)
        if raw is None:
            return None
        self.counts["frames"] += 1
        kid = parse(raw)[0]
        if len(self.devices) < DEVICES_MAX or kid in self.devices:
            self.devices[kid] = (application, device)
        return Arrival(kid, raw)

    def _add(self, device: str, key: tuple[int, int], uplink: bytes) -> bytes | None:
        assemblies = self._assemblies.setdefault(device, OrderedDict())
        self._assemblies.move_to_end(device)
        assembly = assemblies.setdefault(key, lora.Assembly(*key))
        try:
            raw: bytes | None = assembly.add(uplink)
        except WireError:
            self.counts["bad_frame"] += 1
            del assemblies[key]
            return None
        if raw is not None:
            self.counts["repaired"] += assembly.repaired
            del assemblies[key]  # what is still to come of it begins a new one, which the next frames push out
        while len(assemblies) > ASSEMBLIES_MAX:
            assemblies.popitem(last=False)
            self.counts["incomplete"] += 1
        while len(self._assemblies) > DEVICES_MAX:
            self.counts["incomplete"] += len(self._assemblies.popitem(last=False)[1])
        return raw


class LorawanLink:
    """The connection to ChirpStack's broker; `run` keeps it up and offers frames."""

    def __init__(self, endpoint: Endpoint, settings: Lorawan, offer: Callable[[Arrival], object]) -> None:
        """`offer` takes frames."""
        self.endpoint = endpoint
        self.connected = False
        self.error = ""
        self.assembler = Assembler(settings.port)
        self._offer = offer
        self._topic = f"application/{settings.application or '+'}/device/+/event/up"
        self._ack_every_s = settings.ack_every_s
        self._acked_s: dict[bytes, float] = {}
        self._tls = tls_context(endpoint)
        self._client: aiomqtt.Client | None = None

    @property
    def counts(self) -> Counter[str]:
        """What was refused, repaired and put together."""
        return self.assembler.counts

    async def run(self) -> None:
        """Connect, and connect again whenever the connection ends, until cancelled."""
        attempt = 0
        while True:
            try:
                async with connection(self.endpoint, self._tls, **CONNECTION) as client:
                    await client.subscribe(self._topic, qos=1)
                    self._client, self.connected, self.error, attempt = client, True, "", 0
                    async for message in client.messages:
                        self._take(message)
            except aiomqtt.MqttError as error:
                self.error = str(error)
                log.warning("lorawan's broker lost error=%s", self.error)
            finally:
                self._client, self.connected = None, False
            heed_cancellation()
            wait_s = BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]
            attempt += 1
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311 - jitter

    def serves(self, kid: bytes) -> bool:
        """Whether this board was heard here."""
        return kid in self.assembler.devices

    async def acknowledge(self, kid: bytes, sealed: bytes) -> bool:
        """Queue a downlink for a board, unless it had one lately or there is no connection."""
        now_s = time.monotonic()
        last_s = self._acked_s.get(kid)
        client, where = self._client, self.assembler.devices.get(kid)
        if client is None or where is None or (last_s is not None and now_s - last_s < self._ack_every_s):
            return False
        application, device = where
        command = {
            "devEui": device,
            "confirmed": False,
            "fPort": self.assembler.port,
            "data": base64.b64encode(sealed).decode(),
        }
        topic = f"application/{application}/device/{device}/command/down"
        try:
            await client.publish(topic, json.dumps(command), qos=1)
        except aiomqtt.MqttError:
            return False
        self._acked_s[kid] = now_s
        return True

    def _take(self, message: aiomqtt.Message) -> None:
        payload = message.payload
        arrival = self.assembler.take(message.topic.value, payload if isinstance(payload, bytes) else b"")
        if arrival is not None:
            self._offer(arrival)


def _read(topic: str, payload: bytes) -> tuple[str, str, int, bytes] | None:
    """Return (application, devEui, FPort, uplink) of an event, or None for what is none."""
    parts = topic.split("/")
    if len(parts) != 6 or (parts[0], parts[2], *parts[4:]) != ("application", "device", "event", "up"):
        return None
    if len(payload) > EVENT_BYTES_MAX:
        return None
    try:
        event: Any = msgspec.json.decode(payload, type=_Event)
        uplink = base64.b64decode(event.data, validate=True)
    except (msgspec.DecodeError, ValueError):
        return None
    device = event.deviceInfo.devEui.lower()
    if device != parts[3].lower() or not _DEV_EUI.fullmatch(device):
        return None
    return parts[1], device, event.fPort, uplink
