"""BLE as a central: interrupts copy, append and flag; everything else is a coroutine. Loaded where needed."""

import asyncio

SCAN_RESULT, SCAN_DONE, CONNECTED, DISCONNECTED = 5, 6, 7, 8
SERVICE, SERVICES_DONE, CHARACTERISTIC, CHARACTERISTICS_DONE, DESCRIPTOR, DESCRIPTORS_DONE = 9, 10, 11, 12, 13, 14
FINDS = (SERVICE, CHARACTERISTIC, DESCRIPTOR)  # the next number ends each
WRITE_DONE, NOTIFY, INDICATE = 17, 18, 19
READS, WRITES_BLIND, WRITES, NOTIFIES, INDICATES = 0x02, 0x04, 0x08, 0x10, 0x20  # properties of a characteristic
EVENTS_MAX = 64  # that wait to be looked at; more are dropped and counted
HEARD_MAX = 48  # notifications of a link that nobody has read
FOUND_MAX = 48  # services, or characteristics, or descriptors of a peer; who claims more is heard no further
SCAN_US, WINDOW_US = 100000, 60000
CONNECT_MS = 10000
ANSWER_MS = 5000
LOCK_MS = 500
CHUNK = 20  # bytes of a write at the smallest MTU
BLIND, WITH_RESPONSE = 0, 1  # modes of a write
CCCD = b"\x02\x29"


class LinkError(Exception):
    """The link is gone, or was never there, or the peer does not do what GATT says."""


class Central:
    """The radio; `run` must be running. One connection is made at a time, and none while it scans."""

    def __init__(self, radio):
        self.dropped = 0
        self.rssi_dbm = None  # of the advert that listeners look at
        self._radio = radio
        self._events = []
        self._flag = asyncio.ThreadSafeFlag()
        self._links = {}
        self._listeners = []
        self._scanning = False
        self._connecting = asyncio.Lock()
        self._connected = asyncio.Event()
        self._new = None

    async def run(self):
        """Look at what the interrupts left, for ever."""
        self._radio.active(True)
        self._radio.irq(self._irq)
        self._scan()
        while True:
            await self._flag.wait()
            while self._events:
                self._take(*self._events.pop(0))

    def _irq(self, event, data):
        # The buffers behind `data` are the radio's own and change after this.
        if len(self._events) < EVENTS_MAX:
            self._events.append((event, [each if isinstance(each, int) else bytes(each) for each in data]))
        else:
            self.dropped += 1
        self._flag.set()

    def listen(self, listener):
        """Have `listener(address type, address, advertising data)` called for every advert."""
        self._listeners.append(listener)
        self._scan()

    def unlisten(self, listener):
        """End it."""
        self._listeners.remove(listener)
        self._scan()

    async def find(self, suits, timeout_ms):
        """Return (address type, address, dBm) of the first advert that `suits`; raises LinkError."""
        found = []
        heard = asyncio.Event()

        def listener(kind, address, data):
            if not found and suits(address, data):
                found.append((kind, address, self.rssi_dbm))
                heard.set()

        self.listen(listener)
        try:
            await asyncio.wait_for_ms(heard.wait(), timeout_ms)
        except asyncio.TimeoutError:
            raise LinkError("no device in sight")
        finally:
            self.unlisten(listener)
        return found[0]

    async def connect(self, kind, address, beat):
        """Return a Link; raises LinkError. Others may be first, so that it says now and then that all is well."""
        while self._connecting.locked():
            beat()
            await asyncio.sleep_ms(LOCK_MS)
        async with self._connecting:
            beat()
            self._scan(False)
            self._connected.clear()
            self._new = (bytes(address), None)
            try:
                self._radio.gap_connect(kind, address, CONNECT_MS)
                await asyncio.wait_for_ms(self._connected.wait(), CONNECT_MS + 1000)
            except (OSError, asyncio.TimeoutError):
                self._give_up()
            finally:
                link, self._new = self._new[1], None
                self._scan()
        if link is None:
            raise LinkError("no connection")
        return link

    def _give_up(self):
        try:
            self._radio.gap_connect(None)
        except (OSError, TypeError):
            pass  # it was over already, or the port cannot

    def _scan(self, wanted=None):
        if wanted is None:
            wanted = bool(self._listeners) and self._new is None
        if wanted == self._scanning or not self._radio.active():
            return
        self._scanning = wanted
        try:
            if wanted:
                self._radio.gap_scan(0, SCAN_US, WINDOW_US, True)
            else:
                self._radio.gap_scan(None)
        except OSError:
            self._scanning = False  # the radio is busy; SCAN_DONE or the next listener tries again

    def _take(self, event, data):
        if event == SCAN_RESULT:
            self.rssi_dbm = data[3]
            for listener in list(self._listeners):
                listener(data[0], data[1], data[4])
        elif event == SCAN_DONE:
            self._scanning = False
            self._scan()  # it ended by itself: a scanner that stays silent is what nobody notices
        elif event == CONNECTED:
            if self._new is not None and self._new[0] == data[2]:
                link = self._links[data[0]] = Link(self._radio, data[0], self._forget)
                self._new = (data[2], link)
                self._connected.set()
            else:
                Link(self._radio, data[0], self._forget).close()  # it came when nobody waited for it any more
        elif event == DISCONNECTED:
            link = self._links.pop(data[0], None)
            if link is not None:
                link.lose()
            elif self._new is not None:
                self._connected.set()  # the connection failed
        elif data and data[0] in self._links:
            self._links[data[0]].take(event, data)

    def _forget(self, handle):
        self._links.pop(handle, None)


