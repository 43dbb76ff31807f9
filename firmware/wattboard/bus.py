"""The RS-485 line: one request, one answer that matches it, or an error after which the line is silent again."""

import asyncio
from time import ticks_diff, ticks_us

from wattwire import modbus
from wattwire.errors import WireError
from wattwire.pace import Use

POLL_MS = 1
REQUEST_BYTES = 8


class Bus:
    """Half duplex, one exchange at a time; the meter's task is its only user. `use` is how busy the line is."""

    def __init__(self, uart, baud, enable=None):
        self.baud = baud
        self.use = Use()
        self._uart = uart
        self._enable = enable  # the transceiver's driver-enable pin, if it does not switch by itself
        self._silence_us = modbus.silence_us(baud)
        self._quiet_since = ticks_us()
        self._last_unit = None

    async def read(self, unit, read, pace):
        """Return the register bytes of a plan's Read; raises WireError (`timeout` if nothing came) or ModbusError."""
        request = modbus.read_request(unit, read.fc, read.address, read.count)
        reader = modbus.ResponseReader(request, pace.manner.width)
        stray_us = pace.stray_us(read, ticks_diff, ticks_us())
        if stray_us:
            await self._settle(stray_us)
        is_change = self._last_unit not in (unit, None)
        self._last_unit = unit
        pause_ms = pace.change_ms() if is_change else pace.manner.gap_ms
        await self._wait_silence(max(1000 * pause_ms, self._silence_us))
        wire_us = modbus.wire_us(read.count * pace.manner.width // 2, self.baud)
        response_us = pace.response_us(wire_us)
        began = ticks_us()
        if pace.stray:
            pace.missed(read, began)
        self._send(request)
        try:
            registers = await self._answer(reader, began, wire_us, response_us)
        except WireError as error:
            if is_change:
                pace.missed_change()
            if error.reason == "timeout":
                pace.silent()
            else:
                pace.garbled()
            if error.reason != "bad_crc":
                pace.missed(read, began)
                await self._settle(response_us)
            else:
                await self._settle(0)
            raise
        else:
            pace.answered(ticks_diff(self._quiet_since, began) - wire_us - self._silence_us)
            return registers
        finally:
            self.use.add(ticks_diff(ticks_us(), began) + self._silence_us)

    async def _answer(self, reader, began, wire_us, response_us):
        request_us = REQUEST_BYTES * modbus.char_us(self.baud)
        limit_us = request_us + self._silence_us + response_us  # until the first byte, then until the last
        await asyncio.sleep_ms(min(wire_us, limit_us) // 1000)
        while True:
            data = self._uart.read()
            self._quiet_since = ticks_us()
            if data:
                limit_us = wire_us + self._silence_us + response_us
                registers = reader.feed(data)
                if registers is not None:
                    return registers
            elif ticks_diff(self._quiet_since, began) > limit_us:
                raise WireError("timeout")
            await asyncio.sleep_ms(POLL_MS)

    async def _wait_silence(self, silence_us):
        while True:
            if self._uart.read():
                self._quiet_since = ticks_us()
            left_us = silence_us - ticks_diff(ticks_us(), self._quiet_since)
            # A time long ago looks like the future once ticks wrapped; no silence takes longer than its own length.
            if not 0 < left_us <= silence_us:
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
