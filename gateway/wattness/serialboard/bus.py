"""The board's meter bus, driven from here through its REPL: who is there, and what their registers hold."""

from collections.abc import Iterator
from typing import NamedTuple

from wattwire import modbus
from wattwire.errors import WireError
from wattwire.plan import Read

from .repl import Repl

PRESENCE_MS = 100  # no unit thinks for longer, wire time apart
PRESENCE_BYTES = 9
PATIENCE_MS = 400
TRIES = 2
BATCH = 8
OPEN = """
import machine, time
def ask(request, wait_ms, size):
    time.sleep_ms(%(gap_ms)d)
    u.read()
    if d: d(1)
    u.write(request)
    if hasattr(u, "flush"): u.flush()
    if d: d(0)
    got = b""
    end = time.ticks_add(time.ticks_ms(), wait_ms)
    while len(got) < size and not (len(got) >= 5 and got[1] & 128) and time.ticks_diff(end, time.ticks_ms()) > 0:
        got += u.read() or b""
        time.sleep_ms(1)
    return got.hex()
u = machine.UART(%(uart)d, baudrate=%(baud)d, tx=%(tx)d, rx=%(rx)d, timeout=0, rxbuf=512)
d = None if %(de)r is None else machine.Pin(%(de)r, machine.Pin.OUT, value=0)
"""


class Wiring(NamedTuple):
    """How the board's UART is wired to the transceiver, as the board's configuration has it."""

    uart: int = 1
    baud: int = 9600
    tx: int = 17
    rx: int = 16
    de: int | None = None


class BoardBus:
    """Asks the units on the board's bus; a board that meters must have been interrupted."""

    def __init__(self, repl: Repl, wiring: Wiring) -> None:
        """Open the UART on the board."""
        self._repl = repl
        gap_ms = max(5, 2 * modbus.silence_us(wiring.baud) // 1000)
        repl.run(OPEN % (wiring._asdict() | {"gap_ms": gap_ms}))
        self._presence_ms = PRESENCE_MS + modbus.exchange_us(2, wiring.baud) // 1000
        self._wire_ms = modbus.wire_us(modbus.COUNT_MAX, wiring.baud) // 1000

    def present(self, units: range) -> Iterator[tuple[int, bool]]:
        """Yield each unit and whether it answers, be it with a refusal."""
        for first in range(units.start, units.stop, BATCH):
            batch = range(first, min(first + BATCH, units.stop))
            asked = [modbus.read_request(unit, modbus.HOLDING, 0, 2) for unit in batch]
            code = f"for each in {asked!r}: print(ask(each, {self._presence_ms}, {PRESENCE_BYTES}))"
            answers = self._repl.run(code, 60).splitlines()
            for unit, text in zip(batch, answers, strict=False):
                yield unit, _is_answer(unit, bytes.fromhex(text))

    def read(self, unit: int, read: Read, width: int = 2) -> bytes | None:
        """Return the registers' bytes, or None if the unit refused or there was no good answer."""
        request = modbus.read_request(unit, read.fc, read.address, read.count)
        for _ in range(TRIES):
            size = 5 + width * read.count
            text = self._repl.run(f"print(ask({request!r}, {PATIENCE_MS + self._wire_ms}, {size}))")
            try:
                data = modbus.ResponseReader(request, width).feed(bytes.fromhex(text.strip()))
            except modbus.ModbusError:
                return None
            except WireError:
                continue
            if data is not None:
                return bytes(data)
        return None


def _is_answer(unit: int, data: bytes) -> bool:
    """Whether these bytes begin with a sound answer of that unit; noise is none."""
    if len(data) < 5 or data[0] != unit:
        return False
    size = 5 if data[1] & 0x80 else 5 + data[2]
    return len(data) >= size and bool(modbus.seal(data[: size - 2]) == data[:size])
