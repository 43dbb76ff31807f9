"""The RS-485 line: one request, one answer that matches it, or an error after which the line is silent again."""

import asyncio
from time import ticks_diff, ticks_us

from wattwire import modbus
from wattwire.errors import WireError

RESPONSE_MS = 300  # how long a device may think
POLL_MS = 1


class Bus:
    """Half duplex, one exchange at a time; the meter's task is its only user."""

    def __init__(self, uart, baud, enable=None, response_ms=RESPONSE_MS):
        self._uart = uart
        self._baud = baud
        self._enable = enable  # the transceiver's driver-enable pin, if it does not switch by itself
        self._response_us = 1000 * response_ms
        self._silence_us = modbus.silence_us(baud)
        self._quiet_since = ticks_us()

    async def read(self, unit, read):
        """Return the register bytes of a plan's Read; raises WireError (`timeout` if nothing came) or ModbusError."""
        request = modbus.read_request(unit, read.fc, read.address, read.count)
        reader = modbus.ResponseReader(request)
        await self._wait_silence()
        self._send(request)
        try:
            return await self._answer(reader, modbus.wire_us(read.count, self._baud))
        except modbus.ModbusError:
            raise
        except WireError as error:
            await self._settle(0 if error.reason == "bad_crc" else self._response_us)
            raise

    async def _answer(self, reader, wire_us):
        began = ticks_us()
        await asyncio.sleep_ms(wire_us // 1000)
        while True:
            data = self._uart.read()
            self._quiet_since = ticks_us()
            if data:
                registers = reader.feed(data)
                if registers is not None:
                    return registers
            elif ticks_diff(self._quiet_since, began) > wire_us + self._response_us:
                raise WireError("timeout")
            await asyncio.sleep_ms(POLL_MS)

    async def _wait_silence(self):
        while True:
            if self._uart.read():
                self._quiet_since = ticks_us()
            left_us = self._silence_us - ticks_diff(ticks_us(), self._quiet_since)
            # A time long ago looks like the future once ticks wrapped; no silence takes longer than its own length.
            if not 0 < left_us <= self._silence_us:
                return
            await asyncio.sleep_ms(-(-left_us // 1000))

    async def _settle(self, wait_us):
        """Discard what arrives until a late answer can no longer be taken for the next request's."""
        drain = modbus.Drain(wait_us, self._silence_us)
        before = ticks_us()
        while True:
            await asyncio.sleep_ms(2 * POLL_MS)
            now = ticks_us()
            data = self._uart.read()
            if drain.step(ticks_diff(now, before), len(data) if data else 0):
                self._quiet_since = now
                return
            before = now

    def _send(self, request):
        if self._enable is None:
            self._uart.write(request)
            return
        self._enable.on()
        self._uart.write(request)
        self._uart.flush()
        self._enable.off()
