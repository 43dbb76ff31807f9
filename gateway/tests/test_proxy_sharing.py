"""What many clients ask of a device that takes one connection: cached, merged, asked once; writes sent once."""

import asyncio
import contextlib
import runpy
import time
from pathlib import Path

from wattness.proxy import share

WORLD = runpy.run_path(str(Path(__file__).with_name("proxy_world.py")))
BASE, METERED, proxied, until = (WORLD[name] for name in ("BASE", "METERED", "proxied", "until"))
ALLOWED = [{"client": "127.0.0.1", "first": BASE + 10, "last": BASE + 19}]
LONG_MS = 600_000


async def test_what_metering_has_read_answers_many_clients():
    async with proxied(max_age_ms=LONG_MS) as house:
        await house.meter()
        async with house.client() as one, house.client() as other:
            for client in (one, other, one):
                answer = await client.read_holding_registers(BASE + 5, count=3)
                assert answer.registers == [BASE + 5, BASE + 6, BASE + 7]
            assert house.proxy.clients == 2
        assert house.device.requests == [METERED]
        assert (house.server.connections, house.server.hung_up) == (1, 0)
        assert house.proxy.counts == {("answered", "cache"): 3}
        await until(lambda: house.proxy.clients == 0)


async def test_what_is_too_old_is_read_anew():
    async with proxied(max_age_ms=2000) as house, house.client() as client:
        for age_s, asked in ((1.0, 0), (60.0, 1)):
            house.device.requests.clear()
            house.line.recent.forget(1)
            house.line.recent.keep(1, METERED, bytes(200), time.monotonic() - age_s)
            answer = await client.read_holding_registers(BASE + 1, count=1)
            assert answer.registers == [BASE + 1 if asked else 0]
            assert len(house.device.requests) == asked


async def test_without_an_age_everything_is_asked():
    async with proxied(max_age_ms=0) as house, house.client() as client:
        await house.meter()
        for _ in range(2):
            assert (await client.read_holding_registers(BASE, count=1)).registers == [BASE]
        assert house.device.requests == [METERED, (3, BASE, 1), (3, BASE, 1)]
        assert house.count("answered", "device") == 2


async def test_same_questions_at_once_are_one():
    async with proxied(max_age_ms=1000) as house, house.client() as one, house.client() as two, house.client() as three:
        house.device.open.clear()
        reads = [
            asyncio.create_task(client.read_holding_registers(BASE + at, count=count))
            for client, at, count in ((one, 0, 10), (two, 0, 10), (three, 4, 3))
        ]
        await until(lambda: house.device.requests)
        await asyncio.sleep(0.02)
        house.device.open.set()
        found = [(await read).registers for read in reads]
        assert found == [list(range(BASE, BASE + 10)), list(range(BASE, BASE + 10)), [BASE + 4, BASE + 5, BASE + 6]]
        assert house.device.requests == [(3, BASE, 10)]
        assert house.count("answered", "merged") == 2


async def merge(house, *spans):
    """Let clients ask while the line is busy; gives what each was answered."""
    async with house.line.turn:
        house.device.requests.clear()
        clients = [house.client() for _ in spans]
        opened = [await client.__aenter__() for client in clients]
        reads = [
            asyncio.create_task(client.read_holding_registers(BASE + at, count=count))
            for client, (at, count) in zip(opened, spans, strict=True)
        ]
        await until(lambda: len(house.proxy._share._waiting) == len(spans))
    answers = [await read for read in reads]
    for client in clients:
        await client.__aexit__(None, None, None)
    return [None if answer.isError() else [each - BASE for each in answer.registers] for answer in answers]


async def test_reads_that_touch_are_merged():
    async with proxied(max_age_ms=1000) as house:
        assert await merge(house, (0, 4), (4, 4), (2, 3), (20, 2)) == [
            [0, 1, 2, 3], [4, 5, 6, 7], [2, 3, 4], [20, 21],
        ]  # fmt: skip
        assert house.device.requests == [(3, BASE, 8), (3, BASE + 20, 2)]


