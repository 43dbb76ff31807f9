"""The sandboxes' MQTT server: what a client of MQTT 3.1.1 expects of it, and that nothing makes it fall."""

import asyncio
from contextlib import asynccontextmanager

import aiomqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.networks.mqttserver import ACCEPTED, BAD_LOGIN, MqttServer, listening, matches


class Sandbox:
    """Lets one user in, and gives each publication the next fate."""

    def __init__(self, *fates):
        self.fates, self.came = list(fates), []
        self.server = MqttServer(lambda login: ACCEPTED if login.password == "right" else BAD_LOGIN, self.take)

    async def take(self, login, publication):
        self.came.append((login.user, publication))
        return self.fates.pop(0) if self.fates else "puback"


@asynccontextmanager
async def serving(*fates):
    sandbox = Sandbox(*fates)
    async with listening(sandbox.server) as url:
        yield sandbox, int(url.rpartition(":")[2])


def client(port, **options):
    return aiomqtt.Client("127.0.0.1", port, username="user", timeout=0.5, **({"password": "right"} | options))


async def test_a_publication_reaches_its_subscribers():
    async with serving() as (sandbox, port), client(port) as one, client(port) as other:
        await other.subscribe([("a/+/c", 1), ("x/#", 0)])
        for topic in ("a/b/c", "a/b", "x", "x/y/z"):
            await one.publish(topic, topic.encode(), qos=1)
        came = [(await anext(other.messages)).topic.value for _ in range(3)]
        assert came == ["a/b/c", "x", "x/y/z"]
        await other.unsubscribe("x/#")
        await one.publish("x/y", b"", qos=1)
        await one.publish("a/1/c", b"last", qos=0)
        assert (await anext(other.messages)).payload == b"last"
        assert sandbox.came[0][0] == "user"


async def test_what_is_retained_comes_to_later_subscribers():
    async with serving() as (sandbox, port), client(port) as one:
        await one.publish("kept", b"1", qos=1, retain=True)
        await one.publish("kept", b"2", qos=1, retain=True)
        await one.publish("gone", b"3", qos=1)
        async with client(port) as other:
            await other.subscribe("#")
            found = await anext(other.messages)
            assert (found.payload, found.retain) == (b"2", True)
        assert sandbox.server.retained == {"kept": b"2"}


async def test_who_may_not_is_told_so():
    async with serving() as (_, port):
        with pytest.raises(aiomqtt.MqttError, match="Bad user name"):
            async with client(port, password="wrong"):
                pass
        with pytest.raises(aiomqtt.MqttError):
            async with client(port, protocol=aiomqtt.ProtocolVersion.V31):
                pass


@pytest.mark.parametrize("fate", ["silent", "drop"])
async def test_fates(fate):
    async with serving("twice", fate) as (sandbox, port):
        async with client(port) as one:
            await one.publish("a", b"1", qos=1)
            with pytest.raises(aiomqtt.MqttError):
                await one.publish("a", b"2", qos=1)
        assert [publication.payload for _, publication in sandbox.came] == [b"1", b"2"]


async def test_a_long_packet_and_one_too_long():
    async with serving() as (sandbox, port):
        async with client(port) as one:
            await one.publish("a", bytes(200_000), qos=1)
            with pytest.raises(aiomqtt.MqttError):
                await one.publish("a", bytes(300_000), qos=1)
        assert len(sandbox.came) == 1


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_no_bytes_make_it_fall(chunks):
    async def throw():
        async with serving() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for chunk in (b"\x10\x13\x00\x04MQTT\x04\x40\x00\x00\x00\x00\x00\x05right", *chunks):
                writer.write(chunk)
            writer.write_eof()
            assert (await reader.read())[:1] in {b"", b"\x20"}
            writer.close()
            async with client(port) as one:
                await one.publish("still", b"there", qos=1)

    asyncio.run(throw())


@pytest.mark.parametrize(
    ("wanted", "topic", "covers"),
    [("#", "a", 1), ("a/#", "a", 1), ("a/+", "a", 0), ("a/+", "a/b/c", 0), ("+/b", "a/b", 1), ("a", "a/b", 0)],
)
def test_topic_filters(wanted, topic, covers):
    assert matches(wanted, topic) is bool(covers)
