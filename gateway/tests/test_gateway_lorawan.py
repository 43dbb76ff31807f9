"""Boards behind LoRaWAN: ChirpStack's events over a real broker, lost, doubled, interleaved and forged uplinks."""

import asyncio
import base64
import json
import random
from contextlib import asynccontextmanager

import aiomqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.author import Author
from wattness.config import Lorawan
from wattness.ingest.lorawan import ASSEMBLIES_MAX, DEVICES_MAX, Assembler, LorawanLink
from wattness.ingest.ways import Ways
from wattness.model import Arrival, Endpoint
from wattwire import cose, link, lora

GATEWAY = bytes(range(32))
START = 1_790_000_100_000
HOUR = 3_600_000
PORT = 87


def topic(device, application="app-1"):
    return f"application/{application}/device/{device}/event/up"


def event(device, uplink, port=PORT):
    """As ChirpStack 4 publishes it, shortened to what varies."""
    return json.dumps(
        {
            "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
            "time": "2026-11-23T05:00:00.000000+00:00",
            "deviceInfo": {
                "tenantId": "52f14cd4-c6f1-4fbd-8f87-4025e1d49242",
                "applicationId": "app-1",
                "deviceName": "cellar",
                "devEui": device,
                "tags": {},
            },
            "devAddr": "00189440",
            "adr": True,
            "dr": 0,
            "fCnt": 4,
            "fPort": port,
            "confirmed": False,
            "data": base64.b64encode(uplink).decode(),
            "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -48, "snr": 9.0}],
        }
    ).encode()


@pytest.fixture
def author():
    author = Author(1, GATEWAY, START)
    author.streams(START + 1)
    for hour in range(1, 6):
        author.rows(START + hour * HOUR)
    return author


def uplinks(author):
    return [lora.split(raw, seq) for seq, raw in enumerate(author.frames, 1)]


def take_all(assembler, device, parts):
    found = (assembler.take(topic(device), event(device, part)) for part in parts)
    return [arrival.raw for arrival in found if arrival is not None]


def test_frames_arrive_through_loss_and_disorder(author):
    assembler, source = Assembler(PORT), random.Random(1)
    for raw, parts in zip(author.frames, uplinks(author), strict=True):
        lost = parts.pop(source.randrange(len(parts)))
        source.shuffle(parts)
        assert take_all(assembler, "0102030405060708", parts) == [raw]
        assert lost
    assert assembler.counts["frames"] == len(author.frames)
    assert assembler.counts["repaired"] > 0
    assert assembler.devices == {author.kid: ("app-1", "0102030405060708")}


def test_the_whole_of_a_frame_comes_once_and_a_rest_harms_nothing(author):
    assembler = Assembler(PORT)
    for raw, parts in zip(author.frames, uplinks(author), strict=True):
        assert take_all(assembler, "0102030405060708", [*parts, parts[0]]) == [raw]


def test_devices_do_not_mix(author):
    other = Author(2, GATEWAY, START)
    other.streams(START + 1)
    assembler = Assembler(PORT)
    first, second = uplinks(author)[0], uplinks(other)[0]
    found = []
    for a, b in zip(first, second, strict=False):
        found += take_all(assembler, "aa" * 8, [a]) + take_all(assembler, "bb" * 8, [b])
    found += take_all(assembler, "aa" * 8, first[len(second) :]) + take_all(assembler, "bb" * 8, second[len(first) :])
    assert set(found) == {author.frames[0], other.frames[0]}


def test_memory_is_bounded(author):
    assembler = Assembler(PORT)
    part = uplinks(author)[1][0]
    for number in range(3 * ASSEMBLIES_MAX):
        take_all(assembler, "aa" * 8, [part[:1] + number.to_bytes(2, "big") + part[3:]])
    for device in range(DEVICES_MAX + 50):
        take_all(assembler, f"{device:016x}", [part])
    assert len(assembler._assemblies) == DEVICES_MAX
    assert assembler.counts["incomplete"] >= 2 * ASSEMBLIES_MAX + 50


