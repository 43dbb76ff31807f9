"""The proxy's connections: units, pipelines, nonsense, rude clients, and the limits that hold them."""

import asyncio
import contextlib
import random
import runpy
import socket
import struct
from pathlib import Path

import pytest

from wattness.devices import Proxy
from wattness.errors import ConfigError
from wattness.proxy import session
from wattness.proxy.server import Proxies, Target

WORLD = runpy.run_path(str(Path(__file__).with_name("proxy_world.py")))
BASE, Inverter, proxied, until = (WORLD[name] for name in ("BASE", "Inverter", "proxied", "until"))
LONG_MS = 600_000


async def rest(reader):
    """Return what still comes before the connection ends, however it ends."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_units():
    async with proxied(Inverter(3), Inverter(7), Inverter(9), units=[7], max_age_ms=0) as house:
        async with house.client() as client:
            for unit in (3, 7, 0, 255):
                answer = await client.read_holding_registers(BASE, count=1, device_id=unit)
                assert (answer.registers, answer.dev_id) == ([BASE], unit)
            answer = await client.read_holding_registers(BASE, count=1, device_id=9)
            assert (answer.exception_code, answer.dev_id) == (10, 9)
        assert len(house.device.requests) == 3


async def test_pipelined_requests_are_answered_in_order():
    async with proxied(max_age_ms=1000) as house, house.raw() as (reader, writer):
        numbers = list(range(60000, 60040))
        frames = [struct.pack(">HHHBBHH", n, 0, 6, 1, 3, BASE + n % 50, 1) for n in numbers]
        writer.write(b"".join(frames))
        for n in numbers:
            assert await reader.readexactly(11) == struct.pack(">HHHBBBH", n, 0, 5, 1, 3, 2, BASE + n % 50)


async def test_requests_in_crumbs_are_taken():
    async with proxied() as house, house.raw() as (reader, writer):
        for byte in struct.pack(">HHHBBHH", 5, 0, 6, 1, 3, BASE, 1):
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0)
        assert await reader.readexactly(11) == struct.pack(">HHHBBBH", 5, 0, 5, 1, 3, 2, BASE)


async def test_good_requests_before_nonsense_are_answered():
    async with proxied() as house, house.raw() as (reader, writer):
        writer.write(struct.pack(">HHHBBHH", 5, 0, 6, 1, 3, BASE, 1) + b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == struct.pack(">HHHBBBH", 5, 0, 5, 1, 3, 2, BASE)
        await until(lambda: house.count("ended", "nonsense"))


@pytest.mark.parametrize("seed", range(3))
async def test_nonsense_harms_nobody(seed):
    chance = random.Random(seed)
    async with proxied(max_age_ms=LONG_MS) as house, house.client() as client:
        for _ in range(60):
            async with house.raw() as (_, writer):
                start = chance.choice((b"", b"\0\1\0\0", b"\0\1\0\0\0\6\1", struct.pack(">HHHB", 1, 0, 9, 1)))
                writer.write(start + chance.randbytes(chance.randrange(1, 300)))
                if chance.random() < 0.3:
                    writer.transport.abort()
        assert (await client.read_holding_registers(BASE, count=1)).registers == [BASE]
        await until(lambda: house.proxy.clients == 1)
        assert house.device.writes == []
        assert house.server.connections == 1


async def test_too_many_clients_are_turned_away():
    async with proxied(clients_max=2) as house, house.client() as one, house.client():
        async with house.raw() as (reader, _):
            assert await reader.read() == b""
        assert (await one.read_holding_registers(BASE, count=1)).registers == [BASE]
        assert house.count("ended", "too_many_clients") == 1


async def test_clients_from_elsewhere_are_turned_away():
    async with proxied(clients=["192.0.2.0/24"]) as house, house.raw() as (reader, _):
        assert await reader.read() == b""
        assert house.count("ended", "client_not_allowed") == 1


@pytest.mark.parametrize(
    ("constant", "sent", "reason"), [("IDLE_S", b"", "idle"), ("UNFINISHED_S", b"\0\1\0\0\0", "unfinished")]
)
async def test_connections_that_say_nothing_end(monkeypatch, constant, sent, reason):
    monkeypatch.setattr(session, constant, 0.05)
    async with proxied() as house, house.raw() as (reader, writer):
        writer.write(sent)
        assert await rest(reader) == b""
        assert house.count("ended", reason) == 1


async def test_a_client_that_takes_no_answers_is_cut_off(monkeypatch):
    monkeypatch.setattr(session, "SLOW_S", 0.1)
    monkeypatch.setattr(session, "RATE_S", 0.0)
    async with proxied(max_age_ms=LONG_MS) as house, house.client() as other:
        await house.meter()
        rude = socket.socket()
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        rude.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(rude, ("127.0.0.1", house.port))
        asks = struct.pack(">HHHBBHH", 5, 0, 6, 1, 3, BASE, 100) * 1000
        sending = asyncio.create_task(loop.sock_sendall(rude, asks * 100))
        await until(lambda: house.count("ended", "slow_reader"))
        assert (await other.read_holding_registers(BASE, count=1)).registers == [BASE]
        with contextlib.suppress(OSError):  # the kernel may have taken all of it
            await sending
        rude.close()


async def test_who_asks_too_often_is_answered_later(monkeypatch):
    monkeypatch.setattr(session, "BURST", 5)
    slept = []
    sleep = asyncio.sleep

    async def noted(delay_s):
        slept.append(delay_s)
        await sleep(0)

    async with proxied(max_age_ms=LONG_MS) as house, house.client() as client:
        await house.meter()
        monkeypatch.setattr(session.asyncio, "sleep", noted)
        for _ in range(30):
            await client.read_holding_registers(BASE, count=1)
        monkeypatch.undo()
        assert slept
        assert max(slept) <= 0.05


async def test_proxies_of_one_device_share_its_turns():
    async with proxied(count=2) as house:
        assert house.proxies.all[0]._share is house.proxies.all[1]._share
        assert house.proxies.all[0].address != house.proxies.all[1].address


async def test_a_port_that_is_taken_is_the_operators():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        async with proxied() as house:
            proxies = Proxies([Proxy("roof", listen)], {"roof": Target(house.line, 1)})
            with pytest.raises(ConfigError, match=listen):
                async with proxies.listen():
                    pass


async def test_clients_are_hung_up_on_when_the_gateway_ends():
    async with proxied() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        await until(lambda: house.proxy.clients)
    assert await rest(reader) == b""
    writer.close()
