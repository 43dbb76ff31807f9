"""Daly: Modbus RTU in notifications, 62 registers of unit D2."""

from . import modbus
from .bms import CELLS_MAX, SENSORS_MAX, cells, temperatures
from .errors import WireError

UNIT = 0xD2
REGISTERS = 62
NO_CURRENT = 30000
NO_DEGREES = 40


class Daly:
    """The decoder of one device."""

    service, notify, write = 0xFFF0, 0xFFF1, 0xFFF2
    exponents = {"voltage": -1, "current": -1, "power": -2, "soc": -1, "charge": -1, "cycles": 0, "errors": 0}
    numbered = {"cell_voltage": -3, "temperature": 0}
    streams = False

    def __init__(self) -> None:
        self.told = False
        self._request = modbus.read_request(UNIT, modbus.HOLDING, 0, REGISTERS)
        self.pieces = self  # Modbus knows by itself what is under way
        self._reader = modbus.ResponseReader(self._request)
        self._whole = self._reader.missing

    @property
    def pending(self) -> bool:
        """Tell whether an answer is under way."""
        return self._reader.missing != self._whole

    def requests(self) -> tuple:
        """Return what to write."""
        return (self._request,)

    def feed(self, data: bytes) -> dict | None:
        """Return the points of a whole answer, or None; raises WireError."""
        if len(data) == self._whole and self.pending:
            self._reader = modbus.ResponseReader(self._request)  # whole by itself: the other has lost its end
        reader = self._reader
        surplus = len(data) - reader.missing
        try:
            registers = reader.feed(data)
        except modbus.ModbusError as error:
            self._reader = modbus.ResponseReader(self._request)
            raise WireError("refused", str(error))
        except WireError:
            self._reader = modbus.ResponseReader(self._request)
            raise
        if registers is None:
            return None
        self._reader = modbus.ResponseReader(self._request)
        if surplus > 0:
            raise WireError("trailing_bytes", "Daly")
        return points(registers)


def points(data: bytes) -> dict:
    """Return the points of the 62 registers' bytes; raises WireError."""
    words = [data[at] << 8 | data[at + 1] for at in range(0, 2 * REGISTERS, 2)]
    count, sensors = words[49], words[50]
    if count > CELLS_MAX or sensors > SENSORS_MAX:
        raise WireError("bad_range", "a Daly of %d cells and %d sensors" % (count, sensors))
    voltage, current = words[40], words[41] - NO_CURRENT
    errors = int.from_bytes(data[116:124], "big")
    found = {
        "voltage": (voltage, -1),
        "current": (current, -1),
        "power": (voltage * current, -2),
        "soc": (words[42], -1) if words[42] <= 1000 else None,
        "charge": (words[48], -1),
        "cycles": (words[51], 0),
        "errors": (errors, 0) if errors < 1 << 62 else None,
    }
    found.update(cells(words[:count]))
    found.update(temperatures([word - NO_DEGREES for word in words[32 : 32 + sensors]], 0))
    return found
