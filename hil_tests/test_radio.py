"""A dongle and a battery monitor at work: what the car and the pack showed arrives at the gateway, and nothing else."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from demo.home import Home
from emulator.metered import Metered, Row
from emulator.radio.air import Air
from emulator.radio.bridge import Bridge
from emulator.radio.dongle import dongle, electric_car
from emulator.radio.elm import Elm327, Fault
from emulator.radio.monitors import Jbd, Pack, monitor
from emulator.target import EmulatedTarget, Target, UnableError

PERIOD_MS = 60_000
CAR = {"role": "vehicle", "profile": "hyundai_kia_egmp", "unit": 1, "period_ms": PERIOD_MS, "ble": {"name": "OBDII"}}
PACK = {"role": "battery", "profile": "jbd", "unit": 1, "period_ms": PERIOD_MS, "ble": {"name": "pack"}}
CAR_SHOWS = {"soc": 82.5, "soh": 100, "speed": 50, "odometer": 54321, "battery_voltage": 381.4}
PACK_SHOWS = {"voltage": 52.48, "current": -12.5, "power": -656, "soc": 81}

pytestmark = pytest.mark.timeout(180)


@contextlib.asynccontextmanager
async def heard(target: Target, home: Home, folder: Path, stream: dict[str, Any]) -> AsyncIterator[tuple[Metered, Air]]:
    """A provisioned board that hears an air of its own."""
    if not isinstance(target, EmulatedTarget):
        raise UnableError("the car and the pack of this scenario are emulated; a real board hears real ones")
    air = Air()
    async with Bridge(air) as address:
        target.board.ble = address
        target.settings["streams"] = [stream]
        del target.settings["bus"]
        public_key = await target.make_key()
        file = folder / "enrolment.json"
        await target.configure(await home.enrol(public_key, "radio", file), file)
        yield Metered(target, home, bytes.fromhex(public_key)), air
        await target.stop()
    await air.close()


async def wait_for(metered: Metered, shown: dict[str, float]) -> list[Row]:
    """Return the rows once one of them has all that is shown."""
    while True:
        rows = await metered.rows()
        if any(all(row.values.get(name) == pytest.approx(value) for name, value in shown.items()) for row in rows):
            return rows
        await more(metered, 1)


async def more(metered: Metered, count: int) -> None:
    """Return when so many more frames have arrived."""
    wanted = len(await metered.records()) + count
    await metered.wait(lambda records: len(records) >= wanted)


def _check(rows: list[Row], shown: dict[str, float]) -> None:
    for row in rows:
        for name, value in shown.items():
            assert row.values.get(name, value) == pytest.approx(value), row


async def test_a_dongle_at_work(target: Target, home: Home, tmp_path: Path) -> None:
    async with heard(target, home, tmp_path, CAR) as (metered, air):
        elm = Elm327(electric_car())
        async with dongle(air, elm):
            await wait_for(metered, CAR_SHOWS)
            elm.faults = {elm.count + 5 * at: fault for at, fault in enumerate(Fault)}
            await more(metered, 3)
        rows = await metered.rows()
        assert {row.role for row in rows} == {"vehicle"}
        _check(rows, CAR_SHOWS)


async def test_a_battery_monitor_at_work(target: Target, home: Home, tmp_path: Path) -> None:
    async with heard(target, home, tmp_path, PACK) as (metered, air):
        device = Jbd(Pack())
        async with monitor(air, device, "pack") as peripheral:
            await wait_for(metered, PACK_SHOWS)
            device.damage_next = 2
            await peripheral.drop_link()
            await more(metered, 3)
        rows = await metered.rows()
        assert {row.role for row in rows} == {"battery"}
        _check(rows, PACK_SHOWS)
