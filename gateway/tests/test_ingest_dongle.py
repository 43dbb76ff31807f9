"""A car through the gateway's own Bluetooth, end to end: an ELM327 behind real GATT, own log, intake, stored rows."""

import asyncio
import runpy
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from emulator.radio.air import Air
from emulator.radio.dongle import dongle, electric_car
from emulator.radio.elm import Elm327, Fault
from emulator.radio.monitors import Daly, Pack, monitor
from wattness.clock import Clock
from wattness.config import parse
from wattness.ingest import ble
from wattness.ingest import dongle as ours
from wattness.ingest.ble import Backends
from wattness.store.reader import Reader
from wattwire import cose, frame

HERE = Path(__file__)
bumble_backends = runpy.run_path(str(HERE.with_name("bumble_backend.py")))["backends"]
WORLD = runpy.run_path(str(HERE.with_name("own_world.py")))
make_key, opened = WORLD["make_key"], WORLD["opened"]
RATE = 60  # a minute of the guard's is a second
COMPLETE = {"soc": 82.5, "soh": 100, "speed": 50, "odometer": 54321, "battery_voltage": 381.4}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(ble, "BACKOFF_S", (0.05,))
    monkeypatch.setattr(ours, "REQUEST_S", 1.0)
    monkeypatch.setattr(ours, "WAKE_S", 0.2)
    monkeypatch.setattr(ours, "IDLE_S", 0.05)
    monkeypatch.setattr(ours, "LISTEN_S", 0.2)


@asynccontextmanager
async def driving(home, air, address):
    """Meter the car behind `address`; gives (store, shelf, its meter)."""
    make_key(home, "car.key")
    text = (
        f'[[device]]\nname = "car"\nurl = "ble:{address}"\nrole = "vehicle"\nprofile = "hyundai_kia_egmp"\n'
        'period_ms = 60000\nkey = "file:car.key"\n'
    )
    client, scanner = await bumble_backends(air)
    clock = Clock(Clock().real_ms_now(), 1_780_000_000_000, RATE)
    async with opened(parse(text, home), clock, Backends(client, scanner)) as (store, shelf, meters, _):
        task = asyncio.create_task(meters.run())
        try:
            yield store, shelf, meters.meters[0]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def rows(store, shelf):
    """Every stored row as plain figures."""
    for log in shelf.logs():
        log.seal()
    points, found = [], []
    for view in await store.read(lambda reader: list(reader.export_frames())):
        record = frame.decode(cose.parse(view.raw)[1])
        if record.kind == frame.KIND_STREAMS:
            points = record.body.streams[0].points
        elif record.kind == frame.KIND_ROWS:
            for entry in record.body.entries:
                columns = [frame.undelta(column) for column in entry.columns]
                found += [
                    {
                        point.name: None if value is None else round(value * 10.0**point.exponent, 6)
                        for point, value in zip(points, row, strict=True)
                    }
                    for row in zip(*columns, strict=True)
                ]
    return found


async def until(condition):
    while not await condition():
        await asyncio.sleep(0.05)


async def test_a_dongle_at_work_through_every_fault(tmp_path):
    air = Air()
    elm = Elm327(electric_car(), lacks=("S0",))
    async with dongle(air, elm) as peripheral, driving(tmp_path, air, peripheral.address) as (store, shelf, _):

        async def complete():
            return any(COMPLETE.items() <= row.items() for row in await rows(store, shelf))

        await until(complete)
        elm.faults = {elm.count + 7 * at: fault for at, fault in enumerate(Fault)}
        last = max(elm.faults)

        async def survived():
            return elm.count > last + 10

        await until(survived)
        seen = len(await rows(store, shelf))

        async def more():
            return len(await rows(store, shelf)) > seen + 1

        await until(more)
        (view,) = await store.read(Reader.streams)
        assert (view.role, view.provenance) == ("vehicle", "gateway")
        for row in await rows(store, shelf):
            for name, value in COMPLETE.items():
                assert row[name] in (None, value), row
    await air.close()


async def test_a_car_that_falls_asleep_is_not_asked(tmp_path):
    air = Air()
    car = electric_car()
    elm = Elm327(car)
    async with dongle(air, elm) as peripheral, driving(tmp_path, air, peripheral.address) as (_, _, meter):

        async def asked():
            return car.requests > 20

        await until(asked)
        car.millivolts = 12_400
        await until(lambda: _contains(meter.device.counters, ours.ASLEEP))
        before, measured = car.requests, elm.commands.count("ATRV")

        async def looked():
            return elm.commands.count("ATRV") > measured + 5

        await until(looked)
        assert car.requests == before
        await until(lambda: _contains(meter, ours.ASLEEP))
        car.millivolts = 14_100

        async def awake():
            return car.requests > before + 5

        await until(awake)
    await air.close()


async def test_traffic_that_is_not_ours_shows_a_car_awake(tmp_path):
    air = Air()
    car = electric_car()
    car.millivolts = 12_600
    elm = Elm327(car)
    async with dongle(air, elm) as peripheral, driving(tmp_path, air, peripheral.address):

        async def listened():
            return elm.commands.count("ATMA") > 1

        await until(listened)
        assert car.requests == 0
        car.chatters = True

        async def asked():
            return car.requests > 5

        await until(asked)
    await air.close()


async def _contains(told, words):
    return words in (told.trouble if hasattr(told, "trouble") else told.detail)


async def test_what_is_no_dongle_is_told(tmp_path):
    air = Air()
    async with (
        monitor(air, Daly(Pack()), "FFF0 too") as peripheral,
        driving(tmp_path, air, peripheral.address) as (store, _, meter),
    ):

        async def told():
            return meter.device.counters.links > 1 and meter.device.counters.trouble

        await until(told)
        assert meter.device.counters.answers == 0
        assert await store.read(Reader.streams) == []
    await air.close()
