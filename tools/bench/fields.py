"""Modbus TCP devices for the row of sources, in a process of their own: SDM630 meters, each at a port.

`python -m bench.fields COUNT` prints their ports as JSON and serves until it is ended.
"""

import asyncio
import json
import struct
import sys
import time
from typing import cast

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

REGISTERS = 0x180
COUNTED = range(346, 358, 2)  # energies of the phases, in kWh
FACTORS = (30, 32, 34, 62)
VALUES = dict.fromkeys(range(0, 76, 2), 231.5) | dict.fromkeys(COUNTED, 1234.5) | dict.fromkeys(FACTORS, 0.97)
VALUES |= {70: 50.0, 72: 1234.5, 74: 4321.0}


def registers() -> list[int]:
    """Return what a meter shows: 231.5 of nearly everything."""
    words = [0] * REGISTERS
    for place, value in VALUES.items():
        words[place : place + 2] = struct.unpack(">2H", struct.pack(">f", value))
    return words


async def vary(_code: int, start: int, address: int, count: int, current: list[int], _values: object) -> None:
    """Change the low half of every value but the counters, so that each read brings other ones."""
    turn = time.monotonic_ns() >> 20
    for at in range(address + 1, min(address + count, 72), 2):
        current[at - start] = (turn * 37 + at * 911) & 0xFFFF


async def serve(count: int) -> None:
    """Serve until cancelled."""
    ports = []
    for _ in range(count):
        data = SimData(0, values=list(registers()), datatype=DataType.REGISTERS)
        server = ModbusTcpServer(SimDevice(1, simdata=[data], action=vary), address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        ports.append(cast("asyncio.Server", server.transport).sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
