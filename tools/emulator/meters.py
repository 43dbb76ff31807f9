"""Meters and inverters as pymodbus devices: their registers show the site's values at the moment of the read."""

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from pymodbus.constants import ExcCodes
from pymodbus.simulator import DataType, SimData, SimDevice

from emulator.site import PHASES, MeteringPoint, Reading

SHARES = (500, 300, 200)  # permille of the power on each phase of a three-phase meter
SUNSPEC_BASE = 40000
MPPT, SLEEPING = 4, 2  # a SunSpec inverter's states
NOT_IMPLEMENTED_S16 = 0x8000
NOT_IMPLEMENTED = 0xFFFF

Now = Callable[[], int]


class Meter(ABC):
    """A device on the bus. `exception` makes it refuse; `requests` counts what reached it."""

    function_code = 4
    blocks: Sequence[tuple[int, int]] = ()  # (address, registers) that it has

    def __init__(self, unit: int, point: MeteringPoint, now_ms: Now) -> None:
        self.unit, self.point, self.now_ms = unit, point, now_ms
        self.exception: ExcCodes | None = None
        self.requests = 0

    @abstractmethod
    def registers(self, now_ms: int) -> dict[int, int]:
        """Every register that is not zero, at `now_ms`."""

    def device(self) -> SimDevice:
        """The pymodbus device."""
        data = [SimData(start, count=count, values=0, datatype=DataType.REGISTERS) for start, count in self.blocks]
        return SimDevice(self.unit, simdata=data, action=self._action)

    async def _action(
        self, code: int, start: int, _address: int, _count: int, current: list[int], _values: object
    ) -> ExcCodes | None:
        self.requests += 1
        if self.exception is not None:
            return self.exception
        if code != self.function_code:
            return ExcCodes.ILLEGAL_FUNCTION
        for address, value in self.registers(self.now_ms()).items():
            current[address - start] = value
        return None


class Sdm120(Meter):
    """Eastron SDM120: one phase, input registers, float32; energies in kWh with three decimals."""

    blocks = ((0x00, 0x5A), (0x156, 4))

    def registers(self, now_ms: int) -> dict[int, int]:
        """See the maker's table; the addresses are those of `eastron_sdm120.json`."""
        reading = self.point.reading(now_ms)
        return _floats({
            0x00: reading.voltage_mv / 1e3,
            0x06: abs(reading.current_ma) / 1e3,
            0x0C: reading.power_mw / 1e3,
            0x12: reading.apparent_mva / 1e3,
            0x18: reading.reactive_mvar / 1e3,
            0x1E: reading.power_factor_ppm / 1e6,
            0x46: reading.frequency_mhz / 1e3,
            0x48: _kwh(reading.import_mwh),
            0x4A: _kwh(reading.export_mwh),
            0x156: _kwh(reading.import_mwh + reading.export_mwh),
        })  # fmt: skip


class Sdm630(Meter):
    """Eastron SDM630: three phases, input registers, float32."""

    blocks = ((0x00, 0x5A), (0x156, 0x26))

    def registers(self, now_ms: int) -> dict[int, int]:
        """See the maker's table; the addresses are those of `eastron_sdm630.json`."""
        total = self.point.reading(now_ms)
        values = {
            0x34: total.power_mw / 1e3,
            0x38: total.apparent_mva / 1e3,
            0x3C: total.reactive_mvar / 1e3,
            0x3E: total.power_factor_ppm / 1e6,
            0x46: total.frequency_mhz / 1e3,
            0x48: _kwh(total.import_mwh),
            0x4A: _kwh(total.export_mwh),
            0x156: _kwh(total.import_mwh + total.export_mwh),
        }
        for phase, reading in enumerate(phases(self.point, now_ms)):
            values |= {
                0x00 + 2 * phase: reading.voltage_mv / 1e3,
                0x06 + 2 * phase: abs(reading.current_ma) / 1e3,
                0x0C + 2 * phase: reading.power_mw / 1e3,
                0x12 + 2 * phase: reading.apparent_mva / 1e3,
                0x18 + 2 * phase: reading.reactive_mvar / 1e3,
                0x1E + 2 * phase: reading.power_factor_ppm / 1e6,
                0x15A + 2 * phase: _kwh(reading.import_mwh),
                0x160 + 2 * phase: _kwh(reading.export_mwh),
            }
        return _floats(values)


