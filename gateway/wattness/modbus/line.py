"""One connection to Modbus devices: TCP, RTU over TCP or a serial port, one exchange at a time.

pymodbus frames and parses. What it leaves to its caller is here: a late answer must not be taken for the next
request's, so whatever leaves the line in doubt closes the connection or waits out the silence.
"""

import asyncio
import logging
import struct
import time
from operator import sub
from typing import Any

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import DecodePDU, ModbusPDU

from wattness.cancelling import heed_cancellation
from wattness.devices import Address
from wattwire import modbus, reading
from wattwire.errors import WireError
from wattwire.modbus import ModbusError
from wattwire.pace import Pace
from wattwire.plan import Read

from .recent import Recent

CONNECT_S = 3.0
RECONNECT_S = 1.0  # after a connection that could not be made, nobody tries before
TCP_LEAST_S, TCP_FIRST_S, TCP_MOST_S = 0.5, 2.0, 5.0  # networks pause where wires do not
TIMED_OUT_MAX = 2  # in a row on one TCP connection, behind which several units may be
UNITS_MAX = 256

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # whoever asks says what went wrong
FUNCTIONS = frozenset((1, 2, 3, 4, 5, 6, 15, 16, 22, 23))  # what is passed on
_REQUESTS = DecodePDU(True)


class SilentError(Exception):
    """There was no answer; its text says in words why."""


class UnreachableError(SilentError):
    """There is no connection: to ask again at once is of no use."""


