"""The gateway's own Bluetooth, through bleak and real GATT: monitors, adverts, damage, lost links, dead scanners."""

import asyncio
import contextlib
import runpy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bleak.exc import BleakError

from emulator.radio.air import Air
from emulator.radio.monitors import KINDS, Pack, monitor
from emulator.radio.victron import BATTERY, SOLAR, VictronDevice, battery_record, solar_record
from wattness.ingest import ble
from wattness.ingest.ble import Backends, Counters, hear_victron, read_monitor

_bumble = runpy.run_path(str(Path(__file__).with_name("bumble_backend.py")))
VOLTAGE = {"jbd": (5248, -2), "daly": (524, -1), "jk": (52480, -3)}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble, "BACKOFF_S", (0.05,))
    monkeypatch.setattr(ble, "ANSWER_S", 1.0)
    monkeypatch.setattr(ble, "STALL_S", 0.3)


@pytest.fixture
async def air() -> AsyncIterator[Air]:
    air = Air()
    yield air
    await air.close()


async def until(points: AsyncIterator[Any], wanted) -> Any:
    async with asyncio.timeout(20):
        async for found in points:
            if wanted(found):
                return found
    raise AssertionError


@pytest.mark.parametrize("family", KINDS)
async def test_a_monitor_is_read_through_damage_and_lost_links(air: Air, family: str):
    device = KINDS[family](Pack())
    counters = Counters()
    client, scanner = await _bumble["backends"](air)
    async with monitor(air, device, "pack") as peripheral:
        points = read_monitor(peripheral.address, family, 0.01, counters, Backends(client, scanner))
        async with contextlib.aclosing(points):
            found = await until(points, lambda found: "voltage" in found)
            assert found["voltage"] == VOLTAGE[family]
            device.damage_next = 1
            found = await until(points, lambda found: "voltage" in found)
            assert found["voltage"] == VOLTAGE[family]
            device.pack.soc = 60
            await peripheral.drop_link()
            found = await until(
                points, lambda found: found["soc"] == (600 if family == "daly" else 60, found["soc"][1])
            )
            assert found["voltage"] == VOLTAGE[family]
            assert counters.links >= 2
    assert counters.answers >= 3


async def test_another_device_is_no_monitor(air: Air):
    counters = Counters()
    client, scanner = await _bumble["backends"](air)
    async with monitor(air, KINDS["jk"](Pack()), "pack") as peripheral:
        with pytest.raises(BleakError, match="no characteristic FF01"):
            async for _ in ble._session(peripheral.address, "jbd", 0.01, counters, Backends(client, scanner)):
                pass


async def test_adverts_of_several_devices_and_a_scanner_that_dies(air: Air):
    counters = Counters()
    client, scanner = await _bumble["backends"](air)
    first = VictronDevice(air, "v1", bytes([1] * 16), BATTERY)
    second = VictronDevice(air, "v2", bytes([2] * 16), SOLAR)
    stranger = VictronDevice(air, "v3", bytes([3] * 16), SOLAR)
    await first.show(battery_record(13_000, -1500, 805))
    await second.show(solar_record(250, 13_000, 77))
    await stranger.show(solar_record(1, 1, 1))
    keys = {first.address.lower(): first.key, second.address: second.key}
    heard: dict[str, Any] = {}
    adverts = hear_victron(keys, counters, Backends(client, scanner))
    async with contextlib.aclosing(adverts), asyncio.timeout(20):
        async for address, points in adverts:
            heard[address] = points
            if len(heard) == 2:
                break
        assert heard[first.address.upper()]["soc"] == (805, -1)
        assert heard[second.address.upper()]["power"] == (250, 0)
        for device in (first, second, stranger):
            await device.hide()
        scans = counters.scans
        waiting = asyncio.ensure_future(anext(adverts))
        while counters.scans == scans:
            await asyncio.sleep(0.02)
        await first.show(battery_record(12_900, -1500, 800))
        address, points = await waiting
        assert (address, points["voltage"]) == (first.address.upper(), (1290, -2))


async def test_a_wrong_key_is_counted(air: Air):
    counters = Counters()
    client, scanner = await _bumble["backends"](air)
    device = VictronDevice(air, "v1", bytes([1] * 16), BATTERY)
    await device.show(battery_record(13_000, -1500, 805))
    adverts = hear_victron({device.address: bytes(16)}, counters, Backends(client, scanner))
    async with contextlib.aclosing(adverts):
        waiting = asyncio.ensure_future(anext(adverts))
        async with asyncio.timeout(10):
            while not counters.damaged:
                await asyncio.sleep(0.02)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
    assert counters.answers == 0
