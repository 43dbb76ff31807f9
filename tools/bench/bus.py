"""How well the board uses its bus: 20 registers of an SDM120 at 9600 baud against the wire's physics."""

import sys
import tempfile
from pathlib import Path

from civilclock import Clock
from demo.processes import run
from emulator.board import Board
from emulator.bus import TURNAROUND_MS, Bus
from emulator.meters import Sdm120
from emulator.site import PvSite
from wattwire import modbus

BAUD, REGISTERS = 9600, 20

_ON_THE_BOARD = """
import asyncio, time
from wattboard import hal
from wattboard.bus import Bus
from wattwire.pace import Pace
from wattwire.plan import Read
from wattwire.reading import PLAIN
bus = Bus(hal.uart({{"uart": 1, "baud": {baud}, "tx": 17, "rx": 16}}), {baud})
pace = Pace(PLAIN)
async def read(count):
    for _ in range(count):
        await bus.read(1, Read(4, 0, {registers}), pace)
asyncio.run(read(5))
began = time.ticks_us()
asyncio.run(read({count}))
print("us", time.ticks_diff(time.ticks_us(), began))
"""


async def measure(*, quick: bool) -> dict[str, float]:
    """Return the share of the physical limit that the firmware's own bus code reaches, reading without a pause."""
    count = 50 if quick else 300
    limit_us = modbus.exchange_us(REGISTERS, BAUD) + 1000 * TURNAROUND_MS
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Bus([Sdm120(1, PvSite().pv, Clock().now_ms)], baud=BAUD) as bus,
            Board(Path(folder), bus=bus.address) as board,
        ):
            code = _ON_THE_BOARD.format(baud=BAUD, registers=REGISTERS, count=count)
            command = [sys.executable, "-m", "mpremote", "connect", str(board.repl_path), "resume", "exec", code]
            output = await run(command, "the measurement on the board", timeout_s=300)
    each_us = int(output.split("us ")[-1]) / count
    return {
        "share_of_limit": round(limit_us / each_us, 3),
        "wanted_share": 0.95,
        "reads_per_s": round(1e6 / each_us, 2),
        "limit_reads_per_s": round(1e6 / limit_us, 2),
    }