class Line:
    """Asks the devices at one address. Raises SilentError, ModbusError (the device refused) or WireError (garbled)."""

    def __init__(self, address: Address, *, connect_pause_ms: int = 0) -> None:
        """Nothing is opened before the first question."""
        self.address = address
        self.recent = Recent()
        self.exchanges = 0
        self.turn = asyncio.Lock()  # held for each exchange: whoever has it may use `exchange_now`
        self._pause_s = connect_pause_ms / 1000
        self._client: AsyncModbusTcpClient | AsyncModbusSerialClient | None = None
        self._paces: dict[int, Pace] = {}
        self._retry_s = 0.0
        self._quiet_s = 0.0  # when the last exchange ended
        self._last_unit: int | None = None
        self._doubts = 0
        self._deadline: asyncio.Timeout | None = None

    def pace(self, unit: int, manner: Any = reading.PLAIN) -> Pace:
        """Return what the unit has shown, with the `manner` in which its profile wants it asked."""
        pace = self._paces.get(unit)
        if pace is None or manner not in {pace.manner, reading.PLAIN}:
            if len(self._paces) >= UNITS_MAX:
                self._paces.clear()
            pace = self._paces[unit] = Pace(manner)
        return pace

    async def read(self, unit: int, read: Read) -> bytes:
        """Return the bytes of the registers, and keep them for others."""
        async with self.turn:
            return await self.read_now(unit, read)

    async def read_now(self, unit: int, read: Read) -> bytes:
        """Do as `read`, for whoever has the turn."""
        began_s = time.monotonic()
        pdu = bytes((read.fc, read.address >> 8, read.address & 255, read.count >> 8, read.count & 255))
        answer = await self.exchange_now(unit, pdu)
        width = self.pace(unit).manner.width
        if len(answer) != 2 + width * read.count or answer[1] != len(answer) - 2:
            self._garbled(unit)
            raise WireError("wrong_length", f"asked for {read.count} registers, got {len(answer) - 2} bytes")
        data = answer[2:]
        self.recent.keep(unit, read, data, began_s)
        return data

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        """Send a request's PDU once and return the answer's."""
        async with self.turn:
            return await self.exchange_now(unit, pdu)

    async def exchange_now(self, unit: int, pdu: bytes) -> bytes:
        """Do as `exchange`, for whoever has the turn."""
        request = _request(unit, pdu)
        client = await self._connected()
        pace = self.pace(unit)
        await self._keep_silence(unit, pdu)
        began_s = time.monotonic()
        if pace.stray:
            pace.missed(pdu, _us(began_s))
        try:
            response = await self._ask(client, request, unit, pace, self._wait_s(pace, pdu))
        except SilentError:
            if self.address.is_serial_line:
                pace.missed(pdu, _us(began_s))
            raise
        self._quiet_s = time.monotonic()
        pace.answered(_us(self._quiet_s - began_s) - self._wire_us(pdu))
        self._doubts = 0
        if response.function_code != request.function_code:
            raise ModbusError(getattr(response, "exception_code", 4))
        return bytes((response.function_code,)) + response.encode()

    def close(self) -> None:
        """Let go of the connection; the next question makes a new one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _ask(self, client: Any, request: ModbusPDU, unit: int, pace: Pace, wait_s: float) -> ModbusPDU:
        self.exchanges += 1
        self._last_unit = unit
        try:
            async with asyncio.timeout(wait_s) as self._deadline:
                response: ModbusPDU = await client.execute(False, request)
            heed_cancellation()
        except TimeoutError:
            pace.silent()
            await self._settle(wait_s)
            raise SilentError(f"unit {unit} did not answer within {wait_s:.1f} s") from None
        except (ModbusException, OSError) as error:
            self._garbled(unit)
            raise WireError("bad_form", str(error)) from None
        except BaseException:
            self.close()  # cancelled: the answer may still come
            raise
        finally:
            self._deadline = None
        if response.function_code & 0x7F != request.function_code:
            self._garbled(unit)
            raise WireError("wrong_function", f"asked {request.function_code}, heard {response.function_code}")
        return response

    def _garbled(self, unit: int) -> None:
        self.pace(unit).garbled()
        self.close()

    async def _settle(self, wait_s: float) -> None:
        """Make sure that a late answer is not taken for another's."""
        self._doubts += 1
        lost = self._client is None or not self._client.connected
        if self.address.kind == "serial" and not lost:
            await asyncio.sleep(wait_s)  # what comes now is discarded with the next request
            self._quiet_s = time.monotonic()
        elif lost or self.address.kind != "tcp" or self._doubts >= TIMED_OUT_MAX:
            self.close()

    async def _connected(self) -> Any:
        if self._client is not None and self._client.connected:
            return self._client
        self.close()
        now_s = time.monotonic()
        if now_s < self._retry_s:
            raise UnreachableError(f"{self.address.host} could not be reached a moment ago")
        client = self._make_client()
        try:
            connected = await client.connect()
        except OSError:  # a serial port that is none
            connected = False
        if not connected:
            client.close()
            self._retry_s = time.monotonic() + RECONNECT_S
            raise UnreachableError(f"{self.address.host} cannot be reached")
        self._client = client
        self._doubts = 0
        if self._pause_s:
            await asyncio.sleep(self._pause_s)
        return client

    def _make_client(self) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
        """Return a client without retries and reconnects of its own: schedules decide on both."""
        host, address = self.address.host, self.address
        if address.kind == "serial":
            return AsyncModbusSerialClient(
                host,
                baudrate=address.baud,
                parity=address.parity,
                stopbits=address.stopbits,
                reconnect_delay=0,
                timeout=CONNECT_S,
                retries=0,
                trace_connect=self._noticed,
            )
        return AsyncModbusTcpClient(
            host,
            port=address.port,
            framer=FramerType.RTU if address.kind == "rtu+tcp" else FramerType.SOCKET,
            reconnect_delay=0,
            timeout=CONNECT_S + TCP_MOST_S,
            retries=0,
            trace_connect=self._noticed,
        )

    def _noticed(self, connected: bool) -> None:  # noqa: FBT001 - pymodbus's form of a callback
        """Wait no longer for an answer on a connection that has ended."""
        if not connected and self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time())

    async def _keep_silence(self, unit: int, pdu: bytes) -> None:
        pace = self.pace(unit)
        await asyncio.sleep(pace.stray_us(pdu, sub, _us(time.monotonic())) / 1e6)
        silence_s = pace.change_ms() / 1000 if unit != self._last_unit else pace.manner.gap_ms / 1000
        if self.address.is_serial_line:
            silence_s = max(silence_s, modbus.silence_us(self.address.baud, self.address.char_bits) / 1e6)
        left_s = self._quiet_s + silence_s - time.monotonic()
        if left_s > 0:
            await asyncio.sleep(left_s)

    def _wire_us(self, pdu: bytes) -> int:
        if not self.address.is_serial_line:
            return 0
        count = pdu[3] << 8 | pdu[4] if pdu[0] in (3, 4) else 2
        return int(modbus.wire_us(count, self.address.baud, self.address.char_bits))

    def _wait_s(self, pace: Pace, pdu: bytes) -> float:
        wire_us = self._wire_us(pdu)
        wait_s: float = (wire_us + pace.response_us(wire_us)) / 1e6
        if self.address.kind == "serial":
            return wait_s
        if not pace.answers:
            return max(wait_s, TCP_FIRST_S)
        return min(max(4 * wait_s, TCP_LEAST_S), TCP_MOST_S)


def _us(seconds: float) -> int:
    return int(seconds * 1e6)


def _request(unit: int, pdu: bytes) -> ModbusPDU:
    """Return pymodbus's form of a request; raises ModbusError as a device would."""
    if not pdu or pdu[0] not in FUNCTIONS:
        raise ModbusError(1)
    request = _REQUESTS.decode(pdu)
    try:
        is_same = request is not None and request.encode() == pdu[1:]
    except (ModbusException, ValueError, struct.error):
        is_same = False
    if request is None or not is_same:
        raise ModbusError(3)
    request.dev_id = unit
    return request
