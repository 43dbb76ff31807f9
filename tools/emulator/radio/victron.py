"""Victron devices that only advertise: records of their figures, encrypted anew for every advert."""

from bumble.core import AdvertisingData
from bumble.device import AdvertisingType, Device
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from emulator.radio.air import Air

COMPANY = b"\xe1\x02"
BATTERY, SOLAR = 2, 1


def packed(fields: list[tuple[int, int]]) -> bytes:
    """Return (value, bits) pairs as the maker packs them: low bits first, what is left over filled with ones."""
    number = at = 0
    for value, bits in fields:
        number |= (value & ((1 << bits) - 1)) << at
        at += bits
    size = -(-at // 8)
    number |= ((1 << (8 * size - at)) - 1) << at
    return number.to_bytes(size, "little")


def battery_record(millivolts: int, milliamperes: int, soc_permille: int) -> bytes:
    """Return what a battery monitor advertises."""
    return packed([
        (0xFFFF, 16), (millivolts // 10, 16), (0, 16), (0, 16), (3, 2), (milliamperes, 22), (500, 20),
        (soc_permille, 10),
    ])  # fmt: skip


def solar_record(watts: int, millivolts: int, deciamperes: int) -> bytes:
    """Return what a solar charger advertises: its power, the battery's voltage and current."""
    return packed([(3, 8), (0, 8), (millivolts // 10, 16), (deciamperes, 16), (120, 16), (watts, 16), (0x1FF, 9)])


class VictronDevice:
    """One advertiser; `show` puts new figures on the air."""

    def __init__(self, air: Air, name: str, key: bytes, kind: int) -> None:
        """`kind` is the record's type."""
        self.key = key
        self._air, self._name, self._kind = air, name, kind
        self._counter = 0
        self._device: Device | None = None

    @property
    def address(self) -> str:
        """Where it is: six bytes with colons."""
        assert self._device is not None  # noqa: S101  (set by the first `show`)
        return self._device.random_address.to_string(with_type_qualifier=False)

    async def show(self, record: bytes) -> None:
        """Advertise a record under the next counter."""
        if self._device is None:
            self._device = await self._air.device(self._name)
        else:
            await self._device.stop_advertising()
        self._counter += 1
        data = COMPANY + self.advert(record)
        fields: list[tuple[AdvertisingData.Type, bytes]] = [(AdvertisingData.Type.MANUFACTURER_SPECIFIC_DATA, data)]
        await self._device.start_advertising(
            AdvertisingType.UNDIRECTED_SCANNABLE, advertising_data=bytes(AdvertisingData(fields))
        )

    async def hide(self) -> None:
        """Be silent."""
        if self._device is not None:
            await self._device.stop_advertising()

    def advert(self, record: bytes) -> bytes:
        """Return the maker's data behind the company's number."""
        head = b"\x10\x02\x89\xa3" + bytes([self._kind]) + self._counter.to_bytes(2, "little") + self.key[:1]
        # The maker counts from the low byte on, and a record is one block: CTR's own block is the whole counter.
        nonce = self._counter.to_bytes(16, "little")
        encryptor = Cipher(algorithms.AES(self.key), modes.CTR(nonce)).encryptor()
        return head + encryptor.update(record)
