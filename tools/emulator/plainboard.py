"""A board without a chip: delivers ready frames over MQTT exactly as wire.md §2 says; for loads, kills and junk."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

from wattwire import link, mqtt
from wattwire.errors import WireError

WINDOW = 8
RESEND_S = 10.0
RECONNECT_S = 0.2
KEEPALIVE_S = 30


class PlainBoard:
    """Sends `frames` (of one log, from seq 1) oldest first and drops them only on a valid acknowledgement."""

    def __init__(
        self,
        enrolment: dict[str, Any],
        frames: Sequence[bytes],
        *,
        pace_s: float = 0.0,
        resend_s: float = RESEND_S,
    ) -> None:
        """`enrolment` is what `board enrol --out` wrote; `pace_s` how long a frame takes to make, 0: all are there."""
        mqtt_settings = enrolment["mqtt"]
        self.kid, self.link_key = bytes.fromhex(mqtt_settings["user"]), bytes.fromhex(enrolment["link_key"])
        self.login = (mqtt_settings["user"], mqtt_settings["password"])
        self.address = (mqtt_settings["host"], mqtt_settings["port"])
        self.frames = frames
        self.pace_s, self.resend_s = pace_s, resend_s
        self.acked = 0  # frames that the gateway has on its disk
        self.sent = 0  # publishes, resends included
        self.connects = 0
        self._started = time.monotonic()
        self._next = 0  # index of the next frame to publish
        self._packet_id = 0
        self._sent_at = 0.0

    async def run(self) -> None:
        """Deliver until every frame is acknowledged; survives any number of broken connections."""
        while self.acked < len(self.frames):
            with contextlib.suppress(OSError, WireError, asyncio.IncompleteReadError, TimeoutError):
                await self._connection()
            if self.acked < len(self.frames):
                await asyncio.sleep(RECONNECT_S)

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection(*self.address)
        self.connects += 1
        try:
            packets = mqtt.Reader()
            will = mqtt.Will(link.topic(self.kid, "state"), "offline", 1, True)
            writer.write(mqtt.connect(self.kid.hex(), KEEPALIVE_S, *self.login, will))
            writer.write(mqtt.subscribe(1, [(link.topic(self.kid, leaf), 1) for leaf in ("ack", "cmd")]))
            writer.write(mqtt.publish(link.topic(self.kid, "state"), b"online", 2, retain=True))
            self._next, self._packet_id = self.acked, 2
            while self.acked < len(self.frames) and not writer.is_closing():
                self._fill(writer)
                with contextlib.suppress(TimeoutError):
                    data = await asyncio.wait_for(reader.read(65536), self.pace_s or 1.0)
                    if not data:
                        return
                    for packet in packets.feed(data):
                        self._take(packet, writer)
                if time.monotonic() - self._sent_at > self.resend_s:
                    self._next = self.acked
            writer.write(mqtt.DISCONNECT)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _fill(self, writer: asyncio.StreamWriter) -> None:
        topic = link.topic(self.kid, "frame")
        made = int((time.monotonic() - self._started) / self.pace_s) if self.pace_s else len(self.frames)
        while self._next < min(self.acked + WINDOW, len(self.frames), made):
            self._packet_id = self._packet_id % 0xFFFF + 1
            writer.write(mqtt.publish(topic, self.frames[self._next], self._packet_id))
            self._next += 1
            self.sent += 1
            self._sent_at = time.monotonic()

    def _take(self, packet: object, writer: asyncio.StreamWriter) -> None:
        if isinstance(packet, mqtt.Connack) and packet.code:
            raise WireError("bad_login", str(packet.code))
        if not isinstance(packet, mqtt.Publish):
            return
        if packet.qos:
            writer.write(mqtt.puback(packet.packet_id))
        if packet.topic == link.topic(self.kid, "ack"):
            _log, seq, _unix_ms = link.decode_ack(link.open(self.link_key, packet.topic, packet.payload))
            self.acked = max(self.acked, min(seq, len(self.frames)))
            self._next = max(self._next, self.acked)
