"""Frames through real brokers: order, bounds, broken topics, a broker that dies."""

import asyncio
import datetime as dt
import gc
import ipaddress
import random
import socket
from contextlib import asynccontextmanager

import aiomqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wattness.errors import ConfigError
from wattness.ingest.buffered import BufferedSocket
from wattness.ingest.mqtt import MqttLink
from wattness.model import Arrival, Endpoint

A, B = "aa" * 8, "bb" * 8
KID = bytes.fromhex(A)
FRAME = f"wattness/1/{A}/frame"


@asynccontextmanager
async def linked(endpoint, **options):
    link = MqttLink(endpoint, seed=1, **options)
    task = asyncio.create_task(link.run())
    try:
        while not link.connected:
            await asyncio.sleep(0.005)
        yield link
    finally:
        task.cancel()
        await asyncio.wait([task])


def board(broker):
    return aiomqtt.Client(broker.endpoint.host, broker.endpoint.port, username=A, password="password of a", timeout=5)


def as_gateway(broker):
    host, port, user, password, *_ = broker.endpoint
    return aiomqtt.Client(host, port, username=user, password=password, timeout=5)


async def take(link, count):
    return [await anext(link) for _ in range(count)]


async def test_frames_come_whole_and_in_order(any_broker):
    sent = [b"%d" % number * 700 for number in range(300)]
    async with linked(any_broker.endpoint) as link, board(any_broker) as a:
        for frame in sent:
            await a.publish(FRAME, frame, qos=1)
        assert await take(link, 300) == [Arrival(KID, frame) for frame in sent]


async def test_answers_reach_the_board(any_broker):
    async with linked(any_broker.endpoint) as link, board(any_broker) as a:
        await a.subscribe(f"wattness/1/{A}/ack", qos=1)
        assert await link.publish(f"wattness/1/{A}/ack", b"ack")
        assert (await anext(a.messages)).payload == b"ack"


async def test_state_is_remembered(any_broker):
    async with board(any_broker) as a:
        await a.publish(f"wattness/1/{A}/state", b"online", qos=1, retain=True)
    async with linked(any_broker.endpoint) as link:
        while link.states != {KID: "online"}:
            await asyncio.sleep(0.005)


async def test_killed_broker_is_found_again_and_nothing_is_lost(any_broker):
    """A board repeats what was not acknowledged; the link comes back by itself."""
    unacknowledged = {b"%d" % number for number in range(60)}

    async def sending():
        while unacknowledged:
            try:
                async with board(any_broker) as a:
                    while unacknowledged:
                        for frame in sorted(unacknowledged):
                            await a.publish(FRAME, frame, qos=1)
            except aiomqtt.MqttError:
                await asyncio.sleep(0.02)

    async with linked(any_broker.endpoint) as link:
        sender = asyncio.create_task(sending())
        got = {(await anext(link)).raw for _ in range(20)}
        await any_broker.kill_and_restart()
        while unacknowledged:
            raw = (await anext(link)).raw
            got.add(raw)
            if link.connects > 1:
                unacknowledged.discard(raw)
        await sender
        assert link.connects == 2
        assert got == {b"%d" % number for number in range(60)}


async def test_bounded_when_nobody_takes(mosquitto):
    """Whatever the broker does, no more than the bound is kept; the rest is counted."""
    async with mosquitto() as broker, linked(broker.endpoint, waiting_max=5) as link, board(broker) as a:
        for number in range(12):
            await a.publish(FRAME, b"%d" % number, qos=1)
        while link.counts["dropped_full"] < 7:
            await asyncio.sleep(0.005)
        assert [arrival.raw for arrival in await take(link, 5)] == [b"0", b"1", b"2", b"3", b"4"]
        await a.publish(FRAME, b"again", qos=1)
        assert (await anext(link)).raw == b"again"


async def test_our_broker_holds_back_what_is_not_taken(nats):
    async with linked(nats.endpoint, waiting_max=100_000) as link, board(nats) as a:
        for number in range(1500):
            await a.publish(FRAME, b"%d" % number, qos=1)
        assert len(link._waiting) <= 1024
        assert [arrival.raw for arrival in await take(link, 1500)] == [b"%d" % number for number in range(1500)]


