"""Batteries by the gateway's own Bluetooth: monitors that are asked, Victron's adverts; decoded as on the boards."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.exc import BleakError

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

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backends:
    """Who drives the radio; None is the platform's own."""

    client: type[BaseBleakClient] | None = None
    scanner: type[BaseBleakScanner] | None = None


@dataclass
class Counters:
    """What became of what was heard."""

    links: int = 0
    answers: int = 0
    damaged: int = 0
    dropped: int = 0
    scans: int = 0


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
        except (BleakError, TimeoutError, OSError, WireError) as error:
            log.info("monitor lost address=%s error=%s", address, error)
        await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
        failures += 1


async def _session(
    address: str, family: str, period_s: float, counters: Counters, backends: Backends
) -> AsyncGenerator[Points, None]:
    decoder = bms.decoder(family)
    heard: Heard = asyncio.Queue(QUEUE_MAX)
    client = BleakClient(address, lambda _client: _put(heard, None, counters), backend=backends.client)
    async with client:
        counters.links += 1
        notify = _characteristic(client, decoder.notify, {"notify", "indicate"})
        write = _characteristic(client, decoder.write, {"write", "write-without-response"})
        await client.start_notify(notify, lambda _characteristic, data: _put(heard, bytes(data), counters))

        async def ask(request: bytes) -> None:
            await client.write_gatt_char(write, request, response="write" in write.properties)

        failures = 0
        while failures < FAILURES_MAX and client.is_connected:
            points = await _round(decoder, heard, ask, counters)
            failures = 0 if points else failures + 1
            if points:
                yield points
            await asyncio.sleep(period_s)


async def _round(decoder: Any, heard: Heard, ask: Callable[[bytes], Any], counters: Counters) -> Points:
    """Ask everything once and return what was said, {} if nothing was; raises BleakError when the link is gone."""
    found: Points = {}
    for request in decoder.requests():
        if not (decoder.streams and decoder.told):
            await ask(request)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STREAM_S if decoder.streams else ANSWER_S):
                found |= await _answer(decoder, heard, counters)
        if decoder.streams and found:
            break
    decoder.told = bool(found)
    return found


async def _answer(decoder: Any, heard: Heard, counters: Counters) -> Points:
    while True:
        data = await heard.get()
        if data is None:
            raise BleakError("the link was lost")
        try:
            points: Points | None = decoder.feed(data)
        except WireError:
            counters.damaged += 1
            if not decoder.streams:
                await _drain(heard)
                return {}
            continue
        if points:
            counters.answers += 1
            return points


async def _drain(heard: Heard) -> None:
    """Wait until what is left of a damaged frame is over: it is no part of the next one."""
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(SILENCE_S):
                if await heard.get() is None:
                    raise BleakError("the link was lost")


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
) -> AsyncGenerator[tuple[str, Points], None]:
    """Yield (address, points) of every new advert of the devices in `keys`, by their addresses, for ever."""
    wanted = {address.upper(): key for address, key in keys.items()}
    heard: asyncio.Queue[tuple[str, bytes | None]] = asyncio.Queue(QUEUE_MAX)
    last: dict[str, bytes] = {}

    def detected(device: BLEDevice, advert: AdvertisementData) -> None:
        _put(heard, (device.address.upper(), advert.manufacturer_data.get(victron.COMPANY)), counters)

    while True:
        counters.scans += 1
        scanner = BleakScanner(detected, backend=(backends or Backends()).scanner)
        try:
            async with scanner:
                while True:
                    async with asyncio.timeout(STALL_S):
                        address, data = await heard.get()
                    if address not in wanted or data is None or last.get(address) == data:
                        continue
                    try:
                        points: Points = victron.decode(data, wanted[address], aes_block)
                    except WireError:
                        counters.damaged += 1
                        continue
                    last[address] = data
                    counters.answers += 1
                    yield address, points
        except (BleakError, TimeoutError, OSError) as error:
            log.warning("scan begins anew error=%s", error)
            await asyncio.sleep(BACKOFF_S[0])
