"""A network of devices on loopback addresses, real Modbus servers each; loaded by `runpy`."""

import asyncio
import contextlib
import os
import random
import struct
import tty
from contextlib import asynccontextmanager

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from emulator.bus import Bus
from emulator.site import GOLDEN_START_MS
from emulator.wiring import wire
from wattness.discover.ground import Ground, Limits, parse_lan
from wattness.discover.scan import Search

LIMITS = Limits(answer_s=1.0, connect_s=1.0)


class StoppedClock:
    """Civil time that stands still at noon or so."""

    def now_ms(self):
        return GOLDEN_START_MS


class Device:
    """Registers of one function code; whatever is not among them is refused."""

    def __init__(self, words, *, code=3, unit=1):
        self.words, self.code, self.unit, self.requests = words, code, unit, []

    def device(self):
        data = [SimData(0, count=65536, values=0, datatype=DataType.REGISTERS)]
        return SimDevice(self.unit, simdata=data, action=self._action)

    async def _action(self, code, start, *rest):
        address, count, current, _values = rest
        self.requests.append((code, address, count))
        if code != self.code:
            return ExcCodes.ILLEGAL_FUNCTION
        if not all(place in self.words for place in range(address, address + count)):
            return ExcCodes.ILLEGAL_ADDRESS
        for place in range(address, address + count):
            current[place - start] = self.words[place] & 0xFFFF
        return None


class Minding(Device):
    """Answers in a manner of its own, or not at all, where it has no registers."""

    def __init__(self, words, manner):
        super().__init__(words)
        self.manner = manner

    async def _action(self, code, start, *rest):
        refusal = await super()._action(code, start, *rest)
        if refusal is not None and self.manner == "silent":
            await asyncio.sleep(3600)
        return None if refusal is None else self.manner


class Nonsense(Device):
    """Whatever it is asked, it answers something."""

    def __init__(self, seed=1):
        super().__init__({})
        self._chance = random.Random(seed)

    async def _action(self, code, start, *rest):
        address, count, current, _values = rest
        self.requests.append((code, address, count))
        for place in range(address, address + count):
            current[place - start] = self._chance.randrange(65536)


def text(words, size):
    return list(struct.unpack(f">{size}H", words.encode().ljust(2 * size, b"\0")))


def common(maker, model, serial, *, length=66):
    words = [*text(maker, 16), *text(model, 16), *text("", 8), *text("1.0", 8), *text(serial, 16), 1, 0]
    return [1, length, *words[:length]]


def inverter(*, power=4000, frequency=5001):
    words = [103, 50, *([0xFFFF] * 50)]
    found = {2: 60, 6: -1, 10: 2300, 11: 2310, 12: 2290, 13: -1, 14: power, 15: 0, 16: frequency, 17: -2, 24: 0}
    for offset, value in (found | {25: 54321, 26: 0, 38: 4}).items():
        words[offset] = value & 0xFFFF
    return words


def nameplate(watts_by_10):
    return [120, 26, 4, watts_by_10, 1, *([0xFFFF] * 23)]


def sunspec(*models, base=40000):
    words = [0x5375, 0x6E53, *(word for model in models for word in model), 0xFFFF, 0]
    return dict(enumerate(words, base))


DEYE_SHOWS = {79: 5002, 150: 2301, 96: 7, 78: 5, 81: 3, 85: 9, 183: 5210, 184: 55, 182: 1250}
DEYE_POWERS = {186: 1200, 187: 800, 169: 65236, 178: 700, 190: 300, 191: 500}
DEYE = dict.fromkeys(range(300), 0) | DEYE_SHOWS | DEYE_POWERS


@asynccontextmanager
async def served(host, port, *devices):
    server = ModbusTcpServer([device.device() for device in devices], address=(host, port))
    await server.serve_forever(background=True)
    try:
        yield
    finally:
        await server.shutdown()


@asynccontextmanager
async def answering(host, port, serve):
    """Serve raw connections by a coroutine of (reader, writer)."""
    tasks = set()

    async def take(reader, writer):
        task = asyncio.current_task()
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(take, host, port)
    try:
        yield
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def silent(reader, writer):
    while await reader.read(256):
        pass


async def garbling(reader, writer):
    while await reader.read(256):
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")


def lonely(behind):
    """Serve one connection at a time, and end any other at once."""
    busy = []

    async def serve(reader, writer):
        if busy:
            return
        busy.append(writer)
        far_reader, far_writer = await asyncio.open_connection(*behind)
        tasks = [asyncio.create_task(pump(*ends)) for ends in ((reader, far_writer), (far_reader, writer))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            far_writer.close()
            busy.clear()

    return serve


async def pump(reader, writer):
    while data := await reader.read(256):
        writer.write(data)
        await writer.drain()


def bus(host, port, *wiring, baud=115_200):
    return Bus(wire(wiring, StoppedClock()), baud=baud, turnaround_ms=1, address=(host, port))


@asynccontextmanager
async def plugged(*wiring, garble=False):
    """A serial port of this machine, with the emulator's bus behind it; gives its path."""
    async with bus("127.0.0.1", 0, *wiring) as line:
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        reader, writer = await asyncio.open_connection(*line.address)
        loop = asyncio.get_running_loop()
        loop.add_reader(ours, lambda: writer.write(os.read(ours, 256)))

        async def back():
            while data := await reader.read(256):
                os.write(ours, bytes(byte ^ 0x55 for byte in data) if garble else data)

        task = asyncio.create_task(back())
        try:
            yield os.ttyname(theirs)
        finally:
            loop.remove_reader(ours)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            writer.close()
            os.close(ours)
            os.close(theirs)


async def search(lan, port, *, units=(1,), limits=LIMITS, **options):
    ground = Ground(parse_lan([lan] if isinstance(lan, str) else lan), (port,), (), units)
    return await Search(ground, limits, **options).run()


def summary(survey):
    return [
        (found.address.host, found.address.kind, found.unit, offer.profile, offer.role, str(offer.confidence))
        for found in survey.found
        for offer in found.offers
    ]