@pytest.mark.parametrize("topic", ["wattness/1/AABBCCDDEEFF0011/frame", "wattness/1//frame"])
async def test_broken_topics_are_counted(nats, topic):
    async with linked(nats.endpoint) as link, as_gateway(nats) as anybody, board(nats) as a:
        await anybody.publish(topic, b"x", qos=1)
        while not link.counts["bad_topic"]:
            await asyncio.sleep(0.005)
        await a.publish(FRAME, b"good", qos=1)
        assert (await anext(link)).raw == b"good"


async def test_too_long_frames_are_counted(any_broker):
    async with linked(any_broker.endpoint) as link, board(any_broker) as a:
        await a.publish(FRAME, bytes(8193), qos=1)
        await a.publish(FRAME, bytes(8192), qos=1)
        assert (await anext(link)).raw == bytes(8192)
        assert link.counts == {"too_long": 1}


async def test_without_a_broker_it_says_why_and_goes_on(port):
    link = MqttLink(Endpoint("127.0.0.1", port, "gateway", ""), seed=1)
    task = asyncio.create_task(link.run())
    while not link.error:
        await asyncio.sleep(0.005)
    assert "refused" in link.error
    assert not await link.publish("wattness/1/x/ack", b"ack")
    assert link.counts["unsent"] == 1
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    ours.setblocking(False)
    buffered = BufferedSocket(ours)
    buffered.setblocking(False)
    with buffered, theirs:
        yield buffered, theirs


def test_buffered_socket_reads_once_and_gives_in_pieces(pair):
    buffered, theirs = pair
    with pytest.raises(BlockingIOError):
        buffered.recv(1)
    theirs.send(b"0123456789")
    assert (buffered.recv(1), buffered.recv(4), buffered.pending()) == (b"0", b"1234", 5)
    assert (buffered.recv(99), buffered.pending()) == (b"56789", 0)
    theirs.close()
    assert buffered.recv(1) == b""


def test_buffered_socket_keeps_what_the_kernel_does_not_take(pair):
    buffered, theirs = pair
    sent = random.Random(1).randbytes(1_200_000)
    assert buffered.send(sent) == len(sent)
    with pytest.raises(BlockingIOError):
        buffered.send(b"too much")
    assert not buffered.flush()
    got = bytearray()
    while not buffered.flush():
        got += theirs.recv(65536)
    buffered.close()
    while part := theirs.recv(65536):
        got += part
    assert got == sent


def make_certificates(folder, name):
    """A home's own authority and its broker's certificate."""
    now = dt.datetime.now(dt.UTC)

    def certificate(subject, key, issuer, issuer_key, *extensions):
        builder = x509.CertificateBuilder(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]),
            key.public_key(),
            x509.random_serial_number(),
            now - dt.timedelta(hours=1),
            now + dt.timedelta(days=1),
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_id = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    usage = x509.KeyUsage(*[False] * 5, True, True, *[False] * 2)
    ca = certificate("home", ca_key, "home", ca_key, x509.BasicConstraints(ca=True, path_length=0), ca_id, usage)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    folder.mkdir(exist_ok=True)
    (folder / "ca.pem").write_bytes(ca)
    (folder / "broker.pem").write_bytes(certificate(name, key, "home", ca_key, names, authority))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "broker.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves a failed socket to the collector
async def test_tls_is_checked(mosquitto, tmp_path):
    make_certificates(tmp_path / "mosquitto", "localhost")
    async with mosquitto(tls=True) as broker:
        known = broker.endpoint._replace(ca_file=str(tmp_path / "mosquitto" / "ca.pem"))
        async with linked(known) as link:
            assert await link.publish(f"wattness/1/{A}/ack", b"ack")
        for unsure in (broker.endpoint, known._replace(host="127.0.0.1")):
            link = MqttLink(unsure, seed=1)
            task = asyncio.create_task(link.run())
            while not link.error:
                await asyncio.sleep(0.005)
            assert "certificate verify failed" in link.error
            task.cancel()
            await asyncio.wait([task])
        del link, task
        gc.collect()


async def test_ca_file_without_certificates_is_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ConfigError, match="holds no certificates"):
        MqttLink(Endpoint("h", 8883, "", "", True, str(tmp_path / "ca.pem")))
