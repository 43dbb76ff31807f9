"""A car through its dongle, by the gateway's own Bluetooth: proved by ATI, asked only while the car is awake."""

import asyncio
import contextlib
import logging
from collections.abc import Generator
from typing import Any

from bleak.backends.characteristic import BleakGATTCharacteristic

from wattwire import elm327, elm_setup, isotp, obd, obd_plan
from wattwire.errors import WireError
from wattwire.guard import AWAKE_MV, Guard

from .ble import LOST, Backends, Link, linked, pause, why
from .heard import HeardDevice
from .origin import Uptime

log = logging.getLogger(__name__)

REQUEST_S = 3.0
WAKE_S = 0.5
LISTEN_S = 1.0
IDLE_S = 1.0
SLOW_MS = 60_000  # between two readings of what hardly changes
SLOW_KEEP_MS = 180_000
PAIRS_MAX = 3  # of characteristics that are tried
DWELL = 3  # times more that an ECU with several signals is asked on a visit, for it takes as long to come to it
ASLEEP = "the car is asleep"
NOTIFIES, WRITES = {"notify", "indicate"}, {"write", "write-without-response"}
OWN_SERVICES = ("00001800", "00001801")  # GAP and GATT: of every device

Dialogue = Generator[tuple[str, int], list[str] | None, Any]


class Talk:
    """Commands and answers over a link; after silence the prompt is fetched before anything else is said."""

    def __init__(self, link: Link, write: BleakGATTCharacteristic) -> None:
        """Nothing is said yet."""
        self._link = link
        self._write = write
        self._reader = elm327.Reader()

    async def converse(self, dialogue: Dialogue) -> Any:
        """Run a dialogue of `elm_setup`; return its result. Raises BleakError or WireError."""
        try:
            command, timeout_ms = next(dialogue)
            while True:
                command, timeout_ms = dialogue.send(await self._exchange(command, timeout_ms / 1000))
        except StopIteration as end:
            return end.value

    async def wake(self) -> None:
        """Interrupt what the adapter may still be at since another link."""
        await self._until_prompt(elm327.WAKE, WAKE_S)

    async def ask(self, request: str) -> list[str]:
        """Return the lines of an answer; raises WireError if there was none."""
        lines = await self._exchange(request, REQUEST_S)
        if lines is None:
            raise WireError("timeout", request)
        return lines

    async def listen(self, digits: int) -> int:
        """Return how many frames were on the bus in a while, without a word of our own."""
        await self._link.write(self._write, b"ATMA\r")
        await asyncio.sleep(LISTEN_S)
        frames = 0
        for line in await self._until_prompt(elm327.WAKE, REQUEST_S) or ():
            with contextlib.suppress(WireError):  # its own words
                isotp.parse(line, digits)
                frames += 1
        return frames

    async def _exchange(self, command: str, timeout_s: float) -> list[str] | None:
        self._link.forget()
        self._reader.clear()
        lines = await self._until_prompt(command.encode() + b"\r", timeout_s)
        if lines is None:
            await self.wake()
        return lines

    async def _until_prompt(self, data: bytes, timeout_s: float) -> list[str] | None:
        await self._link.write(self._write, data)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    lines: list[str] | None = self._reader.feed(await self._link.read())
                    if lines is not None:
                        return lines
        return None


