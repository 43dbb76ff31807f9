"""Batteries by the gateway's own Bluetooth: monitors that are asked, Victron's adverts; decoded as on the boards."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.exc import BleakBluetoothNotAvailableError, BleakDeviceNotFoundError, BleakError

from wattness.aesblock import aes_block
from wattwire import bms, victron
from wattwire.errors import WireError

Points = dict[str, tuple[int, int] | None]
Heard = asyncio.Queue[bytes | None]  # notifications; None is the end of the link
QUEUE_MAX = 64  # notifications or adverts that wait; more are dropped and counted
ANSWER_S = 2.0
STREAM_S = 6.0
SILENCE_S = 0.1
FAILURES_MAX = 5  # rounds without an answer, then the link is made anew
STALL_S = 60.0  # a scanner that heard nobody at all for so long has died in silence
BACKOFF_S = (2.0, 5.0, 15.0, 60.0)
LOST = (BleakError, TimeoutError, OSError, EOFError, WireError)  # what bleak's backends raise, and decoders

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backends:
    """Who drives the radio; None is the platform's own."""

    client: type[BaseBleakClient] | None = None
    scanner: type[BaseBleakScanner] | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # BlueZ makes one connection at a time


@dataclass
class Counters:
    """What became of what was heard; `trouble` says in words why nothing is."""

    links: int = 0
    answers: int = 0
    damaged: int = 0
    dropped: int = 0
    scans: int = 0
    trouble: str = ""


@dataclass
class Link:
    """A connection; `heard` has what the device notified."""

    client: BleakClient
    heard: Heard
    counters: Counters

    async def listen(self, characteristic: BleakGATTCharacteristic) -> None:
        """Have the device notify."""
        await self.client.start_notify(characteristic, lambda _, data: _put(self.heard, bytes(data), self.counters))

    async def write(self, characteristic: BleakGATTCharacteristic, data: bytes) -> None:
        """Write, with an answer where the characteristic has one."""
        await self.client.write_gatt_char(characteristic, data, response="write" in characteristic.properties)
        _heed()

    def forget(self) -> None:
        """Drop what was heard so far; the link's end stays."""
        while not self.heard.empty():
            if self.heard.get_nowait() is None:
                self.heard.put_nowait(None)
                return

    async def read(self) -> bytes:
        """Return the next notification; raises BleakError at the link's end."""
        data = await self.heard.get()
        if data is None:
            raise BleakError("the link was lost")
        return data


@contextlib.asynccontextmanager
async def linked(address: str, counters: Counters, backends: Backends) -> AsyncIterator[Link]:
    """Connect, and hang up at the end."""
    heard: Heard = asyncio.Queue(QUEUE_MAX)
    client = BleakClient(address, lambda _client: _put(heard, None, counters), backend=backends.client)
    try:
        async with backends.turn:
            await client.connect()
        _heed()
        counters.links += 1
        yield Link(client, heard, counters)
    finally:
        with contextlib.suppress(*LOST):
            await client.disconnect()


def _heed() -> None:
    """Raise a cancellation that a backend lost: `asyncio.wait_for` of Python 3.11 may do so. Not within a timeout."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def why(error: BaseException) -> str:
    """Return in words what stands in the way, and what helps."""
    if isinstance(error, BleakBluetoothNotAvailableError):
        return f"no Bluetooth: {error.args[0]} Switch an adapter on; it is tried again"
    if isinstance(error, FileNotFoundError | ConnectionError) or "ServiceUnknown" in str(error):
        return "no Bluetooth: this machine's service does not run; install and start bluez (it is tried again)"
    if isinstance(error, BleakDeviceNotFoundError | TimeoutError):
        return "it is not in reach, or somebody else is connected to it"
    return str(error) or type(error).__name__


async def pause(failures: int) -> None:
    """Wait before the next attempt, longer after each failure."""
    await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])


async def read_monitor(
    address: str, family: str, period_s: float, counters: Counters, backends: Backends | None = None
) -> AsyncGenerator[Points, None]:
    """Yield a battery monitor's points, about once a period, for ever; a lost link is made anew."""
    backends = backends or Backends()
    failures = 0
    while True:
        try:
            async with contextlib.aclosing(_session(address, family, period_s, counters, backends)) as session:
                async for points in session:
                    failures = 0
                    yield points
        except LOST as error:
            counters.trouble = why(error)
            log.info("monitor lost address=%s error=%s", address, error)
        else:
            counters.trouble = "it is connected, but does not answer"
        await pause(failures)
        failures += 1


