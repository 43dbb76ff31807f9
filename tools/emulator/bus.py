"""The meter bus: a TCP port that is the far end of a board's UART, the line, and a pymodbus server as the meters."""

import asyncio
import contextlib
import random
from collections import Counter, deque
from collections.abc import Sequence
from typing import Self, cast

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer

from emulator.line import Exchange, Fault, FaultKind, LineClock, Timing, crc16, spoil
from emulator.meters import Meter

TURNAROUND_MS = 25  # what real meters were seen to take
PIECE_BYTES = 32  # a UART hands bytes over in pieces
FRAME_BYTES_MIN, FRAME_BYTES_MAX = 4, 256
SERVER_S = 2.0
KEPT_EXCHANGES = 256


class Bus:
    """One RS-485 line with `meters`; use it as `async with`, or start and stop it. Unknown units are silent."""

    def __init__(
        self,
        meters: Sequence[Meter],
        *,
        baud: int = 9600,
        turnaround_ms: float = TURNAROUND_MS,
        seed: int = 0,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.meters = {meter.unit: meter for meter in meters}
        self.timing = Timing(baud)
        self.turnaround_ms = dict.fromkeys(self.meters, turnaround_ms)
        self.counts: Counter[str] = Counter()  # answered, silent, wrong_speed, and each fault by name
        self.exchanges: deque[Exchange] = deque(maxlen=KEPT_EXCHANGES)
        self._address = address
        self._chance = random.Random(seed)
        self._faults: dict[int, list[Fault]] = {unit: [] for unit in self.meters}
        self._clock = LineClock(self.timing)
        self._server: asyncio.Server | None = None
        self._modbus: ModbusTcpServer | None = None
        self._to_meters: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._line = asyncio.Lock()

    @property
    def address(self) -> tuple[str, int]:
        """Where a UART connects to."""
        return self._address

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Power the meters and open the port."""
        self._modbus = ModbusTcpServer(
            [meter.device() for meter in self.meters.values()], framer=FramerType.RTU, address=("127.0.0.1", 0)
        )
        await self._modbus.serve_forever(background=True)
        port = cast("asyncio.Server", self._modbus.transport).sockets[0].getsockname()[1]
        self._to_meters = await asyncio.open_connection("127.0.0.1", port)
        self._server = await asyncio.start_server(self._serve, *self._address)
        self._address = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Close everything."""
        if self._server:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._to_meters:
            self._to_meters[1].close()
            with contextlib.suppress(OSError):
                await self._to_meters[1].wait_closed()
        if self._modbus:
            await self._modbus.shutdown()  # type: ignore[no-untyped-call]

    def fault(self, unit: int, fault: Fault) -> None:
        """From now on `fault` may strike the answers of `unit`."""
        self._faults[unit].append(fault)

    def heal(self, unit: int | None = None) -> None:
        """Take the faults of one unit away, or of all."""
        for one in [unit] if unit is not None else list(self._faults):
            self._faults[one].clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (a stream's callback is a task)
        self._tasks.add(task)
        try:
            await self._listen(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            pass  # the bus stops; nobody awaits this task's end but `stop`
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await reader.read(FRAME_BYTES_MAX)
        speed = self.timing.baud
        if heard.startswith(b"UART "):
            while b"\n" not in heard:
                heard += await reader.readexactly(1)
            hello, _, heard = heard.partition(b"\n")
            speed = int(hello.split()[1])
        loop = asyncio.get_running_loop()
        while True:
            heard = heard or await reader.read(FRAME_BYTES_MAX)
            if not heard:
                return
            arrived = loop.time()
            request, ended = await self._frame(reader, heard, arrived)
            heard = b""
            if speed != self.timing.baud:
                self.counts["wrong_speed"] += 1
                continue
            async with self._line:
                await self._exchange(request, ended, writer)

    async def _frame(self, reader: asyncio.StreamReader, heard: bytes, arrived: float) -> tuple[bytes, float]:
        """Collect bytes until the line was silent for t3.5; return them and that instant."""
        loop = asyncio.get_running_loop()
        while True:
            ended = self._clock.request(arrived, len(heard))
            try:
                async with asyncio.timeout(max(0.0, ended - loop.time())):
                    more = await reader.read(FRAME_BYTES_MAX)
            except TimeoutError:
                return heard, ended
            if not more:
                raise ConnectionResetError
            heard = (heard + more)[-FRAME_BYTES_MAX:]

    async def _exchange(self, request: bytes, heard_at: float, writer: asyncio.StreamWriter) -> None:
        meter = self.meters.get(request[0])
        if meter is None or len(request) < FRAME_BYTES_MIN or crc16(request[:-2]) != request[-2:]:
            self.counts["silent"] += 1
            return
        exchange = await self._ask(meter, request)
        self.exchanges.append(exchange)
        self.counts[exchange.fault.value if exchange.fault else "answered"] += 1
        start = heard_at + self.turnaround_ms[meter.unit] / 1000 + exchange.extra_s
        if exchange.fault is FaultKind.LATE:
            # The line does not wait for it: what the board sends meanwhile will collide with it.
            task = asyncio.create_task(self._send(exchange.answer, start, writer), name="late answer")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif exchange.answer:
            await self._send(exchange.answer, start, writer)

    async def _ask(self, meter: Meter, request: bytes) -> Exchange:
        """Let the meter answer, and spoil its answer if a fault strikes."""
        struck = next(((fault, kind) for fault in self._faults[meter.unit] if (kind := fault.draw(self._chance))), None)
        exchange = Exchange(meter.unit, request)
        if struck and struck[1] is FaultKind.EXCEPTION:
            meter.exception = ExcCodes(struck[0].code)
        try:
            exchange.answer = await self._answer(request)
        finally:
            meter.exception = None
        if struck:
            fault, exchange.fault = struck
            exchange.extra_s = fault.late_ms / 1000 if exchange.fault is FaultKind.LATE else 0.0
            exchange.answer = spoil(exchange.fault, exchange.answer, self._chance)
        return exchange

    async def _answer(self, request: bytes) -> bytes:
        """The pymodbus server's answer to one good request."""
        assert self._to_meters is not None  # noqa: S101  (set by start)
        reader, writer = self._to_meters
        writer.write(request)
        async with asyncio.timeout(SERVER_S):
            answer = await reader.readexactly(5)
            if answer[1] < 0x80:
                length = 5 + answer[2] if answer[1] <= 4 else 8
                answer += await reader.readexactly(length - 5)
        return answer

    async def _send(self, answer: bytes, start: float, writer: asyncio.StreamWriter) -> None:
        """Put the answer on the line, piece by piece, each when its last bit is through."""
        loop = asyncio.get_running_loop()
        for at in range(0, len(answer), PIECE_BYTES):
            piece = answer[at : at + PIECE_BYTES]
            ideal_end = start + self.timing.wire_s(at + len(piece))
            await asyncio.sleep(ideal_end - loop.time())
            writer.write(piece)
            await writer.drain()
        self._clock.answered(ideal_end, loop.time())
