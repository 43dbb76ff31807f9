"""bleak's two backends over an air of bumble's: real GATT, no adapter."""

from typing import Any

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError
from bumble.core import AdvertisingData
from bumble.device import Device, Peer
from bumble.hci import Address

from emulator.radio.air import Air

NAMES = {0x02: "read", 0x04: "write-without-response", 0x08: "write", 0x10: "notify", 0x20: "indicate"}


def long_uuid(uuid: Any) -> str:
    data = bytes(uuid)[::-1].hex()
    whole = f"0000{data}00001000800000805f9b34fb" if len(data) == 4 else data
    return "-".join((whole[:8], whole[8:12], whole[12:16], whole[16:20], whole[20:]))


class Client(BaseBleakClient):
    """A client of `central`."""

    central: Device
    _peer: Peer | None = None

    @property
    def mtu_size(self) -> int:
        return 23

    @property
    def is_connected(self) -> bool:
        return self._peer is not None

    @property
    def name(self) -> str:
        return self.address

    async def connect(self, pair: bool, **kwargs: Any) -> None:  # noqa: FBT001 - bleak's
        try:
            connection = await self.central.connect(Address(self.address), timeout=2)
        except Exception as error:
            raise BleakError(str(error)) from error
        connection.on("disconnection", self._gone)
        self._peer = Peer(connection)
        self.services = BleakGATTServiceCollection()
        for service in await self._peer.discover_services():
            own = BleakGATTService(service, service.handle, long_uuid(service.uuid))
            self.services.add_service(own)
            for each in await service.discover_characteristics():
                names: Any = [name for bit, name in NAMES.items() if int(each.properties) & bit]
                self.services.add_characteristic(
                    BleakGATTCharacteristic(each, each.handle, long_uuid(each.uuid), names, lambda: 20, own)
                )

    def _gone(self, _reason: int) -> None:
        self._peer = None
        if self._disconnected_callback:
            self._disconnected_callback()

    async def disconnect(self) -> None:
        if self._peer is not None:
            await self._peer.connection.disconnect()

    async def pair(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError

    async def unpair(self) -> None:
        raise NotImplementedError

    async def read_gatt_char(self, characteristic: Any, **kwargs: Any) -> bytearray:
        return bytearray(await characteristic.obj.read_value())

    async def read_gatt_descriptor(self, descriptor: Any, **kwargs: Any) -> bytearray:
        return bytearray(await descriptor.obj.read_value())

    async def write_gatt_char(self, characteristic: Any, data: Any, response: bool) -> None:  # noqa: FBT001
        if self._peer is None:
            raise BleakError("not connected")
        await characteristic.obj.write_value(bytes(data), with_response=response)

    async def write_gatt_descriptor(self, descriptor: Any, data: Any) -> None:
        await descriptor.obj.write_value(bytes(data))

    async def start_notify(self, characteristic: Any, callback: Any, **kwargs: Any) -> None:
        await characteristic.obj.subscribe(lambda data: callback(bytearray(data)))

    async def stop_notify(self, characteristic: Any) -> None:
        await characteristic.obj.unsubscribe()


class Scanner(BaseBleakScanner):
    """A scanner of `central`."""

    central: Device

    def __init__(self, detection_callback: Any, service_uuids: Any, scanning_mode: str, **_kwargs: Any) -> None:
        super().__init__(detection_callback, service_uuids)

    async def start(self) -> None:
        self.seen_devices = {}
        self.central.on("advertisement", self._advert)
        await self.central.start_scanning(filter_duplicates=False)

    async def stop(self) -> None:
        await self.central.stop_scanning()
        self.central.remove_listener("advertisement", self._advert)

    def _advert(self, advert: Any) -> None:
        address = advert.address.to_string(with_type_qualifier=False)
        raw = advert.data.get(AdvertisingData.Type.MANUFACTURER_SPECIFIC_DATA, raw=True)
        made = {int.from_bytes(raw[:2], "little"): bytes(raw[2:])} if raw else {}
        listed = advert.data.get_all(AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS)
        services = [long_uuid(uuid) for uuids in listed for uuid in uuids]
        found = AdvertisementData(None, made, {}, services, None, -60, ())
        self.call_detection_callbacks(self.create_or_update_device(address, address, None, advert, found), found)


async def backends(air: Air) -> tuple[type[BaseBleakClient], type[BaseBleakScanner]]:
    """Return client and scanner of one more radio on the air."""
    own = {"central": await air.device("gateway")}
    return type("OwnClient", (Client,), own), type("OwnScanner", (Scanner,), own)
