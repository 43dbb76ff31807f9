"""The boards' broker: who may do what, and what happens when it or the gateway dies."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from contextlib import asynccontextmanager

import aiomqtt
import psutil
import pytest

from wattness.broker import Broker
from wattness.config import Config, Mqtt
from wattness.endpoints import remote
from wattness.errors import ConfigError
from wattness.model import Login

A, B = "aa" * 8, "bb" * 8


def client(broker, user, **options):
    passwords = {A: "password of a", B: "password of b", "gateway": broker.endpoint.password}
    options = {"password": passwords.get(user, "")} | options
    return aiomqtt.Client(broker.endpoint.host, broker.endpoint.port, username=user, timeout=5, **options)


@asynccontextmanager
async def listening(broker, *topics):
    """What the gateway's login receives."""
    got: asyncio.Queue = asyncio.Queue()

    async def collect(connection):
        async for message in connection.messages:
            got.put_nowait((message.topic.value, message.payload))

    async with client(broker, "gateway") as connection:
        await connection.subscribe([(topic, 1) for topic in topics])
        task = asyncio.create_task(collect(connection))
        try:
            yield connection, got
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_board_cannot_publish_as_another(any_broker):
    async with listening(any_broker, "wattness/1/+/frame") as (_, got), client(any_broker, A) as board:
        await board.publish(f"wattness/1/{B}/frame", b"forged", qos=1)
        await board.publish(f"wattness/1/{A}/ack", b"own ack", qos=1)
        await board.publish(f"wattness/1/{A}/frame", b"own", qos=1)
        assert await got.get() == (f"wattness/1/{A}/frame", b"own")
        assert got.empty()


async def test_board_hears_only_its_own_acks(any_broker):
    async with listening(any_broker, "wattness/1/+/state") as (gateway, _), client(any_broker, A) as board:
        for topic in (f"wattness/1/{B}/ack", "wattness/1/+/ack", "#", "$MQTT/sub/#", f"wattness/1/{A}/ack"):
            await board.subscribe(topic, qos=1)
        for kid in (B, A):
            for qos in (0, 1):
                await gateway.publish(f"wattness/1/{kid}/ack", kid.encode() + b"%d" % qos, qos=qos)
        heard = set()
        async for message in board.messages:
            heard.add(message.payload)
            if len(heard) == 2:
                break
        assert heard == {A.encode() + b"0", A.encode() + b"1"}


async def test_last_will_and_retained_state(any_broker):
    will = aiomqtt.Will(f"wattness/1/{A}/state", b"offline", qos=1, retain=True)
    async with listening(any_broker, "wattness/1/+/state") as (_, got), client(any_broker, A, will=will) as board:
        await board.publish(f"wattness/1/{A}/state", b"online", qos=1, retain=True)
        assert await got.get() == (f"wattness/1/{A}/state", b"online")
        board._client._sock_close()  # the power goes
        assert await got.get() == (f"wattness/1/{A}/state", b"offline")
    async with listening(any_broker, "wattness/1/+/state") as (_, got):
        assert await got.get() == (f"wattness/1/{A}/state", b"offline")


@pytest.mark.parametrize("user", [A, "gateway", "nobody", ""])
async def test_wrong_password_is_refused(any_broker, user):
    with pytest.raises(aiomqtt.MqttError):
        async with client(any_broker, user, password="wrong"):
            pass


async def test_last_will_cannot_speak_for_another_board(nats):
    will = aiomqtt.Will(f"wattness/1/{B}/state", b"offline", qos=1, retain=True)
    async with listening(nats, "wattness/1/+/state") as (_, got):
        async with client(nats, A, will=will) as board:
            board._client._sock_close()
        async with client(nats, B) as board:
            await board.publish(f"wattness/1/{B}/state", b"online", qos=1)
        assert await got.get() == (f"wattness/1/{B}/state", b"online")


