"""Modbus RTU client framing, sans-I/O: requests out, answers in, and how long the wire needs for both.

Rules that keep a wrong value out; the caller owns the wire and obeys them:
1. A frame begins with the first byte after silence. The reader looks for no frame within noise: bytes that do not
   match the request raise WireError at once, and the caller drains.
2. An answer counts only if unit, function code, byte count and CRC all match the request it was asked by.
3. A late answer of the same unit, function and length cannot be told apart by its bytes. So after a time-out or an
   error the caller discards what arrives until `Drain` is done, and only then sends the next request.
"""

from array import array
from collections import namedtuple

from .errors import WireError

HOLDING = 3
INPUT = 4
COUNT_MAX = 125  # registers of one answer: 250 bytes, the protocol's limit
UNIT_MAX = 247
ILLEGAL_DATA_ADDRESS = 2
EXCEPTIONS = {
    1: "illegal_function",
    2: "illegal_data_address",
    3: "illegal_data_value",
    4: "device_failure",
    5: "acknowledge",
    6: "device_busy",
    8: "memory_parity_error",
    10: "gateway_path_unavailable",
    11: "gateway_target_failed",
}

Request = namedtuple("Request", ["unit", "fc", "address", "count"])


class ModbusError(Exception):
    """The device answered with an exception: `code`, and its `name` in the protocol."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.name = EXCEPTIONS.get(code, "unknown")
        super().__init__("modbus exception %d: %s" % (code, self.name))


def _crc_table() -> array:
    table = array("H")
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return table


_CRC = _crc_table()


def crc16(data: bytes) -> int:
    """Return the CRC of `data`; on the wire its low byte goes first."""
    table = _CRC
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc


def seal(body: bytes) -> bytes:
    """Return `body` with its CRC."""
    crc = crc16(body)
    return bytes(body) + bytes((crc & 0xFF, crc >> 8))


def read_request(unit: int, fc: int, address: int, count: int) -> bytes:
    """Return the 8 bytes that ask `unit` for `count` registers from `address`; raises WireError."""
    if not 1 <= unit <= UNIT_MAX:
        raise WireError("bad_range", "unit %s is not 1 to 247" % unit)
    if fc not in (HOLDING, INPUT):
        raise WireError("bad_range", "function code %s does not read registers" % fc)
    if not 1 <= count <= COUNT_MAX:
        raise WireError("bad_range", "count %s is not 1 to 125" % count)
    if not 0 <= address <= 65536 - count:
        raise WireError("bad_range", "address %s with count %s leaves 0 to 65535" % (address, count))
    return seal(bytes((unit, fc, address >> 8, address & 0xFF, count >> 8, count & 0xFF)))


def parse_request(data: bytes) -> Request:
    """Return the Request in `data`; raises WireError unless it is exactly what `read_request` makes."""
    if len(data) != 8:
        raise WireError("truncated" if len(data) < 8 else "trailing_bytes", "a read request has 8 bytes")
    request = Request(data[0], data[1], data[2] << 8 | data[3], data[4] << 8 | data[5])
    if read_request(*request) != bytes(data):
        raise WireError("bad_crc", "request")
    return request


class ResponseReader:
    """Feed it what the UART gave after `request` was sent; it returns the register bytes once they are whole."""

    def __init__(self, request: bytes, width: int = 2) -> None:
        """`width` is the bytes of each register: 2, or 4 with the few devices that do not keep to the standard."""
        self.request = parse_request(request)
        self._data_size = width * self.request.count
        self.missing = 5 + self._data_size  # bytes still to come, as far as known: how long to wait
        self._buffer = bytearray()
        self._over = False

    def feed(self, data: bytes) -> bytes | None:
        """Return the registers' bytes (big-endian), or None while the answer is not whole.

        Raises WireError (wrong_unit, wrong_function, wrong_length, bad_crc), or ModbusError if the device refused.
        What follows a whole, good answer is not looked at. After a value or an error the reader is spent.
        """
        if self._over:
            raise WireError("trailing_bytes", "the answer is over")
        self._buffer.extend(data[: self.missing])
        try:
            size = self._expected()
            self.missing = size - len(self._buffer)
            if self.missing > 0:
                return None
            self.missing = 0
            return self._finish(size)
        except (WireError, ModbusError):
            self._over = True
            self.missing = 0
            raise

    def _expected(self) -> int:
        """Return the size of the frame that these bytes can still become."""
        request = self.request
        buffer = self._buffer
        if len(buffer) > 0 and buffer[0] != request.unit:
            raise WireError("wrong_unit", "asked %d, heard %d" % (request.unit, buffer[0]))
        if len(buffer) > 1:
            if buffer[1] == request.fc | 0x80:
                return 5
            if buffer[1] != request.fc:
                raise WireError("wrong_function", "asked %d, heard %d" % (request.fc, buffer[1]))
        if len(buffer) > 2 and buffer[2] != self._data_size:
            raise WireError("wrong_length", "asked %d bytes, heard %d" % (self._data_size, buffer[2]))
        return 5 + self._data_size

    def _finish(self, size: int) -> bytes:
        frame = bytes(self._buffer[:size])
        if seal(frame[:-2]) != frame:
            raise WireError("bad_crc", "answer")
        self._over = True
        if frame[1] != self.request.fc:
            raise ModbusError(frame[2])
        return frame[3:-2]


class Drain:
    """Tells when the line is fit for a new request after a time-out or an error.

    `wait_us` is how long an answer may still come after the time-out (give the time-out itself again; 0 after an
    answer that was whole but bad). Call `step` with the µs since the last call and how many bytes were discarded.
    """

    def __init__(self, wait_us: int, silence_us: int, limit_us: int = 10000000) -> None:
        self.wait_us = wait_us
        self.silence_us = silence_us
        self.limit_us = limit_us
        self._waited = 0
        self._silent = 0

    def step(self, elapsed_us: int, received: int) -> bool:
        """Return True when done; raises WireError (line_busy) on a line that never falls silent."""
        self._waited += elapsed_us
        self._silent = 0 if received else self._silent + elapsed_us
        if self._waited >= self.wait_us and self._silent >= self.silence_us:
            return True
        if self._waited > self.limit_us + self.wait_us:
            raise WireError("line_busy", "no silence on the bus")
        return False


def char_us(baud: int, bits: int = 10) -> int:
    """Return the µs of one character, rounded up; 8N1 has 10 bits, 8E1 and 8N2 have 11."""
    return -(-bits * 1000000 // baud)


def silence_us(baud: int, bits: int = 10) -> int:
    """Return t3.5 in µs, rounded up: the silence that parts two frames; fixed above 19200 baud."""
    if baud > 19200:
        return 1750
    return -(-35 * bits * 100000 // baud)


def wire_us(count: int, baud: int, bits: int = 10) -> int:
    """Return the µs that request and answer of `count` registers occupy the wire."""
    return -(-(13 + 2 * count) * bits * 1000000 // baud)


def exchange_us(count: int, baud: int, bits: int = 10, turnaround_us: int = 0) -> int:
    """Return the shortest time of one exchange: both frames, two silences, and the device's thinking."""
    return wire_us(count, baud, bits) + 2 * silence_us(baud, bits) + turnaround_us


def hole_registers(baud: int, turnaround_us: int, bits: int = 10) -> int:
    """Return how many unwanted registers are as cheap to read as a second request is to make."""
    idle_us = 2 * silence_us(baud, bits) + turnaround_us
    return (13 * bits * 1000000 + idle_us * baud) // (2 * bits * 1000000)
