"""Answers from the proxy's cache against direct reads of the same registers, in turns; and metering beside a crowd."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from wattness.devices import Address, Proxy
from wattness.modbus.line import Line
from wattness.proxy.server import Proxies, Target
from wattwire.plan import Read

BASE, COUNT = 40000, 100
METERED = Read(3, BASE, COUNT)
WANTED_MS = 5.0
CROWD = 20
PAUSE_S = 0.003  # between a client's questions, as it has other things to do
THINKING_S = 0.02  # of a device, while the crowd asks for what is not in the cache


class House(NamedTuple):
    """A device, its line, and a proxy before it."""

    line: Line
    direct: int  # the device's port
    shared: int  # the proxy's
    fresh: int  # that of one that takes nothing from the cache
    think: Callable[[float], None]


async def measure(*, quick: bool) -> dict[str, object]:
    """Return the ms of answers, and how much longer metering takes beside a crowd that the cache cannot serve."""
    rounds, reads = (3, 50) if quick else (10, 200)
    async with _house() as house:
        times: dict[str, list[float]] = {"direct": [], "cache": []}
        for _ in range(rounds):
            await house.line.read(1, METERED)
            times["direct"] += await _ask(house.direct, reads)
            times["cache"] += await _ask(house.shared, reads)
        house.think(THINKING_S)
        alone = await _metering(house, rounds)
        async with _crowd(house):
            beside = await _metering(house, rounds)
    found = {name: _figures(each) for name, each in times.items()}
    return {
        "ms": found,
        "ratio_to_direct_p50": round(found["cache"]["p50"] / found["direct"]["p50"], 2),
        "wanted_ms": WANTED_MS,
        "metering_ms": {"alone": round(alone, 1), f"beside_{CROWD}_clients": round(beside, 1)},
        "metering_ratio": round(beside / alone, 2),
        "wanted_metering_ratio": 2.5,  # one exchange of theirs before each of its own, and the loop they share
    }


async def _ask(port: int, reads: int) -> list[float]:
    """Return the seconds of each answer."""
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=5, retries=0)
    if not await client.connect():
        raise ConnectionError(port)
    times = []
    for at in range(reads):
        began_s = time.perf_counter()
        answer = await client.read_holding_registers(BASE + at % 50, count=10)
        times.append(time.perf_counter() - began_s)
        if answer.isError() or answer.registers[0] != (BASE + at % 50) & 0xFFFF:
            raise ValueError(answer)
        await asyncio.sleep(PAUSE_S)
    client.close()
    return times


async def _metering(house: House, reads: int) -> float:
    """Return the median ms of metering's reads."""
    times = []
    for _ in range(reads):
        began_s = time.perf_counter()
        await house.line.read(1, METERED)
        times.append(time.perf_counter() - began_s)
    return statistics.median(times) * 1000


@asynccontextmanager
async def _crowd(house: House) -> AsyncIterator[None]:
    """Clients that each ask for registers of their own, again and again."""
    over = asyncio.Event()

    async def ask(number: int) -> None:
        client = AsyncModbusTcpClient("127.0.0.1", port=house.fresh, timeout=10, retries=0)
        await client.connect()
        while not over.is_set():
            await client.read_holding_registers(BASE + COUNT + 3 * number, count=1)
        client.close()

    async with asyncio.TaskGroup() as tasks:
        for number in range(CROWD):
            tasks.create_task(ask(number))
        await asyncio.sleep(10 * THINKING_S)
        yield
        over.set()


@asynccontextmanager
async def _house() -> AsyncIterator[House]:
    thinking_s = 0.0

    def think(seconds: float) -> None:
        nonlocal thinking_s
        thinking_s = seconds

    async def action(*_: object) -> None:
        if thinking_s:
            await asyncio.sleep(thinking_s)

    values = [address & 0xFFFF for address in range(BASE, BASE + 2 * COUNT)]
    device = SimDevice(1, simdata=[SimData(BASE, values=values, datatype=DataType.REGISTERS)], action=action)
    server = ModbusTcpServer([device], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    direct: int = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    line = Line(Address("tcp", "127.0.0.1", direct))
    settings = [Proxy("roof", "127.0.0.1:0", max_age_ms=each) for each in (60_000, 0)]
    proxies = Proxies(settings, {"roof": Target(line, 1)})
    asking = asyncio.create_task(proxies.run())
    try:
        async with proxies.listen():
            shared, fresh = (proxy.address[1] for proxy in proxies.all)
            yield House(line, direct, shared, fresh, think)
    finally:
        asking.cancel()
        await asyncio.wait([asking])
        line.close()
        await server.shutdown()  # type: ignore[no-untyped-call]


def _figures(times: list[float]) -> dict[str, float]:
    ms = sorted(1000 * each for each in times)
    return {"p50": round(ms[len(ms) // 2], 3), "p99": round(ms[int(len(ms) * 0.99)], 3)}
