"""Batteries and Victron devices in Bluetooth's reach; they are listed, nobody is connected to."""

import asyncio
from typing import NamedTuple

from bleak import BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError

from wattness.errors import ConfigError
from wattness.ingest.ble import Backends
from wattwire import bms, victron

LISTEN_S = 10.0
HEARD_MAX = 256
INSTANT_READOUT = 0x10


class Nearby(NamedTuple):
    """A device that was heard."""

    address: str
    name: str | None
    kind: str  # victron, or the families of monitors that it may be of
    rssi_dbm: int


async def listen(seconds: float = LISTEN_S, backends: Backends | None = None) -> list[Nearby]:
    """Return who was heard, the loudest first; raises ConfigError when there is no Bluetooth here."""
    heard: dict[str, Nearby] = {}

    def detected(device: BLEDevice, advert: AdvertisementData) -> None:
        kind = kind_of(advert)
        if kind is not None and (device.address in heard or len(heard) < HEARD_MAX):
            heard[device.address] = Nearby(device.address, advert.local_name, kind, advert.rssi)

    try:
        async with BleakScanner(detected, backend=(backends or Backends()).scanner):
            await asyncio.sleep(seconds)
    except (BleakError, OSError) as error:
        raise ConfigError(f"Bluetooth cannot be used: {error}; switch the adapter on, or leave --ble out.") from None
    return sorted(heard.values(), key=lambda one: -one.rssi_dbm)


def kind_of(advert: AdvertisementData) -> str | None:
    """Return what an advert makes its sender look like, or None."""
    data = advert.manufacturer_data.get(victron.COMPANY)
    if data is not None and data[:1] == bytes((INSTANT_READOUT,)):
        return "victron"
    told = {uuid[4:8].lower() for uuid in advert.service_uuids if uuid.lower().endswith("-0000-1000-8000-00805f9b34fb")}
    families = [family for family in bms.FAMILIES if f"{bms.decoder(family).service:04x}" in told]
    return " or ".join(families) or None
