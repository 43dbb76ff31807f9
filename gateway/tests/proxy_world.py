"""A device that allows one connection, its line, and a proxy before it; loaded by `runpy`."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from wattness.devices import Address, Proxy
from wattness.modbus.line import Line
from wattness.proxy.server import Proxies, Target
from wattwire.plan import Read

BASE, SIZE = 40000, 200
METERED = Read(3, BASE, 100)


class Inverter:
    """Holding registers that hold their own address, until they are written."""

    def __init__(self, unit=1):
        self.unit = unit
        self.requests = []  # (function, address, count) of reads
        self.writes = []  # (function, address, values)
        self.open = asyncio.Event()  # it answers while this is set
        self.open.set()
        self.most = 125  # registers that it gives at once

    def device(self):
        values = [address & 0xFFFF for address in range(BASE, BASE + SIZE)]
        data = [SimData(BASE, values=values, datatype=DataType.REGISTERS)]
        return SimDevice(self.unit, simdata=data, action=self._action)

    async def _action(self, code, _, *rest):
        address, count, _, values = rest
        if values is None:
            self.requests.append((code, address, count))
        else:
            self.writes.append((code, address, list(values)))
        await self.open.wait()
        return ExcCodes.ILLEGAL_VALUE if count > self.most else None


class OneClientServer(ModbusTcpServer):
    """Hangs up on everyone but the first."""

    hung_up = 0
    connections = 0

    def handle_new_connection(self):
        self.connections += 1
        if self.active_connections:
            self.hung_up += 1
            return HangUp()
        return super().handle_new_connection()


class HangUp(asyncio.Protocol):
    def connection_made(self, transport):
        transport.abort()


class House:
    """The parts, and what a test asks of them."""

    def __init__(self, line, proxies, device, server):
        self.line, self.device, self.server = line, device, server
        self.proxies = proxies
        self.proxy = proxies.all[0]
        self.port = self.proxy.address[1]

    def count(self, kind, how):
        return self.proxy.counts[kind, how]

    async def meter(self):
        """Read as metering does."""
        return await self.line.read(1, METERED)

    @asynccontextmanager
    async def client(self, timeout_s=5):
        client = AsyncModbusTcpClient("127.0.0.1", port=self.port, timeout=timeout_s, retries=0, reconnect_delay=0)
        assert await client.connect()
        try:
            yield client
        finally:
            client.close()

    @asynccontextmanager
    async def raw(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()


@asynccontextmanager
async def served(*inverters):
    server = OneClientServer([each.device() for each in inverters], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        yield server, server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


@asynccontextmanager
async def proxied(*inverters, count=1, **settings):
    """Run a device and proxies of it; what a proxy may do is in `settings`, as the configuration says it."""
    inverters = inverters or (Inverter(),)
    form = {"device": "roof", "listen": "127.0.0.1:0", **settings}
    proxy = msgspec.convert(form, Proxy)
    async with served(*inverters) as (server, port):
        line = Line(Address("tcp", "127.0.0.1", port))
        proxies = Proxies([proxy] * count, {"roof": Target(line, inverters[0].unit)})
        asking = asyncio.create_task(proxies.run())
        try:
            async with proxies.listen():
                yield House(line, proxies, inverters[0], server)
        finally:
            asking.cancel()
            await asyncio.wait([asking])
            line.close()


async def until(condition):
    """Wait for what must come; the test's own time limit is the only one."""
    while not condition():
        await asyncio.sleep(0.005)
