"""A car through its dongle: found by what it can, proved by ATI, asked only while the car is awake."""

import asyncio

from wattboard import ble, hal
from wattboard.battery import matcher, rest
from wattboard.ble import LinkError
from wattwire import elm327, elm_setup, isotp, obd, obd_plan
from wattwire.errors import WireError
from wattwire.guard import AWAKE_MV, Guard

FIND_MS = 20000
REST_MS = (2000, 5000, 15000, 60000)
REQUEST_MS = 3000
WAKE_MS = 500
LISTEN_MS = 1000
IDLE_MS = 1000
SLOW_MS = 60000  # between two readings of what hardly changes
SLOW_KEEP_MS = 180000
OWN_SERVICES = (b"\x00\x18", b"\x01\x18")  # GAP and GATT: of every device
PAIRS_MAX = 3  # that are tried
DWELL = 3  # times more that an ECU with several signals is asked on a visit, for it takes as long to come to it
STRANGERS_MAX = 8  # devices that are known to be no dongles


class Vehicle:
    """One car. `asked` counts requests that went out to it, `answered` those that brought values."""

    def __init__(self, central, stream, profile):
        self.asked = 0
        self.answered = 0
        self._central = central
        self._stream = stream
        self._profile = profile
        self._names = tuple([point[0] for point in stream.points])
        self._exponents = {point[0]: point[2] for point in stream.points}
        self._guard = Guard(stream.ble.get("awake_mv", AWAKE_MV))
        self._strangers = []
        self._protocol = profile.protocol
        self._lacks = []
        self._ears = None
        self._refused = set()
        self._padded = set()
        self._counts = {}
        self._slow_ms = {}

    async def run(self, beat):
        """Keep a link to the dongle, for ever."""
        failures = 0
        while True:
            try:
                await self._session(beat)
                failures = 0
            except (LinkError, WireError) as error:
                self._stream.errors += 1
                failures += 1
                print("vehicle:", error)
            await rest(REST_MS[min(failures, len(REST_MS) - 1)], beat)

    async def _session(self, beat):
        wanted = matcher(self._stream.ble)
        anybody = not self._stream.ble.get("address") and not self._stream.ble.get("name")

        def suits(address, data):
            return address not in self._strangers and (anybody or wanted(address, data))

        kind, address, self._stream.rssi_dbm = await self._central.find(suits, FIND_MS)
        link = await self._central.connect(kind, address, beat)
        try:
            talk = await self._prove(link, address, beat)
            self._stream.links += 1
            self._padded.clear()
            self._refused.clear()
            await self._serve(talk, beat)
        finally:
            link.close()

    async def _prove(self, link, address, beat):
        """Return the Talk with a dongle; a stranger is remembered. Raises LinkError or WireError."""
        error = WireError("no_adapter", "nothing that can be talked to")
        for notify, write in _pairs(await link.characteristics(beat)):
            talk = Talk(link, write, beat)
            try:
                await link.subscribe(notify)
                await talk.wake()
                adapter = await talk.converse(elm_setup.adapter())
            except WireError as failure:
                error = failure
                continue
            self._lacks = adapter.lacks
            answers = [command.answer for command in self._profile.commands]
            self._ears = elm_setup.Ears([] if None in answers else answers)
            self._guard.measured(hal.uptime_ms(), adapter.millivolts)
            return talk
        if len(self._strangers) < STRANGERS_MAX:
            self._strangers.append(address)
        raise error

    async def _serve(self, talk, beat):
        """Ask while the car is awake, and look now and then whether it is."""
        ready = False
        header = None
        while True:
            beat()
            await self._look(talk)
            if not self._guard.may_ask(hal.uptime_ms()):
                header = None
                await asyncio.sleep_ms(max(1, IDLE_MS // hal.RATE))
                continue
            if not ready:
                ready = await self._find_bus(talk)
                continue
            for ask in obd_plan.plan(self._profile, self._names, self._refused):
                if not self._is_due(ask):
                    continue
                await self._look(talk)
                if not self._guard.may_ask(hal.uptime_ms()):
                    break
                if ask.header != header:
                    header = None
                    await talk.converse(elm_setup.select(ask.header, ask.answer, self._lacks, self._ears))
                    header = ask.header
                await self._ask(talk, ask)
                more = DWELL if len(ask.names) > 1 and not ask.slow else 0
                while more and self._guard.may_ask(hal.uptime_ms()):
                    await self._ask(talk, ask)
                    more -= 1

    async def _look(self, talk):
        """Measure, and listen, if it is time; neither wakes anybody."""
        if hal.uptime_ms() < self._guard.check_ms:
            return
        self._guard.measured(hal.uptime_ms(), await talk.converse(elm_setup.battery()))
        if self._protocol and self._guard.may_listen(hal.uptime_ms()):
            await talk.converse(elm_setup.bus(self._protocol))
            self._guard.listened(hal.uptime_ms(), await talk.listen(LISTEN_MS, obd.digits(self._header())))

    def _header(self):
        return self._profile.commands[0].header

    async def _find_bus(self, talk):
        """Set the protocol, or search for it, which is traffic; return whether the car has one."""
        try:
            self._protocol = await talk.converse(elm_setup.bus(self._protocol))
        except WireError:
            self._guard.answered(hal.uptime_ms(), 0)
            raise
        return True

    def _is_due(self, ask):
        return not ask.slow or hal.uptime_ms() >= self._slow_ms.get((ask.header, ask.request), 0)

    async def _ask(self, talk, ask):
        key = (ask.header, ask.request)
        count = self._counts.get(key, 0) if ask.answer else 0  # who may answer is not known of a request to all
        self.asked += 1
        values = {}
        try:
            lines = await talk.ask(ask.request + obd_plan.count_digit(count), REQUEST_MS)
            values = obd.values(ask.commands, ask.request, lines, self._padded)
            self._counts[key] = len(elm327.frames(lines, ask.request + obd_plan.count_digit(count)))
        except WireError as error:
            self._failed(ask, key, error)
        found = len([value for value in values.values() if value is not None])
        self._guard.answered(hal.uptime_ms(), found)
        self.answered += bool(found)
        if ask.slow:
            self._slow_ms[key] = hal.uptime_ms() + SLOW_MS
        self._stream.put(self._points(ask, values), SLOW_KEEP_MS if ask.slow else 0)

    def _failed(self, ask, key, error):
        self._stream.errors += 1
        self._counts.pop(key, None)
        if error.reason == "refused":
            for command in ask.commands:
                self._refused.add((command.header, command.request))

    def _points(self, ask, values):
        found = {}
        for name in ask.names:
            if name in values:
                value, exponent = values[name], self._exponents[name]
                found[name] = None if value is None else (obd.integer(value, exponent), exponent)
        return found


class Talk:
    """Commands and answers over a link; after silence the prompt is fetched before anything else is said."""

    def __init__(self, link, write, beat):
        self._write = write
        self._link = link
        self._beat = beat  # a dialogue is as long as the search for a bus, a single command is not
        self._reader = elm327.Reader()
        self._mode = ble.WITH_RESPONSE if self._write[4] & ble.WRITES else ble.BLIND

    async def converse(self, dialogue):
        """Run a dialogue of `elm_setup`; return its result. Raises LinkError or WireError."""
        lines = None
        try:
            while True:
                command, timeout_ms = dialogue.send(lines)
                lines = await self._exchange(command, timeout_ms)
        except StopIteration as end:
            return end.value

    async def wake(self):
        """Interrupt what the adapter may still be at since another link."""
        await self._until_prompt(elm327.WAKE, WAKE_MS)

    async def ask(self, request, timeout_ms):
        """Return the lines of an answer; raises WireError if there was none."""
        lines = await self._exchange(request, timeout_ms)
        if lines is None:
            raise WireError("timeout", request)
        return lines

    async def listen(self, wait_ms, digits):
        """Return how many frames were on the bus in this time, without a word of our own."""
        await self._say(b"ATMA\r")
        await asyncio.sleep_ms(wait_ms)
        lines = await self._until_prompt(elm327.WAKE, REQUEST_MS)
        frames = 0
        for line in lines or ():
            try:
                isotp.parse(line, digits)
                frames += 1
            except WireError:
                pass  # its own words
        return frames

    async def _exchange(self, command, timeout_ms):
        self._beat()
        self._link.heard.clear()
        self._reader.clear()
        lines = await self._until_prompt(command.encode() + b"\r", timeout_ms)
        if lines is None:
            await self.wake()
        return lines

    async def _until_prompt(self, data, timeout_ms):
        await self._say(data)
        deadline = hal.real_ms() + timeout_ms
        while hal.real_ms() < deadline:
            heard = await self._link.read(deadline - hal.real_ms())
            if heard is None:
                break
            lines = self._reader.feed(heard)
            if lines is not None:
                return lines
        return None

    async def _say(self, data):
        await self._link.write(self._write[2], data, self._mode)


def _pairs(found):
    """Return characteristics that notify, each with one of its service that can be written.

    Services' UUIDs tell nothing: dongles, printers and battery monitors use the same.
    """
    pairs = []
    for notify in found:
        if notify[4] & (ble.NOTIFIES | ble.INDICATES) and notify[0] not in OWN_SERVICES:
            for write in found:
                if write[0] == notify[0] and write[4] & (ble.WRITES | ble.WRITES_BLIND):
                    pairs.append((notify, write))
                    break
    return pairs[:PAIRS_MAX]