async def test_enrolled_board_gets_in_and_removed_one_is_cut_off(nats):
    async with client(nats, A) as stays, client(nats, B) as goes:
        nats.admit([Login(A, "password of a"), Login("cc" * 8, "password of c")])
        with pytest.raises(aiomqtt.MqttError):
            async for _ in goes.messages:
                pass
        async with client(nats, "cc" * 8, password="password of c"):
            await stays.publish(f"wattness/1/{A}/frame", b"still here", qos=1)
        with pytest.raises(aiomqtt.MqttError):
            async with client(nats, B):
                pass


async def test_secrets_are_the_owners_alone(nats):
    for name in ("nats.conf", "password"):
        assert stat.S_IMODE((nats.folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(nats.folder.stat().st_mode) == 0o700


async def test_no_process_is_left_behind(tmp_path, port):
    async with Broker(tmp_path / "broker", f"127.0.0.1:{port}", []) as broker:
        pid = broker.pid
    assert not psutil.pid_exists(pid)


async def test_port_in_use_is_one_sentence(tmp_path, nats):
    with pytest.raises(
        ConfigError, match=r"cannot be opened for the boards \(Address already in use\): .*mqtt\.listen"
    ):
        async with Broker(tmp_path / "second", f"127.0.0.1:{nats.endpoint.port}", []):
            pass


GATEWAY = """
import asyncio, sys
from pathlib import Path
from wattness.broker import Broker

async def main():
    async with Broker(Path(sys.argv[1]), sys.argv[2], []) as broker:
        print(broker.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def gateway(tmp_path, port):
    """A process that runs a broker; gives its and the broker's process id."""
    command = [sys.executable, "-c", GATEWAY, str(tmp_path / "broker"), f"127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        yield process, int(process.stdout.readline())
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_broker_ends_with_a_killed_gateway(gateway):
    process, pid = gateway
    broker = psutil.Process(pid)
    process.kill()
    psutil.wait_procs([broker], timeout=30)
    assert not broker.is_running()


async def test_broker_that_outlived_its_gateway_is_evicted(gateway, tmp_path, port):
    process, pid = gateway
    os.kill(process.pid, signal.SIGSTOP)  # holds on to its broker, yet does nothing about it
    os.kill(pid, signal.SIGSTOP)  # deaf to SIGTERM
    orphan = psutil.Process(pid)
    async with Broker(tmp_path / "broker", f"127.0.0.1:{port}", []) as broker:
        assert broker.pid != pid
        assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


async def test_broken_store_is_made_anew(nats):
    (nats.folder / "store").rename(nats.folder / "away")
    (nats.folder / "store").write_text("not a store")
    os.kill(nats.pid, signal.SIGKILL)
    while not nats.restarts:
        await asyncio.sleep(0.01)
    async with client(nats, A) as board:
        await board.publish(f"wattness/1/{A}/frame", b"again", qos=1)


def external(tmp_path, **mqtt):
    config = Config(mqtt=Mqtt(**mqtt), home=str(tmp_path))
    return remote(config, config.mqtt, "$.mqtt")


def test_external_broker_by_url(tmp_path):
    secret = tmp_path / "mqtt.password"
    secret.write_text("hush\n")
    secret.chmod(0o600)
    endpoint = external(tmp_path, url="mqtts://wa%40tt@broker.home", password_file="mqtt.password")
    assert endpoint == ("broker.home", 8883, "wa@tt", "hush", True, "")
    secret.chmod(0o640)
    with pytest.raises(ConfigError, match="readable by others: run `chmod 600"):
        external(tmp_path, url="mqtt://broker.home", password_file="mqtt.password")


@pytest.mark.parametrize("url", ["mqtt://", "mqtt://host:nine", "mqtt://u:p@host", "mqtt://host:99999"])
def test_bad_url_is_refused(tmp_path, url):
    with pytest.raises(ConfigError, match=r"\$\.mqtt\.url"):
        external(tmp_path, url=url)