@given(st.binary(max_size=200), st.text(max_size=60))
def test_nonsense_is_counted_and_harms_nothing(payload, where):
    assembler = Assembler(PORT)
    assert assembler.take(where, payload) is None
    assert assembler.take(topic("aa" * 8), payload) is None
    assert assembler.take(topic("aa" * 8), event("aa" * 8, payload[:51])) is None or len(payload) > 70
    assert assembler.take(topic("aa" * 8), event("bb" * 8, payload)) is None
    assert assembler.take(topic("aa" * 8), event("aa" * 8, payload, port=1)) is None
    assert assembler.counts["bad_event"] >= 3
    assert assembler.counts["other_port"] == 1


@asynccontextmanager
async def linked(broker, offer, **settings):
    host, port, user, password, *_ = broker.endpoint
    chirpstack = LorawanLink(Endpoint(host, port, user, password), Lorawan(url="mqtt://x", **settings), offer)
    task = asyncio.create_task(chirpstack.run())
    try:
        async with asyncio.timeout(20):
            while not chirpstack.connected:
                await asyncio.sleep(0.005)
        yield chirpstack
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
async def broker(mosquitto):
    async with mosquitto() as broker:
        (broker.folder / "acl").write_text("user gateway\ntopic readwrite #\n")
        await broker.kill_and_restart()
        yield broker


async def test_events_become_frames_and_acknowledgements_become_rare_downlinks(broker, author):
    arrivals = asyncio.Queue()
    host, port, user, password, *_ = broker.endpoint
    device = "0102030405060708"
    async with (
        linked(broker, arrivals.put_nowait, ack_every_s=3600) as chirpstack,
        aiomqtt.Client(host, port, username=user, password=password, timeout=5) as server,
    ):
        await server.subscribe(f"application/app-1/device/{device}/command/down", qos=1)
        for parts in uplinks(author):
            for part in parts:
                await server.publish(topic(device), event(device, part), qos=1)
        for raw in author.frames:
            assert await asyncio.wait_for(arrivals.get(), 20) == Arrival(author.kid, raw)
        ways = Ways(None)
        ways.slow = chirpstack
        where = link.topic(author.kid, "ack")
        sealed = link.seal(bytes(32), where, link.encode_ack(1, 6, START))
        assert await ways.publish(where, sealed)
        assert not await ways.publish(where, sealed)  # one in an hour
        assert not await ways.publish(link.topic(author.kid, "cmd"), sealed)
        message = await asyncio.wait_for(anext(server.messages), 20)
    command = json.loads(message.payload)
    assert (command["devEui"], command["fPort"], command["confirmed"]) == (device, PORT, False)
    body = link.open(bytes(32), where, base64.b64decode(command["data"]))
    assert link.decode_ack(body) == (1, 6, START)
    assert len(base64.b64decode(command["data"])) <= 51


async def test_the_broker_may_die_and_return(broker, author):
    arrivals = asyncio.Queue()
    async with linked(broker, arrivals.put_nowait, application="app-1") as chirpstack:
        await broker.stop()
        async with asyncio.timeout(20):
            while chirpstack.connected:
                await asyncio.sleep(0.01)
            await broker.start()
            while not chirpstack.connected:
                await asyncio.sleep(0.01)
        host, port, user, password, *_ = broker.endpoint
        async with aiomqtt.Client(host, port, username=user, password=password, timeout=5) as server:
            for part in uplinks(author)[0]:
                await server.publish(topic("aa" * 8, "app-2"), event("aa" * 8, part), qos=1)
                await server.publish(topic("bb" * 8), event("bb" * 8, part), qos=1)
            assert (await asyncio.wait_for(arrivals.get(), 20)).raw == author.frames[0]
    assert chirpstack.counts["frames"] == 1
    assert cose.parse(author.frames[0])[0] == author.kid
