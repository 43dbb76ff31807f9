"""The MQTT codec against a real broker: nats-server with MQTT and JetStream."""

import itertools
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wattwire import mqtt

PASSWORD = "secret"
NATS = Path(sys.executable).with_name("nats-server")
CONFIG = """
server_name: test
listen: "127.0.0.1:{nats}"
jetstream {{ store_dir: "{store}" }}
mqtt {{ listen: "127.0.0.1:{mqtt}" }}
accounts {{ A {{ jetstream: enabled, users: [{{user: board, password: secret}}] }} }}
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run nats-server; give its MQTT port."""
    folder = tmp_path_factory.mktemp("nats")
    port = free_port()
    config = folder / "nats.conf"
    config.write_text(CONFIG.format(nats=free_port(), mqtt=port, store=folder / "store"))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([NATS, "-c", config], stdout=log, stderr=log)
    try:
        wait_for(port, server)
        yield port
    finally:
        server.terminate()
        server.wait(10)


def wait_for(port: int, server: subprocess.Popen) -> None:
    for _ in range(300):
        assert server.poll() is None
        try:
            Client(port).close()
        except (OSError, AssertionError):
            time.sleep(0.1)
        else:
            return
    pytest.fail("the broker did not come up")


class Client:
    """A blocking socket around the codec."""

    def __init__(self, port: int, client_id: str = "first", password: str = PASSWORD, will: mqtt.Will | None = None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.reader = mqtt.Reader()
        self.packets: list = []
        self.send(mqtt.connect(client_id, 30, "board", password, will))
        self.connack = self.next()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def next(self) -> tuple:
        while not self.packets:
            data = self.socket.recv(7)  # small pieces on purpose
            assert data, "closed"
            self.packets += self.reader.feed(data)
        return self.packets.pop(0)

    def close(self) -> None:
        self.socket.close()


def test_a_wrong_password_is_told(broker):
    client = Client(broker, password="wrong")
    assert client.connack in (mqtt.Connack(0, 4), mqtt.Connack(0, 5))
    client.close()


def test_the_whole_conversation(broker):
    listener = Client(broker, "listener")
    assert listener.connack == mqtt.Connack(0, 0)
    listener.send(mqtt.subscribe(1, (("w/1/+/frame", 1), ("w/1/+/state", 1))))
    assert listener.next() == mqtt.Suback(1, b"\x01\x01")
    board = Client(broker, "board", will=mqtt.Will("w/1/k/state", b"offline", 1, retain=True))
    assert board.connack.code == 0

    board.send(mqtt.PINGREQ)
    assert board.next() == mqtt.Pingresp()

    frames = [bytes((number,)) * size for number, size in zip(itertools.count(), (0, 1, 127, 128, 8192), strict=False)]
    for number, frame in enumerate(frames, 1):
        board.send(mqtt.publish("w/1/k/frame", frame, number))
        assert board.next() == mqtt.Puback(number)
    for frame in frames:
        packet = listener.next()
        assert (packet.topic, packet.payload, packet.qos, packet.retain) == ("w/1/k/frame", frame, 1, 0)
        listener.send(mqtt.puback(packet.packet_id))

    board.send(mqtt.publish("w/1/k/frame", b"at most once"))
    assert listener.next()[1:3] == (b"at most once", 0)

    board.send(mqtt.publish("w/1/k/state", b"online", 9, retain=True))
    assert board.next() == mqtt.Puback(9)
    packet = listener.next()
    assert (packet.payload, packet.retain) == (b"online", 0)
    listener.send(mqtt.puback(packet.packet_id))

    board.close()  # without DISCONNECT: the broker tells of the will
    packet = listener.next()
    assert (packet.topic, packet.payload) == ("w/1/k/state", b"offline")
    listener.send(mqtt.puback(packet.packet_id) + mqtt.DISCONNECT)
    listener.close()

    late = Client(broker, "late")
    late.send(mqtt.subscribe(2, (("w/1/+/state", 1),)))
    assert late.next() == mqtt.Suback(2, b"\x01")
    packet = late.next()
    assert (packet.payload, packet.retain) == (b"offline", 1)
    late.send(mqtt.DISCONNECT)
    late.close()
