"""The gateway's Bluetooth: one scanner for all adverts, a link for each monitor; none of them ends the gateway."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from wattness.devices import Device, parse_address
from wattness.errors import ConfigError
from wattness.private import read_private
from wattwire import victron
from wattwire.errors import WireError

from .ble import BACKOFF_S, Backends, Counters, hear_victron, read_monitor
from .blekinds import VEHICLE, VICTRON, kind_of
from .dongle import Car
from .heard import HeardDevice
from .origin import Uptime

log = logging.getLogger(__name__)

PAUSE_MS = 1000  # between two questions to a monitor, whose answers then are as fresh as rows want them


class Radio:
    """Hears the devices that `device` made, as long as it runs."""

    def __init__(self, home: Path, uptime: Uptime, backends: Backends | None = None) -> None:
        """Nothing is switched on yet."""
        self.scan = Counters()
        self._home = home
        self._uptime = uptime
        self._backends = backends or Backends()
        self._linked: dict[str, HeardDevice] = {}
        self._adverts: dict[str, HeardDevice] = {}
        self._keys: dict[str, bytes] = {}

    def device(self, settings: Device) -> HeardDevice:
        """Return a device of the configuration; raises ConfigError."""
        address = parse_address(settings.url, "url").host
        if address in self._linked or address in self._adverts:
            raise ConfigError(f"there is another device at {settings.url}")
        kind = kind_of(settings)
        if kind.way != VICTRON:
            self._linked[address] = HeardDevice(settings, kind, self._uptime)
            return self._linked[address]
        self._keys[address] = read_key(self._home / settings.key_file)
        self._adverts[address] = HeardDevice(settings, kind, self._uptime, self.scan)
        return self._adverts[address]

    async def run(self) -> None:
        """Hear everybody, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for device in self._linked.values():
                name = f"radio-{device.settings.name}"
                tasks.create_task(_kept(lambda device=device: self._link(device), device.counters), name=name)  # type: ignore[misc]
            if self._adverts:
                tasks.create_task(_kept(self._hear, self.scan), name="radio-adverts")

    async def _link(self, device: HeardDevice) -> None:
        if device.kind.way == VEHICLE:
            await Car(device, self._uptime, self._backends).run()
        pause_s = self._uptime.clock.real_s(min(PAUSE_MS, device.settings.period_ms))
        found = read_monitor(device.address, device.kind.profile, pause_s, device.counters, self._backends)
        async with contextlib.aclosing(found):
            async for points in found:
                device.put(points)

    async def _hear(self) -> None:
        found = hear_victron(self._keys, self.scan, self._backends)
        async with contextlib.aclosing(found):
            async for address, points in found:
                device = self._adverts[address]
                if isinstance(points, WireError):
                    device.fail(points)
                else:
                    device.put(points)


def read_key(path: Path) -> bytes:
    """Return a Victron device's key from its private file; raises ConfigError."""
    try:
        key = bytes.fromhex(read_private(path))
    except ValueError:
        key = b""
    if len(key) != victron.KEY_BYTES:
        raise ConfigError(f"{path} must hold 32 hexadecimal digits: the encryption key, as Victron's app shows it.")
    return key


async def _kept(work: Callable[[], Coroutine[Any, Any, None]], counters: Counters) -> None:
    """Do work for ever: what a radio's driver makes up must not end the other devices' metering."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("radio failed")
            counters.trouble = "an error of ours; see the log"
        await asyncio.sleep(BACKOFF_S[-1])
