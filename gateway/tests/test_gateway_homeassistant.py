"""Home Assistant: what it is told, over real brokers, in the form that its discovery and Energy dashboard take."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiomqtt
import pytest

from emulator.author import Author, verified
from wattness.broker import Broker, home_login
from wattness.clock import Clock
from wattness.config import NetworkConfig
from wattness.homeassistant import bridge as module
from wattness.homeassistant.bridge import Bridge, Facts
from wattness.homeassistant.entities import Topics, describe_stream, stream_name, title
from wattness.store.reader import Reader
from wattness.store.registry import open_registry
from wattness.store.sqlite import Settings, open_store
from wattness.store.views import PointView, StreamView

GATEWAY = bytes(range(32))
START = 1_790_000_100_000
MINUTE = 60_000
TOPICS = Topics("homeassistant", GATEWAY.hex())


class Clocks(Clock):
    """A clock that stands where the test puts it."""

    now = START + 10 * MINUTE

    def now_ms(self):
        return Clocks.now


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(module, "PERIOD_S", 0.05)
    monkeypatch.setattr(module, "GATHER_S", 0.1)
    monkeypatch.setattr(module, "BACKOFF_S", (0.05,))
    monkeypatch.setattr(Clocks, "now", START + 10 * MINUTE)


@pytest.fixture
def author():
    author = Author(1, GATEWAY, START)
    author.streams(START + 1)
    author.health(START + 2, rssi_dbm=-61, polls=12)
    for minute in range(1, 4):
        author.rows(START + minute * MINUTE)
    return author


@pytest.fixture
async def store(tmp_path, author):
    with open_registry(tmp_path / "wattness.db") as registry:
        registry.enrol(author.public_key, "roof")
    async with open_store(tmp_path / "wattness.db", Settings(GATEWAY, clock=Clocks(), window_ms=1)) as store:
        await store.put([verified(1, raw) for raw in author.frames])
        yield store


def facts(store):
    networks = [NetworkConfig(name="test net", kind="wattnet", url="http://127.0.0.1:9")]
    return Facts(store, Clocks(), "9.9", GATEWAY.hex(), networks, {"wattnet": "points"})


@asynccontextmanager
async def bridged(endpoint, store):
    bridge = Bridge(endpoint, "homeassistant", facts(store))
    task = asyncio.create_task(bridge.run())
    try:
        yield bridge
    finally:
        task.cancel()
        await asyncio.wait([task])


class Home:
    """What Home Assistant's client sees."""

    def __init__(self, client):
        self.client, self.held, self.seen = client, {}, []
        self.task = asyncio.create_task(self.listen())

    async def listen(self):
        async for message in self.client.messages:
            self.held[message.topic.value] = message.payload
            self.seen.append(message.topic.value)

    async def until(self, topic, accept=bool):
        async with asyncio.timeout(20):
            while not accept(self.held.get(topic)):
                await asyncio.sleep(0.01)
        return self.held[topic]


@asynccontextmanager
async def at_home(endpoint, **login):
    options = {"username": endpoint.user, "password": endpoint.password} | login
    async with aiomqtt.Client(endpoint.host, endpoint.port, timeout=5, **options) as client:
        await client.subscribe("homeassistant/#", qos=1)
        await client.subscribe("wattness/home/#", qos=1)
        home = Home(client)
        try:
            yield home
        finally:
            home.task.cancel()
            await asyncio.wait([home.task])


@pytest.fixture
async def name(store):
    return stream_name((await store.read(Reader.streams))[0])


@pytest.fixture
async def own(tmp_path, port):
    """Our own broker, with Home Assistant's login."""
    async with Broker(tmp_path / "broker", f"127.0.0.1:{port}", [], "homeassistant") as broker:
        yield broker


async def test_streams_boards_and_gateway_appear_with_their_values(own, store, author, name):
    async with at_home(own.endpoint) as home, bridged(own.endpoint, store):
        config = json.loads(await home.until(TOPICS.config(name)))
        power = config["components"]["power"]
        assert (power["device_class"], power["state_class"], power["unit_of_measurement"]) == (
            "power",
            "measurement",
            "W",
        )
        energy = config["components"]["energy_export"]
        assert (energy["device_class"], energy["state_class"], energy["name"]) == (
            "energy",
            "total_increasing",
            "Energy generated",
        )
        assert config["state_topic"] == TOPICS.state(name)
        state = json.loads(await home.until(TOPICS.state(name)))
        newest = await store.read(lambda reader: reader.newest_row(1))
        assert state == newest[1]
        board = json.loads(await home.until(TOPICS.state(f"b{author.kid.hex()}")))
        assert (board["log_head"], board["missing"], board["rssi_dbm"]) == (5, 0, -61)
        gateway = json.loads(await home.until(TOPICS.state("gateway")))
        assert gateway == {"paid_test net": 0, "waiting_test net": 0}
        assert await home.until(TOPICS.status) == b"online"
        assert await home.until(TOPICS.available(name)) == b"online"
    assert config["device"]["via_device"] == TOPICS.object_id(f"b{author.kid.hex()}")


