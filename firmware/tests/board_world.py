"""A board's world for tests: real MicroPython, real broker, metered bus, and a gateway that only holds and answers."""

import asyncio
import contextlib
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from civilclock import Clock
from emulator.board import Board
from emulator.bus import Bus
from emulator.wiring import wire
from wattwire import cose, frame, link, mqtt

NATS = Path(sys.executable).with_name("nats-server")
NATS_CONFIG = """
server_name: test
listen: "127.0.0.1:{nats}"
jetstream {{ store_dir: "{store}" }}
mqtt {{
  listen: "127.0.0.1:{mqtt}"
  {tls}
}}
accounts {{ A {{ jetstream: enabled, users: [{{user: board, password: word}}, {{user: gateway, password: word}}] }} }}
"""
# Makes the key at the first boot and tells it at every other: what a person does over the REPL.
BOOT = b"""
from wattboard import keys
try:
    keys.make()
except keys.KeyExistsError:
    keys.show()
"""
LINK_KEY = bytes(range(32))
START_UNIX_MS = 1_700_000_000_000
RATE = 60
HEAP = "320k"
PV = {"role": "pv", "profile": "eastron_sdm120", "unit": 1, "period_ms": 30000, "rated_w": 6000}
GRID = {"role": "grid", "profile": "eastron_sdm120", "unit": 2, "period_ms": 30000}
DEADLINE_S = 60


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Broker:
    """nats-server, to be stopped and started."""

    def __init__(self, folder: Path, tls: str = "") -> None:
        self.port = free_port()
        folder.mkdir(parents=True)
        self._config = folder / "nats.conf"
        text = NATS_CONFIG.format(nats=free_port(), mqtt=self.port, store=folder / "store", tls=tls)
        self._config.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; clients try until it is there."""
        self._process = subprocess.Popen(
            [NATS, "-c", self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Gateway:
    """Verifies and holds frames, acknowledges what is contiguous unless `mute`, and sends commands."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self.port = port
        self.context = context
        self.mute = False
        self.drop: Callable[[frame.Record], bool] = lambda _: False
        self.frames: dict[tuple[int, int], bytes] = {}
        self.records: dict[tuple[int, int], frame.Record] = {}
        self.order: list[tuple[int, int]] = []  # arrivals, repetitions too
        self.states: list[bytes] = []
        self.link_key = LINK_KEY
        self.on_want: Callable[[str, bytes], None] = lambda *_: None
        self.unix_ms = START_UNIX_MS
        self._since = time.monotonic()
        self._packet_id = 9
        self._counter = 0
        self._writer: asyncio.StreamWriter | None = None

    async def run(self, public_key: bytes) -> None:
        """Serve the board of that key until cancelled."""
        self.public_key, self.kid = public_key, cose.kid(public_key)
        while True:
            with contextlib.suppress(OSError):
                await self._connection(*await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context))
            await asyncio.sleep(0.1)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        packets = mqtt.Reader()
        writer.write(mqtt.connect("gateway", 60, "gateway", "word"))
        topics = [link.topic(self.kid, leaf) for leaf in ("frame", "state", "want")]
        writer.write(mqtt.subscribe(1, [(topic, 1) for topic in topics]))
        try:
            while data := await reader.read(65536):
                for packet in packets.feed(data):
                    if isinstance(packet, mqtt.Publish):
                        self._take(packet)
        finally:
            writer.close()

    def last(self, log: int = 1) -> int:
        """Return up to which number every frame of a log is held or declared lost."""
        lost = [record.lost for (number, _), record in self.records.items() if number == log and record.lost]
        head = 0
        while True:
            ends = [end for begin, end in lost if begin <= head + 1 <= end]
            if (log, head + 1) in self.frames:
                head += 1
            elif ends:
                head = max(ends)
            else:
                return head

    def of_kind(self, kind: int, log: int = 1) -> list[frame.Record]:
        """Return the records of a kind, in order."""
        return [self.records[key] for key in sorted(self.records) if key[0] == log and self.records[key].kind == kind]

    def acknowledge(self, log: int = 1) -> None:
        """Say how far the log is held."""
        now_ms = self.unix_ms + int(1000 * RATE * (time.monotonic() - self._since))
        self.send("ack", link.encode_ack(log, self.last(log), now_ms))

    def command(self, name: str, args: Any = None, counter: int | None = None) -> int:
        """Send a command; return its counter."""
        self._counter = max(self._counter + 1, self.unix_ms) if counter is None else counter
        self.send("cmd", link.encode_command(self._counter, name, args))
        return self._counter

    def send(self, leaf: str, body: bytes) -> None:
        """Publish a sealed body."""
        topic = link.topic(self.kid, leaf)
        self._packet_id = self._packet_id % 0xFFFF + 1
        assert self._writer is not None
        self._writer.write(mqtt.publish(topic, link.seal(self.link_key, topic, body), self._packet_id))

    def _take(self, packet: mqtt.Publish) -> None:
        assert self._writer is not None
        if packet.qos:
            self._writer.write(mqtt.puback(packet.packet_id))
        if packet.topic.endswith("state"):
            self.states.append(packet.payload)
            return
        if packet.topic.endswith("want"):
            self.on_want(packet.topic, packet.payload)
            return
        record = frame.decode(cose.verify(self.public_key, packet.payload))
        if self.drop(record):
            return
        key = (record.log, record.seq)
        assert self.frames.setdefault(key, packet.payload) == packet.payload, "two frames of one number"
        self.records[key] = record
        self.order.append(key)
        if not self.mute:
            self.acknowledge(record.log)