class Car:
    """One car: what is known of it stays when the link is made anew."""

    def __init__(self, device: HeardDevice, uptime: Uptime, backends: Backends) -> None:
        """Nothing is asked yet."""
        self._device = device
        self._profile = device.kind.vehicle
        self._now = uptime.now_ms
        self._backends = backends
        awake_mv = device.settings.awake_mv
        self._guard = Guard(AWAKE_MV if awake_mv is None else awake_mv)
        self._protocol = self._profile.protocol
        self._lacks: list[str] = []
        self._ears: Any = None
        self._refused: set[tuple[str, str]] = set()
        self._padded: set[str] = set()
        self._counts: dict[tuple[str, str], int] = {}
        self._slow_ms: dict[tuple[str, str], int] = {}

    async def run(self) -> None:
        """Keep a link to the dongle, for ever."""
        failures = 0
        counters = self._device.counters
        while True:
            answers = counters.answers
            try:
                async with linked(self._device.address, counters, self._backends) as link:
                    await self._serve(await self._prove(link))
            except LOST as error:
                counters.trouble = why(error)
                log.info("dongle lost address=%s error=%s", self._device.address, error)
            failures = 0 if counters.answers > answers else failures + 1
            await pause(failures)

    async def _prove(self, link: Link) -> Talk:
        """Return the Talk with a dongle; raises WireError for a device that is none."""
        error = WireError("no_adapter", "nothing that can be talked to")
        for notify, write in _pairs(link):
            talk = Talk(link, write)
            try:
                await link.listen(notify)
                await talk.wake()
                adapter = await talk.converse(elm_setup.adapter())
            except WireError as failure:
                error = failure
                continue
            self._lacks = adapter.lacks
            answers = [command.answer for command in self._profile.commands]
            self._ears = elm_setup.Ears([] if None in answers else answers)
            self._padded.clear()
            self._refused.clear()
            self._guard.measured(self._now(), adapter.millivolts)
            return talk
        raise error

    async def _serve(self, talk: Talk) -> None:
        """Ask while the car is awake, and look now and then whether it is."""
        ready = False
        header = None
        while True:
            await self._look(talk)
            if not self._guard.may_ask(self._now()):
                header = None
                self._device.counters.trouble = ASLEEP
                await asyncio.sleep(IDLE_S)
            elif not ready:
                await self._find_bus(talk)
                ready = True
            else:
                header = await self._round(talk, header)

    async def _round(self, talk: Talk, header: str | None) -> str | None:
        """Ask for everything that is due; return the header that the adapter speaks by now."""
        for ask in obd_plan.plan(self._profile, tuple(name for name, _, _ in self._device.kind.points), self._refused):
            if ask.slow and self._now() < self._slow_ms.get((ask.header, ask.request), 0):
                continue
            await self._look(talk)
            if not self._guard.may_ask(self._now()):
                break
            if ask.header != header:
                header = None
                await talk.converse(elm_setup.select(ask.header, ask.answer, self._lacks, self._ears))
                header = ask.header
            for _ in range(1 + (DWELL if len(ask.names) > 1 and not ask.slow else 0)):
                if self._guard.may_ask(self._now()):
                    await self._ask(talk, ask)
        await asyncio.sleep(0)  # a plan of which nothing is due must not hold up everybody else
        return header

    async def _look(self, talk: Talk) -> None:
        """Measure, and listen, if it is time; neither wakes anybody."""
        if self._now() < self._guard.check_ms:
            return
        self._guard.measured(self._now(), await talk.converse(elm_setup.battery()))
        if self._protocol and self._guard.may_listen(self._now()):
            await talk.converse(elm_setup.bus(self._protocol))
            heard = await talk.listen(obd.digits(self._profile.commands[0].header))
            self._guard.listened(self._now(), heard)

    async def _find_bus(self, talk: Talk) -> None:
        """Set the protocol, or search for it, which is traffic."""
        try:
            self._protocol = await talk.converse(elm_setup.bus(self._protocol))
        except WireError:
            self._guard.answered(self._now(), 0)
            raise

    async def _ask(self, talk: Talk, ask: Any) -> None:
        key = (ask.header, ask.request)
        count = self._counts.get(key, 0) if ask.answer else 0  # who may answer is not known of a request to all
        request = ask.request + obd_plan.count_digit(count)
        values: dict[str, Any] = {}
        try:
            lines = await talk.ask(request)
            values = obd.values(ask.commands, ask.request, lines, self._padded)
            self._counts[key] = len(elm327.frames(lines, request))
        except WireError as error:
            self._failed(ask, key, error)
        found = sum(value is not None for value in values.values())
        self._guard.answered(self._now(), found)
        if ask.slow:
            self._slow_ms[key] = self._now() + SLOW_MS
        if found:
            self._device.counters.answers += 1
        if values:
            self._device.put(self._points(ask, values), SLOW_KEEP_MS if ask.slow else 0)

    def _failed(self, ask: Any, key: tuple[str, str], error: WireError) -> None:
        self._device.fail(error)
        self._counts.pop(key, None)
        if error.reason == "refused":
            self._refused |= {(command.header, command.request) for command in ask.commands}

    def _points(self, ask: Any, values: dict[str, Any]) -> dict[str, tuple[int, int] | None]:
        exponents = {name: exponent for name, _, exponent in self._device.kind.points}
        return {
            name: None if values[name] is None else (obd.integer(values[name], exponents[name]), exponents[name])
            for name in ask.names
            if name in values
        }


def _pairs(link: Link) -> list[tuple[BleakGATTCharacteristic, BleakGATTCharacteristic]]:
    """Return characteristics that notify, each with one of its service that can be written.

    Services' UUIDs tell nothing: dongles, printers and battery monitors use the same.
    """
    pairs = []
    for service in link.client.services:
        if service.uuid.startswith(OWN_SERVICES):
            continue
        write = next((each for each in service.characteristics if WRITES & set(each.properties)), None)
        if write is not None:
            pairs += [(each, write) for each in service.characteristics if NOTIFIES & set(each.properties)]
    return pairs[:PAIRS_MAX]
