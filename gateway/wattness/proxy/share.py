"""What many clients ask of one line, one question at a time: waiting reads are merged, writes are sent once.

At most one question waits for the line, whatever the number of clients: metering, which takes its turn at the same
lock, is never behind more than one exchange of theirs.
"""

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from wattness.modbus.line import SilentError
from wattness.modbus.recent import Recent
from wattwire.errors import WireError
from wattwire.modbus import ModbusError
from wattwire.pace import Pace
from wattwire.plan import Read

from .asked import BUSY, FAILED, NO_ANSWER, Asked, DeclinedError
from .rest import Rests

WAITING_MAX = 64
WAIT_S = 3.0  # then a client has most likely given up, and what it wanted is not done behind its back
UNITS_MAX = 256
MANY = 125  # registers of one read

log = logging.getLogger(__name__)


class Line(Protocol):
    """The part of wattness.modbus.line's Line that is needed. Raises SilentError, ModbusError, WireError."""

    recent: Recent
    turn: asyncio.Lock

    def pace(self, unit: int) -> Pace:
        """Return what is known of a unit."""
        ...

    async def read_now(self, unit: int, read: Read) -> bytes:
        """Read registers and keep them in `recent`; the caller has the turn."""
        ...

    async def exchange_now(self, unit: int, pdu: bytes) -> bytes:
        """Send a PDU once and return the answer's; the caller has the turn."""
        ...


class Answer(NamedTuple):
    """An answer's PDU, and whence it came: cache, merged (read for another), device, or write."""

    pdu: bytes
    how: str


@dataclass(eq=False)
class Job:
    """A request that waits; a client that has gone cancels its `done`."""

    unit: int
    asked: Asked
    who: str  # for the log
    since_s: float  # what was read earlier is too old for it
    until_s: float
    done: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def keys(self) -> tuple[int, tuple[int, bytes]]:
        """What it may fail by: the unit, or this request."""
        return self.unit, (self.unit, self.asked.pdu)

    def settle(self, outcome: Answer | DeclinedError) -> None:
        """Give the answer's PDU, unless nobody waits for it any more."""
        if self.done.done():
            return
        if isinstance(outcome, DeclinedError):
            self.done.set_exception(outcome)
        else:
            self.done.set_result(outcome)