async def test_a_device_that_minds_merged_reads_gets_none():
    async with proxied(max_age_ms=1000) as house:
        house.device.most = 5
        assert await merge(house, (0, 4), (4, 4)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
        assert house.device.requests == [(3, BASE, 8), (3, BASE, 4), (3, BASE + 4, 4)]
        house.line.recent.forget(1)
        assert await merge(house, (0, 4), (4, 4)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
        assert house.device.requests == [(3, BASE, 4), (3, BASE + 4, 4)]


async def test_metering_has_its_turn_behind_one_exchange():
    async with proxied(max_age_ms=0) as house, house.client() as one, house.client() as two, house.client() as three:
        house.device.open.clear()
        reads = [
            asyncio.create_task(client.read_holding_registers(BASE + 120 + 3 * at, count=1))
            for at, client in enumerate((one, two, three))
        ]
        await until(lambda: house.device.requests)
        metering = asyncio.create_task(house.meter())
        await asyncio.sleep(0.01)
        house.device.open.set()
        await metering
        await asyncio.gather(*reads)
        assert house.device.requests.index(METERED) == 1
        assert len(house.device.requests) == 4


async def test_writes_are_off():
    async with proxied() as house, house.client() as client:
        for answer in (
            await client.write_register(BASE, 1),
            await client.write_registers(BASE, [1, 2]),
            await client.write_coil(1, True),
            await client.mask_write_register(address=BASE, and_mask=0, or_mask=1),
            await client.readwrite_registers(read_address=BASE, read_count=1, write_address=BASE, values=[1]),
        ):
            assert answer.exception_code == 1
        assert house.device.writes == house.device.requests == []
        assert house.count("declined", "write_not_allowed") == 5


async def test_allowed_writes_are_sent_once_and_what_was_read_is_forgotten():
    async with proxied(allow=ALLOWED, max_age_ms=LONG_MS) as house, house.client() as client:
        await house.meter()
        assert (await client.read_holding_registers(BASE + 10, count=1)).registers == [BASE + 10]
        assert not (await client.write_registers(BASE + 10, [7, 8])).isError()
        assert (await client.read_holding_registers(BASE + 10, count=2)).registers == [7, 8]
        assert (await client.write_registers(BASE + 19, [7, 8])).exception_code == 2
        assert house.device.writes == [(16, BASE + 10, [7, 8])]
        assert (house.count("answered", "write"), house.count("declined", "register_not_allowed")) == (1, 1)


async def test_a_write_without_an_answer_is_not_sent_again():
    async with proxied(allow=ALLOWED) as house, house.client(timeout_s=10) as client:
        house.line._wait_s = lambda *_: 0.2
        house.device.open.clear()
        assert (await client.write_register(BASE + 10, 1)).exception_code == 11
        assert house.count("declined", "silent") == 1
        assert (await client.write_register(BASE + 10, 2)).exception_code == 11  # at once: the device rests
        assert house.count("declined", "away") == 1
        assert len(house.device.writes) == 1


async def test_a_write_whose_client_has_gone_is_not_sent():
    async with proxied(allow=ALLOWED) as house:
        async with house.line.turn:
            async with house.client() as client:
                write = asyncio.create_task(client.write_register(BASE + 10, 1))
                await until(lambda: house.proxy._share._waiting)
                write.cancel()
            await until(lambda: house.proxy.clients == 0)
        async with house.client() as client:
            assert (await client.read_holding_registers(BASE, count=1)).registers == [BASE]
        assert house.device.writes == []
        assert house.count("declined", "abandoned") == 1


async def test_a_write_that_was_sent_is_finished_without_its_client():
    async with proxied(allow=ALLOWED) as house:
        house.device.open.clear()
        async with house.client() as client:
            write = asyncio.create_task(client.write_register(BASE + 10, 1))
            await until(lambda: house.device.writes)
            write.cancel()
        await until(lambda: house.proxy.clients == 0)
        house.device.open.set()
        async with house.client() as client:
            assert (await client.read_holding_registers(BASE + 10, count=1)).registers == [1]
        assert (len(house.device.writes), house.server.connections) == (1, 1)


async def test_what_waited_too_long_is_not_done(monkeypatch):
    monkeypatch.setattr(share, "WAIT_S", 0.05)
    async with proxied(allow=ALLOWED) as house, house.client() as client:
        async with house.line.turn:
            write = asyncio.create_task(client.write_register(BASE + 10, 1))
            await asyncio.sleep(0.1)
        assert (await write).exception_code == 6
        assert house.device.writes == []
        assert house.count("declined", "waited_too_long") == 1


async def test_who_comes_to_a_full_queue_is_told(monkeypatch):
    monkeypatch.setattr(share, "WAITING_MAX", 1)
    async with proxied(max_age_ms=0) as house, house.client() as one, house.client() as two:
        async with house.line.turn:
            first = asyncio.create_task(one.read_holding_registers(BASE, count=1))
            await until(lambda: house.proxy._share._waiting)
            assert (await two.read_holding_registers(BASE, count=1)).exception_code == 6
        assert (await first).registers == [BASE]
        assert house.count("declined", "too_many_waiting") == 1


async def test_a_device_that_is_away_is_said_to_be():
    async with proxied(max_age_ms=0) as house, house.client() as client:
        await house.server.shutdown()
        assert (await client.read_holding_registers(BASE, count=1)).exception_code == 11
        assert (await client.read_holding_registers(BASE, count=1)).exception_code == 11
        assert (house.count("declined", "silent"), house.count("declined", "away")) == (1, 1)


async def test_rubbish_from_the_device_is_no_answer_and_is_not_asked_for_again_at_once():
    async def rubbish(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readexactly(12)
                writer.write(head[:4] + bytes((0, 7, head[6], head[7], 4, 1, 2, 3, 4)))
        writer.close()

    server = await asyncio.start_server(rubbish, "127.0.0.1", 0)
    async with server, proxied(max_age_ms=0) as house, house.client() as client:
        house.line.address = house.line.address._replace(port=server.sockets[0].getsockname()[1])
        for at, reason in ((0, "garbled"), (0, "away"), (1, "garbled")):
            before = house.count("declined", reason)
            assert (await client.read_holding_registers(BASE + at, count=1)).exception_code == 11
            assert house.count("declined", reason) == before + 1


async def test_a_fault_of_ours_ends_nothing():
    async with proxied(max_age_ms=0) as house, house.client() as client:
        house.line.read_now = None
        assert (await client.read_holding_registers(BASE, count=1)).exception_code == 4
        del house.line.read_now
        assert (await client.read_holding_registers(BASE, count=1)).registers == [BASE]


async def test_it_ends_even_if_a_library_swallows_that():
    async with proxied(max_age_ms=0) as house, house.client() as client:
        entered = asyncio.Event()

        async def swallowing(*_):
            entered.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return bytes(2)

        house.line.read_now = swallowing
        read = asyncio.create_task(client.read_holding_registers(BASE, count=1))
        await entered.wait()
        asking = next(task for task in asyncio.all_tasks() if task.get_name() == "proxy-share")
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        await read


async def test_what_is_never_metered_is_asked_once_for_all():
    async with proxied(max_age_ms=1000) as house, house.client() as one, house.client() as two:
        async with house.line.turn:
            reads = [asyncio.create_task(client.read_coils(BASE, count=3)) for client in (one, two)]
            await until(lambda: len(house.proxy._share._waiting) == 2)
        answers = [await read for read in reads]
        assert answers[0].bits == answers[1].bits
        assert (house.line.exchanges, house.count("answered", "merged")) == (1, 1)


async def test_a_slow_device_delays_but_loses_nothing():
    async with proxied(max_age_ms=0) as house, house.client() as one, house.client() as two:
        house.device.open.clear()
        reads = [asyncio.create_task(client.read_holding_registers(BASE + 9, count=1)) for client in (one, two)]
        await asyncio.sleep(0.3)
        house.device.open.set()
        assert [(await read).registers for read in reads] == [[BASE + 9]] * 2


async def test_the_devices_own_refusals_are_passed_on():
    async with proxied(max_age_ms=0) as house, house.client() as client:
        assert (await client.read_holding_registers(1, count=1)).exception_code == 2
        house.device.most = 1
        assert (await client.read_holding_registers(BASE, count=2)).exception_code == 3
        assert house.count("declined", "illegal_data_address") == house.count("declined", "illegal_data_value") == 1