class World:
    """One board with its bus, broker and gateway."""

    def __init__(
        self,
        folder: Path,
        meters: tuple[str, ...] = ("1:sdm120:golden.pv",),
        boot: bytes = BOOT,
        tls: tuple[str, ssl.SSLContext | None] = ("", None),
        files: dict[str, bytes] | None = None,
        **settings: Any,
    ) -> None:
        self.clock = Clock(time.time_ns() // 1_000_000, START_UNIX_MS, RATE)
        self.bus = Bus(wire(meters, self.clock), baud=38400, turnaround_ms=2)
        self.broker = Broker(folder / "broker", tls[0])
        self.gateway = Gateway(self.broker.port, tls[1])
        self.files = {"/boot.py": boot, **(files or {})}
        self.board = Board(folder / "board", rate=RATE, heap=HEAP)
        self.settings = {
            "gateway": "ab" * 32,
            "link_key": LINK_KEY.hex(),
            "mqtt": {
                "host": "127.0.0.1",
                "port": self.broker.port,
                "user": "board",
                "password": "word",
                "tls": bool(tls[0]),
                "ca": "/ca.pem" if tls[0] else None,
            },
            "wifi": {"ssid": "net", "password": "secret"},
            "bus": {"uart": 1, "baud": 38400, "tx": 17, "rx": 16, "de": None},
            "frame_ms": 60000,
            "health_ms": 600000,
            "clock_step_ms": 60000,
            "streams": [PV],
            **settings,
        }
        self.public_key = b""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start everything; returns when the board has told its key."""
        await self.bus.start()
        self.board.bus = self.bus.address
        self.broker.start()
        self.board.provision(self.files)
        self.configure()
        await self.board.start()
        printed = await self.until(lambda: self.board.console.text().rpartition('{"public_key": "')[2][:130])
        self.public_key = bytes.fromhex(printed)
        self._task = asyncio.create_task(self.gateway.run(self.public_key))

    def configure(self, **changes: Any) -> None:
        """Put the configuration on the flash of the board, which is off."""
        self.settings.update(changes)
        self.board.provision({"/config.json": json.dumps(self.settings).encode()})

    async def stop(self) -> None:
        """Leave no process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        await self.board.stop()
        await self.bus.stop()
        self.broker.stop()
        if self._task is not None and not self._task.cancelled():
            self._task.result()  # the gateway found something wrong

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Return the condition's first true value."""
        async with asyncio.timeout(DEADLINE_S):
            while not (value := condition()):
                if self._task is not None and self._task.done():
                    self._task.result()
                await asyncio.sleep(0.02)
            return value


@contextlib.asynccontextmanager
async def world(folder: Path, *given: Any, **named: Any) -> AsyncIterator[World]:
    """Run a World of these arguments; what the board printed comes with a failure."""
    made = World(folder, *given, **named)
    try:
        await made.start()
        yield made
    except BaseException:
        sys.stderr.write(made.board.console.text()[-3000:])
        raise
    finally:
        await made.stop()
