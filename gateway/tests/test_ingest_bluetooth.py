"""Batteries by the gateway's own Bluetooth, end to end: real GATT and adverts, own log, intake, stored rows."""

import asyncio
import runpy
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from emulator.radio.air import Air
from emulator.radio.monitors import KINDS, Pack, monitor
from emulator.radio.victron import BATTERY, SOLAR, VictronDevice, battery_record, solar_record
from wattness.config import parse
from wattness.doctor import FAILURE, examine
from wattness.ingest import ble, heard
from wattness.ingest.ble import Backends
from wattness.store.reader import Reader
from wattwire import cose, frame

HERE = Path(__file__)
bumble_backends = runpy.run_path(str(HERE.with_name("bumble_backend.py")))["backends"]
WORLD = runpy.run_path(str(HERE.with_name("own_world.py")))
make_key, opened = WORLD["make_key"], WORLD["opened"]
KEY = bytes([1] * 16)
VOLTAGE = {"jbd": 52.48, "daly": 52.4, "jk": 52.48}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(ble, "BACKOFF_S", (0.05,))
    monkeypatch.setattr(ble, "ANSWER_S", 1.0)
    monkeypatch.setattr(ble, "STREAM_S", 1.0)
    monkeypatch.setattr(ble, "STALL_S", 0.3)
    monkeypatch.setattr(heard, "FRESH_MS", 1500)
    monkeypatch.setattr(heard, "FIRST_S", 1.0)


@asynccontextmanager
async def on_air():
    air = Air()
    client, scanner = await bumble_backends(air)
    try:
        yield air, Backends(client, scanner)
    finally:
        await air.close()


def section(name, address, profile, role="battery", extra=""):
    return (
        f'[[device]]\nname = "{name}"\nurl = "ble:{address}"\nrole = "{role}"\nprofile = "{profile}"\n'
        f"period_ms = 100\n{extra}\n"
    )


@asynccontextmanager
async def metering(home, text, backends):
    """Run a home's meters; gives (store, meters)."""
    async with opened(parse(text, home), backends=backends) as (store, shelf, meters, _):
        task = asyncio.create_task(meters.run())
        try:
            yield store, shelf, meters
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(condition):
    while not (found := await condition()):
        await asyncio.sleep(0.05)
    return found


async def rows(store, shelf, index=0):
    """Seal, and return every stored row of a stream as plain figures."""
    for log in shelf.logs():
        log.seal()
    points, found = [], []
    for view in await store.read(lambda reader: list(reader.export_frames())):
        record = frame.decode(cose.parse(view.raw)[1])
        if record.kind == frame.KIND_STREAMS:
            points = record.body.streams[index].points if index < len(record.body.streams) else []
        elif record.kind == frame.KIND_ROWS:
            for entry in record.body.entries:
                if entry.stream == index:
                    columns = [frame.undelta(column) for column in entry.columns]
                    found += [_figures(points, row) for row in zip(*columns, strict=True)]
    return found


def _figures(points, row):
    return {
        point.name: None if value is None else round(value * 10.0**point.exponent, 6)
        for point, value in zip(points, row, strict=True)
    }


@pytest.mark.parametrize("family", KINDS)
async def test_a_monitors_rows_are_stored_and_a_lost_one_has_none(tmp_path, family):
    make_key(tmp_path)
    device = KINDS[family](Pack())
    async with on_air() as (air, backends), monitor(air, device, "pack") as peripheral:
        text = section("pack", peripheral.address, family, extra="rated_w = 3000")
        async with metering(tmp_path, text, backends) as (store, shelf, meters):

            async def stored():
                return await rows(store, shelf)

            await until(stored)
            (meter,) = meters.meters
            assert meter.state == "metering"
            (view,) = await store.read(Reader.streams)
            assert (view.provenance, view.role, view.profile) == ("gateway", "battery", family)
            await peripheral.vanish()
            device.silent = True

            async def silent():
                return meter.state == "silent"

            await until(silent)
            last = len(await stored())
            assert meter.detail
            device.silent = False
            device.pack.soc = 60
            await peripheral.appear()

            async def back():
                return any(row["soc"] == 60 for row in (await stored())[last:])

            await until(back)
            for row in await stored():
                assert row["voltage"] in (None, VOLTAGE[family])
                assert row["current"] in (None, -12.5)
                assert row["soc"] in (None, 81, 60)
                assert row["power"] in (None, pytest.approx(VOLTAGE[family] * -12.5))


