"""Devices as pymodbus servers, a gateway's home with a store, and its own log; loaded by `runpy`."""

import asyncio
import struct
from contextlib import asynccontextmanager
from pathlib import Path

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from wattness.clock import Clock
from wattness.config import parse
from wattness.ingest.bleradio import Radio
from wattness.ingest.modbus import Meters
from wattness.ingest.shelf import open_shelf
from wattness.intake import Intake
from wattness.keys import new_key
from wattness.store.settings import Wants
from wattness.store.sqlite import Settings, open_store
from wattness.verifiers import open_verifiers

GATEWAY = bytes(range(32))


class FakeMeter:
    """An SDM630 by its own registers, as a TCP device: 80 input registers."""

    def __init__(self, unit=1):
        self.unit = unit
        self.values = {52: 1234.5, 70: 50.02, 72: 1000.5, 74: 2000.25, 0: 230.1, 2: 231.2, 4: 229.9}
        self.requests = []
        self.refuse = None
        self.silent = False
        self.writes = []

    def device(self):
        data = [SimData(0, count=120, values=0, datatype=DataType.REGISTERS)]
        return SimDevice(self.unit, simdata=data, action=self._action)

    async def _action(self, code, start, *rest):
        address, count, current, values = rest
        self.requests.append((code, address, count))
        if self.silent:
            await asyncio.sleep(3600)
        if self.refuse is not None:
            return self.refuse
        if values is not None:
            self.writes.append((code, address, list(values)))
            return None
        for place, value in self.values.items():
            for offset, word in enumerate(struct.unpack(">2H", struct.pack(">f", value))):
                if 0 <= place + offset - start < len(current):
                    current[place + offset - start] = word
        return None


class SunSpecInverter(FakeMeter):
    """A SunSpec map with model 103, or whatever `model` says by now."""

    def __init__(self, unit=1):
        super().__init__(unit)
        self.model, self.serial, self.power = 103, "A1234567", 4000

    def device(self):
        data = [SimData(40000, count=140, values=0, datatype=DataType.REGISTERS)]
        return SimDevice(self.unit, simdata=data, action=self._action)

    def map(self):
        words = [0x5375, 0x6E53, 1, 66, *([0] * 66), self.model, 50, *([0xFFFF] * 50), 0xFFFF, 0]
        serial = self.serial.encode().ljust(32, b"\0")
        words[52:68] = struct.unpack(">16H", serial)
        base = 70
        for offset, value in {14: self.power, 15: 0, 16: 5000, 17: 0xFFFE, 26: 0}.items():
            words[base + offset] = value
        words[base + 24 : base + 26] = [0, 54321]
        return words

    async def _action(self, code, start, *rest):
        address, count, current, _values = rest
        self.requests.append((code, address, count))
        if self.silent:
            await asyncio.sleep(3600)
        if code != 3:
            return ExcCodes.ILLEGAL_FUNCTION
        if self.refuse is not None:
            return self.refuse
        for offset, word in enumerate(self.map()):
            if 0 <= 40000 + offset - start < len(current):
                current[40000 + offset - start] = word
        return None


@asynccontextmanager
async def served(*fakes, port=0):
    """Serve devices at one address; gives the port."""
    server = ModbusTcpServer([fake.device() for fake in fakes], address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    try:
        yield server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


def config_of(home, port, *, extra="", profile="eastron_sdm630", role="grid"):
    text = (
        f'[[device]]\nname = "meter"\nurl = "tcp://127.0.0.1:{port}"\nprofile = "{profile}"\nrole = "{role}"\n'
        f"period_ms = 100\nrated_w = 7000\n{extra}"
    )
    return parse(text, home)


def make_key(home, name="device.key"):
    return new_key(f"file:{name}", home)


@asynccontextmanager
async def opened(config, clock=None, backends=None):
    """Run store, intake and own logs of a home; gives (store, shelf, meters, intake), devices not yet polled."""
    clock = clock or Clock()
    async with open_store(
        config.path("wattness.db"), Settings(GATEWAY, (Wants("alpha"),), clock=clock, window_ms=1)
    ) as store:
        shelf = await open_shelf(config, store, GATEWAY, clock, "test")
        async with open_verifiers(await store.boards(), 1) as verifiers:

            async def nobody(acks):
                raise AssertionError(acks)

            intake = Intake(store, verifiers, shelf.acknowledging(nobody))
            meters = Meters(config.device, shelf, Radio(Path(config.home), shelf.uptime, backends))
            tasks = [asyncio.create_task(work) for work in (intake.run(), shelf.run(intake.offer))]
            try:
                yield store, shelf, meters, intake
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                for line in meters.lines.values():
                    line.close()
