"""Batteries by radio: monitors that are asked over a link, and Victron devices that only advertise."""

import asyncio

from wattboard import ble, hal
from wattboard.ble import LinkError
from wattwire import bms, victron
from wattwire.errors import WireError

FIND_MS = 20000
ANSWER_MS = 1500  # from request to the frame's end
STREAM_MS = 6000  # how long one that streams may be silent
SILENCE_MS = 100  # after damage: what is left of a frame
PAUSE_MS = 1000
REST_MS = (2000, 5000, 15000, 60000)  # after a link that could not be made or was lost
FAILURES_MAX = 5  # in a row, then the link is made anew


def matcher(wanted, uuid=None):
    """Return a function that tells whether an advert is of the device that `wanted` (address or name) describes."""
    address = bytes.fromhex(wanted["address"].replace(":", "")) if "address" in wanted else None
    name = wanted.get("name", "").encode()

    def suits(found, data):
        if address is not None:
            return found == address
        if name:
            return name in data
        return uuid is not None and uuid in data

    return suits


class Monitor:
    """One monitor of a family: finds it, asks it, puts what it says into its stream."""

    def __init__(self, central, stream, family):
        self._central = central
        self._stream = stream
        self._family = family

    async def run(self, beat):
        """Keep a link, for ever."""
        failures = 0
        while True:
            try:
                await self._session(beat)
                failures = 0
            except (LinkError, WireError):
                self._stream.errors += 1
                failures += 1
            await rest(REST_MS[min(failures, len(REST_MS) - 1)], beat)

    async def _session(self, beat):
        decoder = bms.decoder(self._family)
        uuid = bytes((decoder.service & 0xFF, decoder.service >> 8))
        suits = matcher(self._stream.ble, uuid)
        kind, address, self._stream.rssi_dbm = await self._central.find(suits, FIND_MS)
        link = await self._central.connect(kind, address, beat)
        try:
            notify, write = await self._characteristics(link, decoder, beat)
            await link.subscribe(notify)
            self._stream.links += 1
            failures = 0
            while failures < FAILURES_MAX:
                beat()
                failures = 0 if await self._round(link, write[2], decoder, beat) else failures + 1
                await rest(PAUSE_MS, beat)
        finally:
            link.close()

    async def _characteristics(self, link, decoder, beat):
        """Return those that notify and that take requests: UUIDs repeat, so their properties decide."""
        notify = write = None
        for each in await link.characteristics(beat):
            uuid = each[1][0] | each[1][1] << 8 if len(each[1]) == 2 else 0
            if uuid == decoder.notify and each[4] & (ble.NOTIFIES | ble.INDICATES):
                notify = each
            if uuid == decoder.write and each[4] & (ble.WRITES | ble.WRITES_BLIND):
                write = each
        if notify is None or write is None:
            raise LinkError("no monitor of family " + self._family)
        self._mode = ble.WITH_RESPONSE if write[4] & ble.WRITES else ble.BLIND
        return notify, write

    async def _round(self, link, handle, decoder, beat):
        """Ask everything once; return whether there was an answer."""
        answered = False
        for request in decoder.requests():
            beat()
            if decoder.streams and answered:
                break
            if not (decoder.streams and decoder.told):
                await link.write(handle, request, self._mode)
            points = await self._answer(link, decoder, STREAM_MS if decoder.streams else ANSWER_MS)
            if points:
                answered = True
                self._stream.put(points)
        decoder.told = answered
        return answered

    async def _answer(self, link, decoder, wait_ms):
        """Return the next points, or None if none came in time or they were damaged."""
        deadline = hal.real_ms() + wait_ms
        while hal.real_ms() < deadline:
            data = await link.read(deadline - hal.real_ms())
            if data is None:
                break
            try:
                points = decoder.feed(data)
            except WireError:
                self._stream.errors += 1
                while not decoder.streams and await link.read(SILENCE_MS) is not None:
                    pass
                return None
            if points:
                return points
        return None


class Adverts:
    """All Victron streams of the board: one listener, no link."""

    def __init__(self, central):
        self._central = central
        self._streams = {}
        central.listen(self._heard)

    def add(self, stream):
        """Listen for one more."""
        self._streams[bytes.fromhex(stream.ble["address"].replace(":", ""))] = [
            stream,
            bytes.fromhex(stream.ble["key"]),
            None,
        ]

    def _heard(self, _kind, address, data):
        if address not in self._streams:
            return
        entry = self._streams[address]
        entry[0].rssi_dbm = self._central.rssi_dbm
        found = victron.maker_data(data)
        if found is None or found[5:7] == entry[2]:
            return  # a name's, or the same once more
        try:
            entry[0].put(victron.decode(found, entry[1], hal.aes_block))
            entry[2] = found[5:7]
        except WireError:
            entry[0].errors += 1


async def rest(pause_ms, beat):
    """Wait, and say now and then that all is well."""
    until_ms = hal.uptime_ms() + pause_ms
    while hal.uptime_ms() < until_ms:
        beat()
        await asyncio.sleep_ms(max(1, min(5000, (until_ms - hal.uptime_ms()) // hal.RATE)))
