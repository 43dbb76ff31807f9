"""A peripheral with one service: what is written to it goes to its device, what the device says is notified."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Protocol, Self

from bumble.core import AdvertisingData
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, CharacteristicValue, Service

from emulator.radio.air import Air

NOTIFY = Characteristic.Properties.NOTIFY
WRITE = Characteristic.Properties.WRITE
WRITE_ONLY = Characteristic.Properties.WRITE_WITHOUT_RESPONSE
CHUNK = 20  # bytes of a notification at the smallest MTU, which many devices never leave


@dataclass(frozen=True)
class Gatt:
    """Where a device's bytes go in and out; `one` characteristic may do both."""

    service: str
    notify: str
    write: str


class Speaker(Protocol):
    """A device behind the radio: bytes in, pieces of bytes out."""

    async def hear(self, data: bytes) -> None:
        """Take what was written."""

    async def say(self) -> bytes:
        """Return the next piece that the device says, whenever there is one."""


class Peripheral:
    """A speaker on the air; `async with` switches it on."""

    def __init__(self, air: Air, name: str, gatt: Gatt, speaker: Speaker, *, advertised: str | None = None) -> None:
        """`advertised` is the service that the advert names, where it is not the one that works."""
        self.name = name
        self.speaker = speaker
        self.chunk = CHUNK
        self.lose_next = 0  # notifications that will not arrive
        self._air = air
        self._gatt = gatt
        self._advertised = advertised
        self._device: Device | None = None
        self._task: asyncio.Task[None] | None = None
        self._source: Characteristic[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._device = await self._air.device(self.name)
        self._device.add_service(self._service())
        self._device.advertising_data = self._advertising_data()
        self._device.on("connection", self._connected)
        self._task = asyncio.create_task(self._speak(), name=f"peripheral {self.name}")
        await self.appear()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.vanish()
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @property
    def address(self) -> str:
        """Where it is: six bytes with colons."""
        assert self._device is not None  # noqa: S101  (used inside `async with`)
        return self._device.random_address.to_string(with_type_qualifier=False)

    async def appear(self) -> None:
        """Advertise."""
        assert self._device is not None  # noqa: S101  (used inside `async with`)
        await self._device.start_advertising(auto_restart=True)

    async def vanish(self) -> None:
        """Lose the link, and be out of reach."""
        assert self._device is not None  # noqa: S101  (used inside `async with`)
        await self._device.stop_advertising()
        await self.drop_link()

    async def drop_link(self) -> None:
        """End the connections, without a word before."""
        assert self._device is not None  # noqa: S101  (used inside `async with`)
        for connection in list(self._device.connections.values()):
            with contextlib.suppress(Exception):
                await connection.disconnect()

    def _connected(self, _connection: Connection) -> None:
        """Let the device start anew, if it cares."""
        begin = getattr(self.speaker, "begin", None)
        if begin is not None:
            begin()

    def _service(self) -> Service:
        permissions = Characteristic.READABLE | Characteristic.WRITEABLE
        value: CharacteristicValue[bytes] = CharacteristicValue(write=self._written)
        if self._gatt.notify == self._gatt.write:
            both = NOTIFY | WRITE | WRITE_ONLY
            self._source = Characteristic(self._gatt.notify, both, permissions, value)
            return Service(self._gatt.service, [self._source])
        self._source = Characteristic(self._gatt.notify, NOTIFY, permissions, b"")
        sink: Characteristic[bytes] = Characteristic(self._gatt.write, WRITE | WRITE_ONLY, permissions, value)
        return Service(self._gatt.service, [self._source, sink])

    def _advertising_data(self) -> bytes:
        # The controller copies this into scan responses, so the name is here.
        fields: list[tuple[AdvertisingData.Type, bytes]] = [(AdvertisingData.Type.FLAGS, b"\x06")]
        uuid = self._advertised or self._gatt.service
        if len(uuid) == 4:  # 16 bits; a long one leaves no room for a name
            fields.append((AdvertisingData.Type.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, bytes.fromhex(uuid)[::-1]))
        fields.append((AdvertisingData.Type.COMPLETE_LOCAL_NAME, self.name.encode()))
        return bytes(AdvertisingData(fields))

    async def _written(self, _connection: Connection, data: bytes) -> None:
        await self.speaker.hear(bytes(data))

    async def _speak(self) -> None:
        while True:
            data = await self.speaker.say()
            for at in range(0, len(data), self.chunk):
                if self.lose_next:
                    self.lose_next -= 1
                    continue
                assert self._device is not None  # noqa: S101  (the task lives inside `async with`)
                assert self._source is not None  # noqa: S101
                await self._device.notify_subscribers(self._source, data[at : at + self.chunk])