async def _session(
    address: str, family: str, period_s: float, counters: Counters, backends: Backends
) -> AsyncGenerator[Points, None]:
    decoder = bms.decoder(family)
    async with linked(address, counters, backends) as link:
        notify = _characteristic(link.client, decoder.notify, {"notify", "indicate"})
        write = _characteristic(link.client, decoder.write, {"write", "write-without-response"})
        await link.listen(notify)

        failures = 0
        while failures < FAILURES_MAX and link.client.is_connected:
            points = await _round(decoder, link, write)
            failures = 0 if points else failures + 1
            if points:
                yield points
            await asyncio.sleep(period_s)


async def _round(decoder: Any, link: Link, write: BleakGATTCharacteristic) -> Points:
    """Ask everything once and return what was said, {} if nothing was; raises BleakError when the link is gone."""
    found: Points = {}
    for request in decoder.requests():
        if not (decoder.streams and decoder.told):
            await link.write(write, request)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STREAM_S if decoder.streams else ANSWER_S):
                found |= await _answer(decoder, link)
        if decoder.streams and found:
            break
    decoder.told = bool(found)
    return found


async def _answer(decoder: Any, link: Link) -> Points:
    while True:
        data = await link.read()
        try:
            points: Points | None = decoder.feed(data)
        except WireError:
            link.counters.damaged += 1
            if not decoder.streams:
                await _drain(link)
                return {}
            continue
        if points:
            link.counters.answers += 1
            return points


async def _drain(link: Link) -> None:
    """Wait until what is left of a damaged frame is over: it is no part of the next one."""
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(SILENCE_S):
                await link.read()


def _characteristic(client: BleakClient, number: int, properties: set[str]) -> BleakGATTCharacteristic:
    """Return the characteristic of that number that can do it: several may have the number."""
    uuid = f"0000{number:04x}-0000-1000-8000-00805f9b34fb"
    for each in client.services.characteristics.values():
        if each.uuid == uuid and properties & set(each.properties):
            return each
    raise BleakError(f"there is no characteristic {number:04X}: this is no monitor of that family")


def _put(heard: asyncio.Queue[Any], item: Any, counters: Counters) -> None:
    if heard.full():
        heard.get_nowait()
        counters.dropped += 1
    heard.put_nowait(item)


async def hear_victron(
    keys: Mapping[str, bytes], counters: Counters, backends: Backends | None = None
) -> AsyncGenerator[tuple[str, Points | WireError], None]:
    """Yield (address, points) of every new advert of the devices in `keys`, by their addresses, for ever.

    An advert that cannot be read is yielded as its error.
    """
    wanted = {address.upper(): key for address, key in keys.items()}
    heard: asyncio.Queue[tuple[str, bytes | None]] = asyncio.Queue(QUEUE_MAX)
    last: dict[str, bytes] = {}
    failures = 0

    def detected(device: BLEDevice, advert: AdvertisementData) -> None:
        _put(heard, (device.address.upper(), advert.manufacturer_data.get(victron.COMPANY)), counters)

    while True:
        counters.scans += 1
        try:
            scanner = BleakScanner(detected, backend=(backends or Backends()).scanner)
            async with scanner:
                while True:
                    async with asyncio.timeout(STALL_S):
                        address, data = await heard.get()
                    counters.trouble, failures = "", 0
                    if address not in wanted or data is None or last.get(address) == data:
                        continue
                    last[address] = data
                    yield address, _advert(data, wanted[address], counters)
        except TimeoutError:
            counters.trouble = "the scanner heard nobody at all, and was started anew"
            log.info("scanner stalled")
        except LOST as error:
            if counters.trouble != why(error):  # said once
                log.warning("scanner lost error=%s", error)
            counters.trouble = why(error)
        await pause(failures)
        failures += 1


def _advert(data: bytes, key: bytes, counters: Counters) -> Points | WireError:
    try:
        points: Points = victron.decode(data, key, aes_block)
    except WireError as error:
        counters.damaged += 1
        return error
    counters.answers += 1
    return points
