"""The link to the broker: publishes frames from the log, takes acknowledgements and commands."""

import asyncio
import os
import random

from wattboard import hal
from wattboard.loan import Loan
from wattwire import link, mqtt
from wattwire.errors import WireError

KEEPALIVE_MS = 30000
PING_MS = 10000  # least time between two PINGREQ
CONNECT_MS = 15000
ANSWERS_MAX = 64
WRITE_MS = 10000
TICK_MS = 500
BACKOFF_MS = 1000  # doubles, with jitter
BACKOFF_MAX_MS = 60000
STABLE_MS = 60000  # a connection that lived so long starts the back-off anew
READ_BYTES = 512
NTP_TIMEOUT_MS = 2000
NTP_PERIOD_MS = 21600000
NTP_RETRY_MS = 60000
CONNACK_REASONS = ("", "protocol", "client id", "server unavailable", "bad user or password", "not authorised")


class LinkError(Exception):
    """The connection is of no use any more."""


class Uplink:
    """The task of the network; `on_ack(seq, unix_ms)` and `on_command(body)` take what was authenticated."""

    def __init__(self, settings, kid, window, health, beat):
        self.connected = False
        self.on_ack = _nothing
        self.on_command = _nothing
        self.on_time = _nothing
        self.want = _nothing  # returns what to ask the gateway for now, or None
        self._mqtt = settings["mqtt"]
        self._wifi = settings["wifi"]
        self._ntp = settings.get("ntp")
        self._ntp_due_ms = 0
        self._link_key = settings["link_key"]
        self._kid = kid
        self._topics = {leaf: link.topic(kid, leaf) for leaf in link.LEAVES}
        self._window = window
        self._beat = beat
        self._health = health
        self._kick = asyncio.Event()
        self._ended = asyncio.Event()
        self._why = None
        self._packet_id = 0
        self._answers = []  # PUBACKs to write: only the sending half writes
        self._heard_ms = 0
        self._said_ms = 0

    def kick(self):
        """There is a new frame, or room in the window."""
        self._kick.set()

    async def run(self):
        """Stay connected for ever."""
        backoff_ms = BACKOFF_MS
        while True:
            began_ms = hal.real_ms()
            try:
                await self._session()
            except (OSError, WireError, LinkError, asyncio.TimeoutError, EOFError) as error:
                print("uplink:", repr(error))
                self._health.count("uplink_failures")
            self.connected = False
            if hal.real_ms() - began_ms > STABLE_MS:
                backoff_ms = BACKOFF_MS
            await self._pause(backoff_ms // 2 + random.getrandbits(16) * backoff_ms // 0x20000)
            backoff_ms = min(2 * backoff_ms, BACKOFF_MAX_MS)

    async def _pause(self, wait_ms):
        until_ms = hal.real_ms() + wait_ms
        while hal.real_ms() < until_ms:
            self._beat("uplink")
            await asyncio.sleep_ms(min(1000, max(1, until_ms - hal.real_ms())))

    async def _session(self):
        """One connection, from Wi-Fi to its end."""
        self._beat("uplink")
        await hal.join_wifi(self._wifi)
        self._beat("uplink")
        await self._keep_time()
        stream = await asyncio.wait_for_ms(self._open(), CONNECT_MS)
        self._ended.clear()
        self._why = None
        self._answers = []
        tasks = []
        try:
            reader = mqtt.Reader()
            await self._meet(stream, reader)
            self.connected = True
            self._window.reconnected(hal.real_ms())
            self._kick.set()
            for part in (self._receive(stream, reader), self._send(stream)):
                tasks.append(asyncio.create_task(self._part(part)))
            await self._ended.wait()
            raise self._why or LinkError("ended")
        finally:
            for task in tasks:
                task.cancel()
            stream.close()
            try:
                await stream.wait_closed()
            except OSError:
                pass  # it was broken already

    async def _keep_time(self):
        """Set the clocks by network time; without it the board goes on, though TLS may find no certificate valid."""
        if self._ntp is None or hal.real_ms() < self._ntp_due_ms:
            return
        self._ntp_due_ms = hal.real_ms() + NTP_RETRY_MS
        try:
            with Loan("wattboard.sntp") as sntp:
                nonce = os.urandom(sntp.NONCE_SIZE)
                asked_ms = hal.uptime_ms()
                answer = await hal.ask_udp(self._ntp, sntp.PORT, sntp.request(nonce), NTP_TIMEOUT_MS)
                unix_ms = sntp.unix_ms(answer, nonce)
        except (OSError, WireError) as error:
            print("network time:", repr(error))
            self._health.count("ntp_failures")
            return
        self._ntp_due_ms = hal.real_ms() + NTP_PERIOD_MS
        now_ms = hal.uptime_ms()
        unix_ms += (now_ms - asked_ms) // 2
        hal.set_rtc(unix_ms)
        self.on_time(unix_ms, now_ms)

    async def _part(self, part):
        """Run one half of a session; the first half that fails ends it."""
        try:
            await part
        except Exception as error:  # noqa: BLE001 - the session raises it again
            self._why = self._why or error
            self._ended.set()

    async def _open(self):
        host, port = self._mqtt["host"], self._mqtt["port"]
        if not self._mqtt.get("tls"):
            _, stream = await asyncio.open_connection(host, port)
            return stream
        with Loan("wattboard.preflight") as preflight:
            reason = preflight.refusal(("tls",), hal.idf_heap(), self._health)
        if reason is not None:
            raise LinkError(reason)
        _, stream = await asyncio.open_connection(
            host, port, ssl=hal.tls_context(self._mqtt["ca"]), server_hostname=host
        )
        return stream

    async def _meet(self, stream, reader):
        try:
            await asyncio.wait_for_ms(self._greet(stream, reader), CONNECT_MS)
        except WireError:
            raise
        except ValueError as error:  # what the port's TLS says of a certificate
            raise LinkError("certificate refused: %s" % error)

    async def _greet(self, stream, reader):
        """CONNECT with the will, `online`, and the two subscriptions."""
        state = self._topics["state"]
        will = mqtt.Will(state, b"offline", 1, True)
        name = self._kid.hex()
        stream.write(mqtt.connect(name, 2 * KEEPALIVE_MS // 1000, self._mqtt["user"], self._mqtt["password"], will))
        await stream.drain()
        packets = []
        while not packets:
            data = await stream.read(READ_BYTES)
            if not data:
                raise LinkError("closed")
            packets.extend(reader.feed(data))
        if not isinstance(packets[0], mqtt.Connack) or packets[0].code:
            raise LinkError("refused: " + CONNACK_REASONS[getattr(packets[0], "code", 1)])
        stream.write(mqtt.subscribe(self._next_id(), ((self._topics["ack"], 1), (self._topics["cmd"], 1))))
        stream.write(mqtt.publish(state, b"online", self._next_id(), retain=True))
        await stream.drain()
        self._heard_ms = self._said_ms = hal.real_ms()

    async def _receive(self, stream, reader):
        while True:
            data = await stream.read(READ_BYTES)
            if not data:
                raise LinkError("closed")
            self._heard_ms = hal.real_ms()
            for packet in reader.feed(data):
                if isinstance(packet, mqtt.Publish):
                    self._delivered(packet)
                    if packet.qos:
                        self._answer(mqtt.puback(packet.packet_id))
                elif isinstance(packet, mqtt.Suback) and 0x80 in packet.codes:
                    raise LinkError("subscription refused")

    def _answer(self, data):
        if len(self._answers) >= ANSWERS_MAX:
            raise LinkError("flooded")
        self._answers.append(data)
        self._kick.set()

    def _delivered(self, packet):
        """Take an acknowledgement or a command, if the link key says that it is the gateway's."""
        try:
            body = link.open(self._link_key, packet.topic, packet.payload)
            if packet.topic == self._topics["ack"]:
                log, seq, unix_ms = link.decode_ack(body)
                if log == self._window.log.number:
                    self.on_ack(seq, unix_ms)
                    self._kick.set()
            elif packet.topic == self._topics["cmd"]:
                self.on_command(body)
                self._kick.set()
        except WireError as error:
            print("refused:", packet.topic, error)
            self._health.count("refused_" + error.reason)

    async def _send(self, stream):
        while True:
            self._beat("uplink")
            await self._keep_time()
            self._kick.clear()
            while self._answers:
                await self._write(stream, self._answers.pop(0))
            seq = self._window.next(hal.real_ms())
            while seq is not None:
                await self._publish(stream, seq)
                seq = self._window.next(hal.real_ms())
            now_ms = hal.real_ms()
            body = self.want(now_ms)
            if body is not None:
                topic = self._topics["want"]
                sealed = link.seal(self._link_key, topic, body)
                await self._write(stream, mqtt.publish(topic, sealed, self._next_id()))
            if now_ms - self._heard_ms > 2 * KEEPALIVE_MS:
                raise LinkError("silent")
            if now_ms - min(self._said_ms, self._heard_ms) > KEEPALIVE_MS and now_ms - self._said_ms > PING_MS:
                await self._write(stream, mqtt.PINGREQ)
            try:
                await asyncio.wait_for_ms(self._kick.wait(), TICK_MS)
            except asyncio.TimeoutError:
                pass

    async def _publish(self, stream, seq):
        data = self._window.log.read(seq)
        if data is None:
            self._window.skip(seq, hal.real_ms())
            return
        repeated = self._window.sent(seq, hal.real_ms())
        head = mqtt.publish_head(self._topics["frame"], len(data), self._next_id())
        if repeated:
            self._health.count("resent_frames")
        stream.write(head)
        await self._write(stream, data)
        self._beat("uplink")

    async def _write(self, stream, data):
        stream.write(data)
        await asyncio.wait_for_ms(stream.drain(), WRITE_MS)
        self._said_ms = hal.real_ms()

    def _next_id(self):
        self._packet_id = self._packet_id % 0xFFFF + 1
        return self._packet_id


def _nothing(*_):
    """Before the parts are wired."""