class Link:
    """A connection. `heard` are notifications nobody has read; `dropped` counts those that found no room."""

    def __init__(self, radio, handle, forget):
        self.is_alive = True
        self.heard = []
        self.dropped = 0
        self._radio = radio
        self._handle = handle
        self._forget = forget
        self._flag = asyncio.Event()
        self._found = []
        self._ends = 0  # the event that ends what is under way
        self._done = asyncio.Event()
        self._status = 0

    async def characteristics(self, beat):
        """Return (service's UUID, UUID, value handle, last handle, properties) of all; UUIDs as little-endian bytes."""
        services = await self._ask(SERVICES_DONE, self._radio.gattc_discover_services)
        found = []
        for service in services:
            beat()
            if len(found) >= FOUND_MAX:
                break
            own = await self._ask(
                CHARACTERISTICS_DONE, self._radio.gattc_discover_characteristics, service[1], service[2]
            )
            for each in own:
                found.append((service[3], each[4], each[2], max(each[1], each[2]), each[3]))
        return found

    async def subscribe(self, characteristic):
        """Have its notifications, or its indications where it has only those."""
        _, _, value, last, properties = characteristic
        found = await self._ask(DESCRIPTORS_DONE, self._radio.gattc_discover_descriptors, value, max(last, value + 1))
        handles = [each[1] for each in found if each[2] == CCCD]
        await self.write(handles[0] if handles else value + 1, b"\x01\x00" if properties & NOTIFIES else b"\x02\x00")

    async def write(self, handle, data, mode=WITH_RESPONSE):
        """Write to a characteristic's value, in pieces where it is long; raises LinkError."""
        for at in range(0, len(data), CHUNK):
            piece = data[at : at + CHUNK]
            if mode == WITH_RESPONSE:
                await self._ask(WRITE_DONE, self._radio.gattc_write, handle, piece, mode)
                if self._status:
                    raise LinkError("a write was refused: %d" % self._status)
            else:
                self._call(self._radio.gattc_write, handle, piece, mode)

    async def read(self, timeout_ms):
        """Return the next notification, or None if none comes in time; raises LinkError."""
        if not self.heard:
            self._need()
            self._flag.clear()
            try:
                await asyncio.wait_for_ms(self._flag.wait(), timeout_ms)
            except asyncio.TimeoutError:
                return None
            if not self.heard:
                self._need()
                return None
        return self.heard.pop(0)

    def close(self):
        """End the connection."""
        if self.is_alive:
            self.lose()
            self._forget(self._handle)
            try:
                self._radio.gap_disconnect(self._handle)
            except OSError:
                pass  # it was gone already

    def take(self, event, data):
        """Take an event of this connection."""
        if event in (NOTIFY, INDICATE):
            if len(self.heard) < HEARD_MAX:
                self.heard.append(data[2])
            else:
                self.dropped += 1
            self._flag.set()
        elif event == self._ends:
            self._status = data[-1]
            self._done.set()
        elif (
            event in (SERVICE, CHARACTERISTIC, DESCRIPTOR) and self._ends == event + 1 and len(self._found) < FOUND_MAX
        ):
            self._found.append(data)

    def lose(self):
        """The connection is gone."""
        self.is_alive = False
        self._flag.set()
        self._done.set()

    def _need(self):
        if not self.is_alive:
            raise LinkError("the link was lost")

    def _call(self, function, *arguments):
        self._need()
        try:
            function(self._handle, *arguments)
        except OSError as error:
            raise LinkError("the radio refused: %s" % error)

    async def _ask(self, ends, function, *arguments):
        """Run one procedure of GATT; return what it found."""
        self._found = []
        self._ends = ends
        self._done.clear()
        self._call(function, *arguments)
        try:
            await asyncio.wait_for_ms(self._done.wait(), ANSWER_MS)
        except asyncio.TimeoutError:
            self.close()
            raise LinkError("the peer does not answer")
        finally:
            self._ends = 0
        self._need()
        return self._found
