"""What a request's PDU asks for, checked as the Modbus specification (V1.1b3, section 6) says."""

from typing import NamedTuple

from wattwire import modbus
from wattwire.plan import Read

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
FAILED, BUSY, NO_PATH, NO_ANSWER = 4, 6, 10, 11

HOLDING, COIL = "holding", "coil"
BITS_READ_MAX, BITS_WRITTEN_MAX = 2000, 1968
REGISTERS_WRITTEN_MAX, REGISTERS_SWAPPED_MAX = 123, 121
COIL_VALUES = (0x0000, 0xFF00)


class DeclinedError(Exception):
    """A request that is answered with an exception; `reason` is what it is counted as."""

    def __init__(self, code: int, reason: str) -> None:
        """`code` is the protocol's exception code."""
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Written(NamedTuple):
    """The registers or coils that a request writes."""

    table: str
    first: int
    last: int


class Asked(NamedTuple):
    """A request that a device could carry out."""

    pdu: bytes
    read: Read | None  # of registers; None for bits
    written: Written | None  # None: it only reads


def parse(pdu: bytes) -> Asked:
    """Return what is asked; raises DeclinedError."""
    function = pdu[0] if pdu else 0
    sizes = _SIZES.get(function)
    if sizes is None:
        raise DeclinedError(ILLEGAL_FUNCTION, "unknown_function")
    if len(pdu) < sizes or (len(pdu) > sizes and function not in _WITH_DATA):
        raise DeclinedError(ILLEGAL_VALUE, "bad_request")
    if function <= modbus.INPUT:
        return _reading(pdu, function)
    if function == 23:
        return _swapping(pdu)
    return Asked(pdu, None, _writing(pdu, function))


_SIZES = {1: 5, 2: 5, 3: 5, 4: 5, 5: 5, 6: 5, 15: 6, 16: 6, 22: 7, 23: 10}  # without the data that follows
_WITH_DATA = (15, 16, 23)


def _reading(pdu: bytes, function: int) -> Asked:
    address, count = _u16(pdu, 1), _u16(pdu, 3)
    of_registers = function >= modbus.HOLDING
    _span(address, count, modbus.COUNT_MAX if of_registers else BITS_READ_MAX)
    return Asked(pdu, Read(function, address, count) if of_registers else None, None)


def _writing(pdu: bytes, function: int) -> Written:
    address = _u16(pdu, 1)
    if function in {6, 22}:
        return Written(HOLDING, address, address)
    if function == 5:
        if _u16(pdu, 3) not in COIL_VALUES:
            raise DeclinedError(ILLEGAL_VALUE, "bad_request")
        return Written(COIL, address, address)
    count = _u16(pdu, 3)
    size, most, table = (2 * count, REGISTERS_WRITTEN_MAX, HOLDING)
    if function == 15:
        size, most, table = ((count + 7) // 8, BITS_WRITTEN_MAX, COIL)
    _data(pdu[5:], size)
    return Written(table, address, _span(address, count, most))


def _swapping(pdu: bytes) -> Asked:
    _span(_u16(pdu, 1), _u16(pdu, 3), modbus.COUNT_MAX)
    address, count = _u16(pdu, 5), _u16(pdu, 7)
    _data(pdu[9:], 2 * count)
    return Asked(pdu, None, Written(HOLDING, address, _span(address, count, REGISTERS_SWAPPED_MAX)))


def _span(address: int, count: int, most: int) -> int:
    """Return the last address."""
    if not 1 <= count <= most:
        raise DeclinedError(ILLEGAL_VALUE, "bad_request")
    if address + count > 65536:
        raise DeclinedError(ILLEGAL_ADDRESS, "bad_address")
    return address + count - 1


def _data(counted: bytes, size: int) -> None:
    """Refuse data that are not as long as they say, and as their count says."""
    if counted[0] != size or len(counted) != 1 + size:
        raise DeclinedError(ILLEGAL_VALUE, "bad_request")


def _u16(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]