async def test_a_silent_stream_and_a_stopped_gateway_are_unavailable(own, store, name):
    async with at_home(own.endpoint) as home:
        async with bridged(own.endpoint, store):
            await home.until(TOPICS.available(name), lambda held: held == b"online")
            Clocks.now = START + 60 * MINUTE
            await home.until(TOPICS.available(name), lambda held: held == b"offline")
        assert await home.until(TOPICS.status, lambda held: held == b"offline")


async def test_a_restarted_home_assistant_is_told_everything_again(own, store, name):
    topic = TOPICS.state(name)
    async with at_home(own.endpoint) as home, bridged(own.endpoint, store):
        await home.until(topic)
        home.held.clear()
        await home.client.publish("homeassistant/status", b"online")
        await home.until(topic)
        await home.until(TOPICS.config(name))


async def test_what_is_gone_is_taken_back(own, store, name):
    old = TOPICS.config("s00_0")
    foreign = "homeassistant/device/somebody_else/config"
    async with at_home(own.endpoint) as home:
        for topic in (old, foreign):
            await home.client.publish(topic, b"{}", qos=1, retain=True)
        await home.until(foreign)
        async with bridged(own.endpoint, store):
            await home.until(old, lambda held: held == b"")
            await home.until(TOPICS.config(name))
        assert home.held[foreign] == b"{}"


async def test_an_end_is_heeded_when_the_connection_cannot_be_left(own, store, monkeypatch):
    """An error of the dying connection takes the place of the cancellation, and must not make the bridge go on."""
    leave = aiomqtt.Client.__aexit__

    async def fail(client, *error):
        await leave(client, *error)
        raise aiomqtt.MqttError("the broker went at the same time")

    monkeypatch.setattr(aiomqtt.Client, "__aexit__", fail)
    bridge = Bridge(own.endpoint, "homeassistant", facts(store))
    task = asyncio.create_task(bridge.run())
    while not bridge.connected:
        await asyncio.sleep(0.01)
    task.cancel()
    _, running = await asyncio.wait([task], timeout=10)
    assert not running


async def test_the_homes_own_broker_may_die_and_return(mosquitto, store, name):
    async with mosquitto() as broker:
        (broker.folder / "acl").write_text("user gateway\ntopic readwrite #\n")
        await broker.kill_and_restart()
        async with bridged(broker.endpoint, store) as bridge:
            async with at_home(broker.endpoint) as home:
                await home.until(TOPICS.config(name))
            await broker.stop()
            while bridge.connected:
                await asyncio.sleep(0.01)
            await broker.start()
            async with at_home(broker.endpoint) as home:
                await home.until(TOPICS.config(name))


async def test_home_assistants_login_sees_the_home_and_nothing_else(own, tmp_path, store, name):
    user, password = home_login(tmp_path / "broker")
    async with bridged(own.endpoint, store):
        async with at_home(own.endpoint, username=user, password=password) as home:
            await home.until(TOPICS.config(name))
            await home.client.publish("homeassistant/status", b"online")
        async with aiomqtt.Client(
            own.endpoint.host, own.endpoint.port, username=user, password=password, timeout=5
        ) as client:
            granted = await client.subscribe("wattness/1/+/frame", qos=1)
            assert [code.value if hasattr(code, "value") else code for code in granted] == [128]


def test_points_have_names_that_people_know():
    assert title("grid", "energy_import") == "Energy from the grid"
    assert title("load", "energy_import_l2") == "Energy consumed L2"
    assert title("grid", "power_l1") == "Power L1"
    assert title("battery", "soc") == "State of charge"


def test_every_unit_and_name_of_the_wire_has_an_entity():
    points = {
        "power": "W", "apparent_power": "VA", "reactive_power": "var", "power_factor": "1", "energy_import": "Wh",
        "energy_export": "Wh", "voltage": "V", "current": "A", "frequency": "Hz", "temperature": "Cel", "soc": "%",
        "soh": "%", "speed": "km/h", "odometer": "km", "range": "km", "charging": "1", "plugged": "1", "state": "1",
    }  # fmt: skip
    stream = StreamView(
        1, 1, "car", "ab" * 32, "0", "vehicle", "x", 1, None, [PointView(n, u, 0) for n, u in points.items()], 0, 0, 0
    )
    components = describe_stream(TOPICS, stream, "1").config["components"]
    assert set(components) == set(points)
    assert components["soc"]["device_class"] == "battery"
    assert components["charging"]["platform"] == "binary_sensor"
    assert components["odometer"]["state_class"] == "total_increasing"
    for entity in components.values():
        assert entity["unique_id"].startswith("wattness_")
