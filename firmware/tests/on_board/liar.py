"""Peers on the air that lie: about lengths, handles and ends, slowly or without end; prints what became of hours of it.

Time is virtual: it goes on when every task waits. What must hold: no task ends, every task says at least once a minute
that all is well, what a peer claims takes bounded room, and no value comes of it.
"""

import asyncio
import gc
import random
import sys
import time
from asyncio import core

SEED, HOURS = 3, 1
BEGAN_MS = time.ticks_ms()  # the loop's own part in C looks at the true clock, which must not be ahead
now_ms = BEGAN_MS
interrupted = []
core.ticks = lambda: now_ms
poll = core._io_queue.wait_io_event  # the one place where MicroPython's loop waits


def wait(dt_ms):
    """Let the interrupts' flags through; if nobody is ready then, let time pass."""
    global now_ms  # noqa: PLW0603 - the world has one clock
    if interrupted:
        interrupted.clear()
        poll(0)  # it takes the VM a millisecond
    first = core._task_queue.peek()
    if first is None or first.ph_key > now_ms:
        now_ms += max(1, dt_ms)


core._io_queue.wait_io_event = wait


def task(coroutine):
    """Have the loop run it, which keeps it as well."""
    return asyncio.create_task(coroutine)


class Hal:
    """Stands for the module: the clock is the world's."""

    RATE = 1

    def uptime_ms(self):
        return now_ms

    real_ms = uptime_ms


sys.modules["wattboard.hal"] = Hal()
from wattboard import ble, radio_catalog  # noqa: E402 - they find the module above
from wattboard.battery import Monitor  # noqa: E402
from wattboard.heard import Heard  # noqa: E402
from wattboard.vehicle import Vehicle  # noqa: E402


def junk(most):
    return bytes([random.getrandbits(8) for _ in range(random.randrange(most + 1))])


def handle():
    return random.choice((0, 1, 7, 0xFFFF, random.getrandbits(16)))


def uuid():
    known = (b"\xf0\xff", b"\xf1\xff", b"\xf2\xff", b"\x00\xff", b"\x01\xff", b"\x02\xff", b"\xe1\xff", b"\xe0\xff")
    return random.choice(known + (junk(16),))


class Radio:
    """The chip's radio, whose irq tells what a liar says; each call may be refused, answered late, or never."""

    scans = False

    def active(self, _on=None):
        return True

    def irq(self, handler):
        self.irq_handler = handler

    def handler(self, event, data):
        interrupted.append(event)
        self.irq_handler(event, data)

    def gap_scan(self, duration_ms, *_):
        self.scans = duration_ms is not None
        if not self.scans:
            self.later(((ble.SCAN_DONE, ()),))

    async def advertise(self):
        while True:
            await asyncio.sleep_ms(700)
            data = random.choice((b"\x02\x01\x06\x05\x09pack", b"\xff\x09pack", b"\x00\x00", junk(31) + b"pack"))
            if self.scans:
                address = bytes(5) + bytes((random.getrandbits(6),))
                self.handler(ble.SCAN_RESULT, (0, memoryview(address), 0, -60, memoryview(data)))

    def gap_connect(self, kind, address=None, _ms=0):
        if kind is not None:
            self.later(((ble.CONNECTED, (random.randrange(3), 0, random.choice((address, address, junk(6))))),))

    def gap_disconnect(self, link):
        self.later(((ble.DISCONNECTED, (link, 0, bytes(6))),))

    def gattc_discover_services(self, link):
        self.found(ble.SERVICE, link, lambda: (link, handle(), handle(), uuid()))

    def gattc_discover_characteristics(self, link, _first, _last):
        self.found(ble.CHARACTERISTIC, link, lambda: (link, handle(), handle(), random.getrandbits(8), uuid()))

    def gattc_discover_descriptors(self, link, _first, _last):
        self.found(ble.DESCRIPTOR, link, lambda: (link, handle(), random.choice((ble.CCCD, uuid()))))

    def gattc_write(self, link, value, data, mode=0):
        words = (
            b"ELM327 v1.5\r\r>",
            b"OK\r>",
            b">",
            data + b">",
            b"7EC103D6201\r",
            b"\xdd\x03\x00\xff",
            b"\xd2\x03\x7c",
        )
        said = [random.choice(words + (junk(600),)) for _ in range(random.randrange(9))]
        events = [(ble.NOTIFY, (link, handle(), each)) for each in said]
        self.later([(ble.WRITE_DONE, (link, value, random.choice((0, 0, 0, 5))))] * mode + events)

    def found(self, event, link, one):
        count = random.choice((0, 1, 4, 4, 3000))
        self.later([(event, one()) for _ in range(min(count, 60))] * max(1, count // 60) + [(event + 1, (link, 0))])

    def later(self, events):
        if random.random() < 0.05:
            raise OSError(random.choice((16, 110, 128)))
        if random.random() < 0.9:
            task(self.tell(events, random.choice((1, 100, 1000, 4900, 5100))))

    async def tell(self, events, each_ms):
        if len(events) < 5 and random.random() < 0.3:
            each_ms *= 2
        await asyncio.sleep_ms(each_ms)
        for at, (event, data) in enumerate(events):
            self.handler(event, tuple([memoryview(each) if isinstance(each, bytes) else each for each in data]))
            if at % 50 == 49:
                await asyncio.sleep_ms(1)
        if random.random() < 0.1:
            self.handler(ble.DISCONNECTED, (random.randrange(3), 0, memoryview(bytes(6))))


class Bus:
    """Not used."""


def stream(profile, role):
    settings = {"role": role, "profile": profile, "unit": 1, "period_ms": 30000, "ble": {"name": "pack"}}
    return Heard(settings, radio_catalog.read(settings, "$", text_of), Bus()), settings


def text_of(name):
    for folder in sys.path:
        try:
            with open(folder + "/profiles/" + name + ".json", "rb") as file:
                return file.read()
        except OSError:
            pass
    raise OSError(name)


async def main():
    random.seed(SEED)
    radio = Radio()
    central = ble.Central(radio)
    beats = {}
    slowest_ms = widest = 0
    task(central.run())
    task(radio.advertise())
    streams = []
    for name, role in (("jbd", "battery"), ("daly", "battery"), ("jk", "battery"), ("hyundai_kia_egmp", "vehicle")):
        its, settings = stream(name, role)
        peer = Monitor(central, its, name)
        if role == "vehicle":
            peer = Vehicle(central, its, radio_catalog.read(settings, "$", text_of)[0])
        beats[name] = now_ms
        streams.append(its)

        def beat(name=name):
            beats[name] = now_ms

        task(peer.run(beat))
    while now_ms - BEGAN_MS < HOURS * 3600000:
        await asyncio.sleep_ms(1000)
        slowest_ms = max(slowest_ms, now_ms - min(beats.values()))
        for link in central._links.values():
            widest = max(widest, len(link._found), len(link.heard))
        widest = max(widest, len(central._links))
        for its in streams:
            assert await its.poll() is None, its.ble
    gc.collect()
    print(slowest_ms, widest, sum([its.errors for its in streams]), sum([its.links for its in streams]))


asyncio.run(main())