class Share:
    """Asks one line for all clients of all its proxies."""

    def __init__(self, line: Line) -> None:
        """Nothing is asked before `run`."""
        self._line = line
        self._waiting: deque[Job] = deque()
        self._some = asyncio.Event()
        self._rests = Rests()  # of units that were silent, and of single requests that were answered by rubbish
        self._narrow: OrderedDict[int, None] = OrderedDict()  # units that minded a merged read

    async def answer(self, unit: int, asked: Asked, max_age_ms: int, who: str) -> Answer:
        """Return the answer; raises DeclinedError. A write that is cancelled before its turn is not sent."""
        now_s = time.monotonic()
        job = Job(unit, asked, who, now_s - max_age_ms / 1000, now_s + WAIT_S)
        if (known := self._known(job)) is not None:
            return Answer(known, "cache")
        if len(self._waiting) >= WAITING_MAX:
            raise DeclinedError(BUSY, "too_many_waiting")
        self._waiting.append(job)
        self._some.set()
        try:
            return await job.done
        finally:
            if job in self._waiting:  # cancelled
                self._waiting.remove(job)

    async def run(self) -> None:
        """Ask, until cancelled."""
        while True:
            while not self._waiting:
                self._some.clear()
                await self._some.wait()
            async with self._line.turn:
                if self._waiting:  # not all have gone meanwhile
                    await self._serve(self._waiting.popleft())
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # asyncio.wait_for of Python 3.11 may swallow it
                raise asyncio.CancelledError

    async def _serve(self, job: Job) -> None:
        """Settle one job, and those that wait for the same. The caller has the turn."""
        if job.done.done():  # its client has gone
            return
        if (known := self._known(job)) is not None:  # read for another meanwhile, or by metering
            job.settle(Answer(known, "merged"))
            return
        began_s = time.monotonic()
        if began_s > job.until_s:
            job.settle(DeclinedError(BUSY, "waited_too_long"))
            return
        if any(self._rests.rests(key, began_s) for key in job.keys):
            job.settle(DeclinedError(NO_ANSWER, "away"))
            return
        outcome = await self._ask(job)
        job.settle(outcome)
        if job.asked.written is None:
            self._settle_same(job, outcome, began_s)

    async def _ask(self, job: Job) -> Answer | DeclinedError:
        unit, request = job.keys
        try:
            found = await self._exchange(job)
        except ModbusError as error:
            self._rests.worked(unit)
            return DeclinedError(error.code, error.name)
        except WireError:
            self._rests.failed(request, time.monotonic())
            return DeclinedError(NO_ANSWER, "garbled")
        except SilentError:
            self._rests.failed(unit, time.monotonic())
            return DeclinedError(NO_ANSWER, "silent")
        except Exception:  # whatever a client or a device has sent, the others go on
            log.exception("failed unit=%d function=%d", job.unit, job.asked.pdu[0])
            return DeclinedError(FAILED, "failed")
        self._rests.worked(unit)
        self._rests.worked(request)
        return Answer(found, "device" if job.asked.written is None else "write")

    async def _exchange(self, job: Job) -> bytes:
        unit, asked = job.unit, job.asked
        if asked.written is not None:
            log.info("write client=%s unit=%d table=%s first=%d last=%d", job.who, unit, *asked.written)
            try:
                return await self._line.exchange_now(unit, asked.pdu)
            finally:
                self._line.recent.forget(unit)  # whatever came of it
        if asked.read is None:
            return await self._line.exchange_now(unit, asked.pdu)
        wide = asked.read if unit in self._narrow else self._widened(job, asked.read)
        try:
            data = await self._line.read_now(unit, wide)
        except (ModbusError, WireError, SilentError) as error:
            if wide == asked.read:
                raise
            self._narrow[unit] = None
            if len(self._narrow) > UNITS_MAX:
                self._narrow.popitem(last=False)
            log.info("no merged reads from now on unit=%d error=%s", unit, str(error))
            if isinstance(error, SilentError):
                raise
            data = await self._line.read_now(unit, asked.read)
        else:
            at = 2 * (asked.read.address - wide.address)
            data = data[at : at + 2 * asked.read.count]
        return _registers(asked.read, data)

    def _widened(self, job: Job, read: Read) -> Read:
        """Return `read` with what others wait for, as far as it overlaps or adjoins."""
        manner = self._line.pace(job.unit).manner
        most = max(read.count, min(manner.max_registers or MANY, MANY))
        others = [
            other.asked.read for other in self._waiting if other.unit == job.unit and other.asked.read is not None
        ]
        return merged(read, (other for other in others if other.fc == read.fc), most)

    def _known(self, job: Job) -> bytes | None:
        read = job.asked.read
        if read is None:
            return None
        data = self._line.recent.find(job.unit, read, job.since_s)
        return None if data is None else _registers(read, data)

    def _settle_same(self, job: Job, outcome: Answer | DeclinedError, began_s: float) -> None:
        """Give the same answer to those who asked the same, if it is young enough for them."""
        same = [other for other in self._waiting if (other.unit, other.asked) == (job.unit, job.asked)]
        for other in same:
            if other.since_s <= began_s:
                self._waiting.remove(other)
                other.settle(outcome if isinstance(outcome, DeclinedError) else Answer(outcome.pdu, "merged"))


def merged(read: Read, others: Iterable[Read], most: int) -> Read:
    """Return one read of at most `most` registers with all of `read`, and with those of `others` that touch it."""
    first, end = read.address, read.address + read.count
    for other in sorted(others, key=lambda each: each.address):
        wide_first, wide_end = min(first, other.address), max(end, other.address + other.count)
        touches = other.address <= end and first <= other.address + other.count
        if touches and wide_end - wide_first <= most:
            first, end = wide_first, wide_end
    return Read(read.fc, first, end - first)


def _registers(read: Read, data: bytes) -> bytes:
    return bytes((read.fc, len(data))) + data
