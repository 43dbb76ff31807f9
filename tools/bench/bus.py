"""How well the board uses its bus: reads against the wire's physics, and what a dead unit costs the others."""

import re
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
from wattwire.schedule import Schedule

BAUD, REGISTERS = 9600, 20
DEAD_UNIT = 99
HOUR_MS = 3_600_000

_ON_THE_BOARD = """
import asyncio, time
from wattboard import hal
from wattboard.bus import Bus
from wattwire.errors import WireError
from wattwire.pace import Pace
from wattwire.plan import Read
from wattwire.reading import PLAIN
bus = Bus(hal.uart({{"uart": 1, "baud": {baud}, "tx": 17, "rx": 16}}), {baud})
pace = Pace(PLAIN)
async def read(count, unit, pace):
    for _ in range(count):
        try:
            await bus.read(unit, Read(4, 0, {registers}), pace)
        except WireError:
            pass
def timed(name, count, unit, pace):
    began = time.ticks_us()
    asyncio.run(read(count, unit, pace))
    print(name, time.ticks_diff(time.ticks_us(), began) // count)
asyncio.run(read(20, 1, pace))
timed("alive_us", {count}, 1, pace)
print("turnaround_us", pace.turnaround_us)
timed("unknown_us", 3, {dead}, Pace(PLAIN))
timed("dead_us", 6, {dead}, pace)
"""


async def measure(*, quick: bool) -> dict[str, float]:
    """Return the share of the physical limit that the firmware's own bus code reaches, and a dead unit's share of time.

    The dead unit's is that of the hour in which it falls silent, polled every second until then, from the measured
    cost of a poll without an answer.
    """
    count = 50 if quick else 300
    limit_us = modbus.exchange_us(REGISTERS, BAUD) + 1000 * TURNAROUND_MS
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Bus([Sdm120(1, PvSite().pv, Clock().now_ms)], baud=BAUD) as bus,
            Board(Path(folder), bus=bus.address) as board,
        ):
            code = _ON_THE_BOARD.format(baud=BAUD, registers=REGISTERS, count=count, dead=DEAD_UNIT)
            command = [sys.executable, "-m", "mpremote", "connect", str(board.repl_path), "resume", "exec", code]
            output = await run(command, "the measurement on the board", timeout_s=300)
    measured = {name: int(value) for name, value in re.findall(r"(\w+_us) (\d+)", output)}
    each_us = measured["alive_us"]
    return {
        "share_of_limit": round(limit_us / each_us, 3),
        "wanted_share": 0.95,
        "reads_per_s": round(1e6 / each_us, 2),
        "limit_reads_per_s": round(1e6 / limit_us, 2),
        "measured_turnaround_ms": round(measured["turnaround_us"] / 1000, 1),
        "dead_unit_ms_per_poll": round(measured["dead_us"] / 1000, 1),
        "dead_unit_percent": dead_percent(measured["dead_us"]),
        "never_seen_unit_percent": dead_percent(measured["unknown_us"]),
        "seven_dead_units_percent": dead_percent(measured["dead_us"], 7),
        "wanted_dead_unit_percent_below": 2,
    }


def dead_percent(poll_us: int, units: int = 1, hour_ms: int = HOUR_MS) -> float:
    """Return the share of the first hour that units take which never answer; their first poll asks twice."""
    schedule = Schedule(1000, 0)
    now_ms, lost_us = 0, poll_us
    while now_ms < hour_ms:
        lost_us += poll_us
        schedule.silent(now_ms, units * poll_us // 1000)
        now_ms = schedule.due_ms
    return round(units * lost_us / 10 / hour_ms, 2)