async def test_victrons_devices_share_a_scanner_and_a_wrong_key_is_told(tmp_path):
    make_key(tmp_path)
    async with on_air() as (air, backends):
        battery, solar = VictronDevice(air, "v1", KEY, BATTERY), VictronDevice(air, "v2", bytes([2] * 16), SOLAR)
        other = VictronDevice(air, "v3", bytes([3] * 16), BATTERY)
        await battery.show(battery_record(13_000, -1500, 805))
        await solar.show(solar_record(250, 13_000, 77))
        await other.show(battery_record(13_000, -1500, 805))
        text = ""
        for name, device, role, key in (
            ("shunt", battery, "battery", battery.key), ("roof", solar, "pv", solar.key),
            ("other", other, "battery", KEY),
        ):  # fmt: skip
            file = tmp_path / f"{name}.key"
            file.write_text(key.hex() + "\n")
            file.chmod(0o600)
            text += section(name, device.address, "victron", role, f'key_file = "{name}.key"')
        enough = asyncio.Event()
        talk = asyncio.create_task(_talking(enough, (battery, BATTERY), (solar, SOLAR), (other, BATTERY)))
        async with metering(tmp_path, text, backends) as (store, shelf, meters):

            async def stored():
                return await rows(store, shelf, 0) and await rows(store, shelf, 1)

            await until(stored)
            assert (await rows(store, shelf, 0))[0] == {"power": -19.5, "voltage": 13.0, "current": -1.5, "soc": 80.5}
            assert (await rows(store, shelf, 1))[0]["power"] == 250

            async def told():
                return "another key" in meters.meter("other").detail

            await until(told)
            assert len({view.device for view in await store.read(Reader.streams)}) == 2
            enough.set()
            await talk
            # The same advert for ever is a device whose values grow old: none is made up.
            await until(lambda: _is(meters.meter("shunt"), "silent"))
            await battery.show(battery_record(12_900, -1500, 800))
            await until(lambda: _is(meters.meter("shunt"), "metering"))


async def _talking(enough, *devices):
    while not enough.is_set():
        for device, kind in devices:
            await device.show(battery_record(13_000, -1500, 805) if kind == BATTERY else solar_record(250, 13_000, 77))
        await asyncio.sleep(0.1)


async def _is(meter, state):
    return meter.state == state


async def test_without_bluetooth_it_says_so_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nobody")
    monkeypatch.setattr(heard, "FIRST_S", 0.3)
    make_key(tmp_path)
    (tmp_path / "v.key").write_text(KEY.hex())
    (tmp_path / "v.key").chmod(0o600)
    text = section("pack", "C0:FF:EE:00:00:01", "jbd")
    text += section("shunt", "C0:FF:EE:00:00:02", "victron", extra='key_file = "v.key"')
    async with metering(tmp_path, text, None) as (store, _, meters):

        async def told():
            return all("no Bluetooth" in state["detail"] for state in meters.states())

        await until(told)
        assert {state["state"] for state in meters.states()} == {"silent"}
        scans = meters._radio.scan.scans

        async def again():
            return meters._radio.scan.scans > scans + 1

        await until(again)
        assert await store.read(Reader.streams) == []
    (tmp_path / "gateway.toml").write_text(text)
    (finding,) = [each for each in await examine(tmp_path) if each.subject == "Bluetooth"]
    assert finding.level == FAILURE
    assert "bluez" in finding.remedy
