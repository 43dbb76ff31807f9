"""The whole board with a radio: a dongle at work, battery monitors at work, eight Victron devices, and a car asleep."""

import asyncio
import contextlib
import runpy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from emulator.radio.air import Air
from emulator.radio.bridge import Bridge
from emulator.radio.dongle import dongle, electric_car
from emulator.radio.elm import Elm327, Fault
from emulator.radio.monitors import KINDS, Daly, Pack, monitor
from emulator.radio.victron import BATTERY, VictronDevice, battery_record
from wattwire import frame

_harness = runpy.run_path(str(Path(__file__).with_name("board_world.py")))
World = _harness["World"]
VEHICLE = {"role": "vehicle", "profile": "hyundai_kia_egmp", "unit": 1, "period_ms": 60000, "ble": {"name": "OBDII"}}

pytestmark = pytest.mark.timeout(180)


@contextlib.asynccontextmanager
async def on_air(folder: Path, *streams: dict[str, Any]) -> AsyncIterator[tuple[Any, Air]]:
    """A board with these streams, and the air that it hears."""
    air = Air()
    its = World(folder, meters=(), streams=list(streams), bus=None)
    async with Bridge(air) as its.board.ble:
        try:
            await its.start()
            yield its, air
        except BaseException:
            print(its.board.console.text()[-3000:])  # noqa: T201 - beside the failure
            raise
        finally:
            await its.stop()
    await air.close()


def rows(its: Any) -> list[dict[str, float | None]]:
    """Every row that the gateway holds, as plain figures of the first stream."""
    found = []
    points = []
    for key in sorted(its.gateway.records):
        record = its.gateway.records[key]
        if record.kind == frame.KIND_STREAMS:
            points = record.body.streams[0].points
        elif record.kind == frame.KIND_ROWS:
            found += [row for entry in record.body.entries if entry.stream == 0 for row in figures(points, entry)]
    return found


def figures(points: Any, entry: Any) -> list[dict[str, float | None]]:
    columns = [frame.undelta(column) for column in entry.columns]
    return [
        {
            point.name: None if value is None else round(value * 10.0**point.exponent, 6)
            for point, value in zip(points, row, strict=True)
        }
        for row in zip(*columns, strict=True)
    ]


async def test_a_dongle_at_work(tmp_path: Path):
    async with on_air(tmp_path, VEHICLE) as (its, air):
        elm = Elm327(electric_car(), lacks=("S0",))
        async with dongle(air, elm):
            complete = {"soc": 82.5, "soh": 100, "speed": 50, "odometer": 54321, "battery_voltage": 381.4}
            await its.until(lambda: any(complete.items() <= row.items() for row in rows(its)))
            elm.faults = {elm.count + 7 * at: fault for at, fault in enumerate(Fault) if fault is not Fault.SILENCE}
            last = max(elm.faults)
            await its.until(lambda: elm.count > last + 10)
            seen = len(rows(its))
            await its.until(lambda: len(rows(its)) > seen)
            streams = its.gateway.of_kind(frame.KIND_STREAMS)[0].body
            assert streams.streams[0].role == "vehicle"
            assert "battery_current" in streams.about["unsettled_0"]
        for row in rows(its):
            for name, value in complete.items():
                assert row[name] in (None, value), row


async def test_a_car_that_falls_asleep_is_not_asked(tmp_path: Path):
    async with on_air(tmp_path, VEHICLE) as (its, air):
        car = electric_car()
        elm = Elm327(car)
        async with dongle(air, elm):
            await its.until(lambda: car.requests > 20)
            car.millivolts = 12_400
            await asyncio.sleep(1.5)  # a minute and a half on the board's clock; the ECUs would answer for ever
            asked = car.requests
            measured = elm.commands.count("ATRV")
            await its.until(lambda: elm.commands.count("ATRV") > measured + 5)
            assert car.requests == asked
            car.millivolts = 14_100
            await its.until(lambda: car.requests > asked + 5)


async def test_a_dongle_is_known_by_what_it_does_not_by_its_services(tmp_path: Path):
    async with on_air(tmp_path, {**VEHICLE, "ble": {}}) as (its, air), monitor(air, Daly(Pack()), "FFF0 too"):
        await its.until(lambda: "no_adapter" in its.board.console.text() or "vehicle:" in its.board.console.text())
        async with dongle(air, Elm327(electric_car()), "vlink", "any name"):
            await its.until(lambda: any(row["soc"] == 82.5 for row in rows(its)))


@pytest.mark.parametrize("family", KINDS)
async def test_a_battery_monitor_at_work(tmp_path: Path, family: str):
    stream = {"role": "battery", "profile": family, "unit": 1, "period_ms": 20000, "ble": {"name": "pack"}}
    async with on_air(tmp_path, stream) as (its, air):
        device = KINDS[family](Pack())
        async with monitor(air, device, f"{family} pack") as peripheral:
            await its.until(lambda: len(rows(its)) > 3)
            device.damage_next = 3
            peripheral.lose_next = 2
            await peripheral.drop_link()
            device.pack.soc = 60
            await its.until(lambda: any(row["soc"] == 60 for row in rows(its)))
        voltage = 52.4 if family == "daly" else 52.48
        for row in rows(its):
            assert row["voltage"] in (None, voltage), row
            assert row["current"] in (None, -12.5), row
            assert row["power"] in (None, pytest.approx(voltage * -12.5)), row
            assert row["soc"] in (None, 81, 60), row


async def test_eight_victron_devices_on_one_board(tmp_path: Path):
    air_streams = [
        {
            "role": "battery", "profile": "victron_battery", "unit": number + 1, "period_ms": 5000,
            "ble": {"address": f"c0ffee0000{number + 2:02x}", "key": f"{number + 1:02x}" * 16},
        }
        for number in range(8)
    ]  # fmt: skip
    async with on_air(tmp_path, *air_streams) as (its, air):
        devices = [VictronDevice(air, f"v{number}", bytes([number + 1] * 16), BATTERY) for number in range(8)]
        for number, device in enumerate(devices):
            await device.show(battery_record(13_000 + 10 * number, -1500, 800))
            assert device.address.replace(":", "").lower() == air_streams[number]["ble"]["address"]

        def streams_heard() -> set[int]:
            return {entry.stream for record in its.gateway.of_kind(frame.KIND_ROWS) for entry in record.body.entries}

        await its.until(lambda: streams_heard() == set(range(8)))
        record = its.gateway.of_kind(frame.KIND_ROWS)[-1]
        for entry in record.body.entries:
            voltage = frame.undelta(entry.columns[1])
            assert {value for value in voltage if value is not None} <= {1300 + entry.stream}
