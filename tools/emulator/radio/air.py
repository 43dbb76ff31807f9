"""The air: a link of bumble's controllers, on which peripherals advertise and centrals listen."""

import asyncio
import itertools

from bumble.controller import Controller
from bumble.device import Device, DeviceConfiguration
from bumble.hci import Address
from bumble.host import Host
from bumble.link import LocalLink

ADVERTISING_MS = 30.0


class Air:
    """One room full of radios."""

    def __init__(self) -> None:
        """Begin with silence."""
        self.link = LocalLink()  # type: ignore[no-untyped-call]
        self._numbers = itertools.count(1)
        self._devices: list[Device] = []

    async def device(self, name: str) -> Device:
        """Return a radio that is switched on, with an address of its own."""
        address = Address(f"C0:FF:EE:00:00:{next(self._numbers):02X}")
        controller = Controller(name, link=self.link)
        controller.random_address = address
        config = DeviceConfiguration(
            name=name, address=address, advertising_interval_min=ADVERTISING_MS, advertising_interval_max=ADVERTISING_MS
        )
        host = Host()
        host.controller = controller
        controller.host = host
        device = Device(config=config, host=host)
        await device.power_on()
        self._devices.append(device)
        return device

    async def close(self) -> None:
        """Switch all radios off."""
        for device in self._devices:
            await device.power_off()
        await asyncio.sleep(0)
