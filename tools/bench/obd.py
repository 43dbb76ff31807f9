"""How many signals a second a board gets through a dongle that takes 100 ms for every answer."""

import sys
import tempfile
from pathlib import Path

from demo.processes import run
from emulator.board import Board
from emulator.radio.air import Air
from emulator.radio.bridge import Bridge
from emulator.radio.dongle import dongle, electric_car
from emulator.radio.elm import Elm327

ROUND_TRIP_S = 0.1
SECONDS, QUICK_SECONDS = 20, 6
WANTED = 8

_ON_THE_BOARD = """
import asyncio
from wattboard import catalog, hal
from wattboard.radio import NoBus, Radio
settings = {{"role": "vehicle", "profile": "{profile}", "unit": 1, "period_ms": 1000, "ble": {{"name": "OBDII"}}}}
radio = Radio()
stream = radio.add(settings, catalog.read(settings, "$"), NoBus())
count = [0]
put = stream.put
def counted(values, keep_ms=0):
    count[0] += len([value for value in values.values() if value is not None])
    put(values, keep_ms)
stream.put = counted
async def main():
    tasks = [asyncio.create_task(task) for _, task in radio.tasks(lambda name: None)]
    while count[0] < 20:
        await asyncio.sleep_ms(100)
    before, began = count[0], hal.real_ms()
    await asyncio.sleep_ms(1000 * {seconds})
    print("milli", 1000000 * (count[0] - before) // (hal.real_ms() - began))
asyncio.run(main())
"""


async def measure(*, quick: bool) -> dict[str, float]:
    """Return the signals a second of a car that answers OBD, and of one whose signals are spread over its ECUs."""
    seconds = QUICK_SECONDS if quick else SECONDS
    standard = await signals_per_s("sae_j1979", seconds)
    spread = await signals_per_s("hyundai_kia_egmp", seconds)
    return {"signals_per_s": standard, "wanted_signals_per_s": WANTED, "of_four_ecus_signals_per_s": spread}


async def signals_per_s(profile: str, seconds: int) -> float:
    """Return how many values a second the firmware's own code takes from the emulated car."""
    air = Air()
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Bridge(air) as address,
            dongle(air, Elm327(electric_car(), latency_s=ROUND_TRIP_S)),
            Board(Path(folder), ble=address) as board,
        ):
            code = _ON_THE_BOARD.format(profile=profile, seconds=seconds)
            command = [sys.executable, "-m", "mpremote", "connect", str(board.repl_path), "resume", "exec", code]
            output = await run(command, "the measurement on the board", timeout_s=300)
    await air.close()
    return int(output.split("milli ")[-1]) / 1000