class SunSpec(Meter):
    """A SunSpec device: marker, common model 1, one more model, end."""

    function_code = 3
    model, length = 0, 0
    title = ""

    def __init__(self, unit: int, point: MeteringPoint, now_ms: Now) -> None:
        super().__init__(unit, point, now_ms)
        self.blocks = ((SUNSPEC_BASE, 2 + 68 + 2 + self.length + 2),)

    def registers(self, now_ms: int) -> dict[int, int]:
        """The whole map."""
        found = {SUNSPEC_BASE + offset: value for offset, value in enumerate(struct.unpack(">2H", b"SunS"))}
        common = SUNSPEC_BASE + 2
        found |= {common: 1, common + 1: 66, common + 66: self.unit}
        serial = f"EMU{self.unit:05d}"
        for offset, size, text in ((2, 16, "Wattness"), (18, 16, self.title), (42, 8, "1.0"), (50, 16, serial)):
            found |= _text(common + offset, size, text)
        base = common + 68
        found |= {base: self.model, base + 1: self.length}
        found |= {base + 2 + offset: NOT_IMPLEMENTED for offset in range(self.length)}
        found |= {base + offset: value & 0xFFFF for offset, value in self.values(now_ms).items()}
        end = base + 2 + self.length
        return found | {end: NOT_IMPLEMENTED, end + 1: 0}

    @abstractmethod
    def values(self, now_ms: int) -> dict[int, int]:
        """The model's registers by offset from its id."""


class SunSpecInverter(SunSpec):
    """SunSpec model 103, a three-phase inverter; positive power is generation."""

    model, length, title = 103, 50, "Emulated inverter"

    def values(self, now_ms: int) -> dict[int, int]:
        """Integers with their scale factors."""
        total = self.point.reading(now_ms)
        found = {6: -2, 13: -1, 15: 0, 17: -2, 19: 0, 21: 0, 23: -1, 26: 0, 28: -2, 30: -1, 32: 0, 37: -1}
        found |= {2: abs(total.current_ma) // 10, 14: -total.power_mw // 1000, 16: total.frequency_mhz // 10}
        found |= {18: total.apparent_mva // 1000, 20: total.reactive_mvar // 1000}
        found |= {22: -total.power_factor_ppm // 1000, 33: NOT_IMPLEMENTED_S16, 34: NOT_IMPLEMENTED_S16}
        found |= {35: NOT_IMPLEMENTED_S16, 36: NOT_IMPLEMENTED_S16, 31: NOT_IMPLEMENTED_S16}
        found |= dict(zip((24, 25), _u32(total.export_mwh // 1000), strict=True))
        found[38] = MPPT if total.power_mw < 0 else SLEEPING
        for phase, reading in enumerate(phases(self.point, now_ms)):
            found[3 + phase] = abs(reading.current_ma) // 10
            found[10 + phase] = reading.voltage_mv // 100
        return found


class SunSpecMeter(SunSpec):
    """SunSpec model 203, a three-phase meter; positive power is import."""

    model, length, title = 203, 105, "Emulated meter"

    def values(self, now_ms: int) -> dict[int, int]:
        """Integers with their scale factors."""
        total = self.point.reading(now_ms)
        found = dict.fromkeys(range(2, 38), NOT_IMPLEMENTED_S16)
        found |= {6: -2, 15: -1, 17: -2, 22: 0, 27: 0, 32: 0, 37: -1, 54: 0}
        found |= {2: total.current_ma // 10, 7: total.voltage_mv // 100, 16: total.frequency_mhz // 10}
        found |= {18: total.power_mw // 1000, 23: total.apparent_mva // 1000, 28: total.reactive_mvar // 1000}
        found |= dict.fromkeys(range(38, 54), 0)  # a counter that is not kept shows zero
        found |= dict(zip((38, 39, 46, 47), (*_u32(total.export_mwh // 1000), *_u32(total.import_mwh // 1000)), strict=True))  # fmt: skip  # noqa: E501
        for phase, reading in enumerate(phases(self.point, now_ms)):
            found[3 + phase] = reading.current_ma // 10
            found[8 + phase] = reading.voltage_mv // 100
            found[19 + phase] = reading.power_mw // 1000
        return found


KINDS: dict[str, type[Meter]] = {
    "sdm120": Sdm120,
    "sdm630": Sdm630,
    "sunspec_inverter": SunSpecInverter,
    "sunspec_meter": SunSpecMeter,
}


def phases(point: MeteringPoint, now_ms: int) -> list[Reading]:
    """The readings of the three phases; power and counters add up to the total's."""
    total = point.reading(now_ms)
    found: list[Reading] = []
    for phase, share in enumerate(SHARES):
        own = point.reading(now_ms, phase)
        if phase == PHASES - 1:
            split = [getattr(total, name) - sum(getattr(one, name) for one in found) for name in SPLIT]
        else:
            split = [getattr(total, name) * share // 1000 for name in SPLIT]
        found.append(own._replace(**dict(zip(SPLIT, split, strict=True))))
    return found


SPLIT = ("power_mw", "import_mwh", "export_mwh", "current_ma", "apparent_mva", "reactive_mvar")


def _floats(values: dict[int, float]) -> dict[int, int]:
    found = {}
    for address, value in values.items():
        found[address], found[address + 1] = struct.unpack(">2H", struct.pack(">f", value))
    return found


def _kwh(mwh: int) -> float:
    return mwh // 1000 / 1000


def _u32(value: int) -> tuple[int, int]:
    return value >> 16 & 0xFFFF, value & 0xFFFF


def _text(address: int, size: int, text: str) -> dict[int, int]:
    data = text.encode().ljust(2 * size, b"\0")
    return {address + index: value for index, value in enumerate(struct.unpack(f">{size}H", data))}
