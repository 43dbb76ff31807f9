"""A home with a week behind it, made by boards' frames through the real pipeline, served to a real browser.

Loaded by `runpy`. The clock stands still unless a test moves it, so that pictures are the same each time.
"""

import asyncio
import datetime as dt
import itertools
import math
import threading
from decimal import Decimal

from emulator.author import Author, pv, verified
from wattness.clock import Clock
from wattness.config import load
from wattness.enrolment import board_settings
from wattness.model import Receipt, Reward
from wattness.signing import key_hash
from wattness.store.historian import Historian
from wattness.store.history_schema import connect_history, history_path
from wattness.store.payouts import PayoutEntry, PriceEntry, open_payouts
from wattness.store.registry import open_registry
from wattness.store.schema import connect_to_read
from wattness.store.settings import Wants
from wattness.store.sqlite import Settings, open_store
from wattness.web.answers import BrokerNow
from wattness.web.credentials import new_token
from wattness.web.server import serve
from wattness.web.sources import ProxyNow, Sources
from wattwire import frame

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOW = 1_781_273_420_000  # Friday 12 June 2026, 16:10:20 in Berlin
MIDNIGHT = NOW - NOW % DAY - 2 * HOUR  # in Berlin, where summer is two hours ahead
DAYS = 5  # since Monday
STEP = 2 * MINUTE  # between rows, which just join
NETWORK = "wattnet"
GATEWAY_KEY = Author(9, bytes(32), 0).public_key
GATEWAY = key_hash(GATEWAY_KEY)
BATTERY_GAP = (MIDNIGHT - DAY + 10 * HOUR, MIDNIGHT - DAY + 13 * HOUR + 30 * MINUTE)
ROOF_GAP = (MIDNIGHT + 11 * HOUR, MIDNIGHT + 12 * HOUR)  # frames that were thinned away, whole
IMPOSSIBLE_AT = MIDNIGHT + 9 * HOUR
CONFIG = """\
# The home's gateway.
[web]
listen = "127.0.0.1:0"

[interval]
length_s = 900

[site]
latitude = 52.52
longitude = 13.40
timezone = "Europe/Berlin"

[money]
currency = "EUR"
tariff = [{grid_per_kwh = 0.31, own_per_kwh = 0.08}]

[[operates]]
device = "CARPORT/0"
operator = "akash"

[[network]]
name = "wattnet"
kind = "wattnet"
url = "http://127.0.0.1:9000"

[[device]]
name = "carport"
url = "tcp://192.168.1.50:502"
role = "charger"
profile = "wallbox_tcp"

[[device]]
name = "heat pump"
url = "serial:///dev/ttyUSB0?baud=9600"
role = "load"
profile = "eastron_sdm120"

[[proxy]]
device = "carport"
listen = "127.0.0.1:1502"
""".replace("CARPORT", key_hash(Author(3, bytes(32), 0).public_key)[:8].hex())
METERS = [
    {"name": "carport", "state": "metering", "detail": ""},
    {"name": "heat pump", "state": "silent", "detail": "no answer in 200 ms; <b>look</b> at the wires"},
]
PROXIED = {("answered", "cache"): 12_031, ("answered", "device"): 44, ("declined", "write_not_allowed"): 2}


class StillClock(Clock):
    """Civil time as the tests set it."""

    now = NOW

    def now_ms(self):
        return StillClock.now


def points(*counters, volts=False):
    voltage = (frame.Point("voltage", "V", -1, None),) if volts else ()
    return (*voltage, frame.Point("power", "W", 0, None), *(frame.Point(name, "Wh", 0, None) for name in counters))


BOTH = points("energy_import", "energy_export")
STREAMS = {
    "roof": (
        pv(points=points("energy_export", volts=True), rated_w=6000),
        pv(role="grid", profile="eastron_sdm630", unit=2, points=BOTH, rated_w=None),
    ),
    "cellar": (pv(role="battery", profile="sunspec_storage", unit=3, points=BOTH, rated_w=5000),),
    "carport": (pv(role="charger", profile="wallbox_tcp", unit=4, points=points("energy_import"), rated_w=11_000),),
}  # fmt: skip


def powers():
    """Yield (time, pv, grid, battery, charger) in W at each step: sun, clouds, meals, a battery that buffers."""
    for at in range(MIDNIGHT - (DAYS - 1) * DAY, NOW, STEP):
        hour, day = (at - MIDNIGHT) % DAY / HOUR, (at - MIDNIGHT) // DAY
        clouds = 0.78 + 0.22 * math.sin(at / 5.3e6 + day) * math.sin(at / 0.9e6) * (1 + day % 3) / 2
        sun = round(5600 * max(0.0, math.sin((hour - 5) * math.pi / 16)) ** 1.4 * min(1.0, clouds)) if hour > 5 else 0
        meals = 1700 * math.exp(-((hour - 7.5) ** 2)) + 2300 * math.exp(-((hour - 18.7) ** 2) / 2)
        load = round(280 + meals + 140 * (at // (7 * MINUTE) % 3) + 60 * math.sin(at / 4e5))
        charger = 1400 if day % 3 == 0 and 14 <= hour < 17 else 0
        spare = sun - load - charger
        battery = round(min(2200, 0.55 * spare)) if spare > 0 else round(max(-900, 0.7 * spare))
        yield at, sun, load + charger + battery - sun, battery, charger


class Meters:
    """Counts energy as a meter would, in Wh."""

    def __init__(self):
        self.taken = self.given = 1_000_000.0

    def count(self, power):
        self.taken += max(0, power) * STEP / HOUR
        self.given += max(0, -power) * STEP / HOUR
        return int(self.taken), int(self.given)


def columns(minutes):
    """Return {board: {stream: [(time, power, voltage, counters…)]}} of the whole time."""
    meters = [Meters() for _ in range(4)]
    found = {name: [[] for _ in streams] for name, streams in STREAMS.items()}
    for at, *values in minutes:
        volts = 2310 + at // MINUTE % 17
        counted = [meter.count(value) for meter, value in zip(meters, values, strict=True)]
        sun, grid, battery, charger = values
        found["roof"][0].append((at, volts, 9999 if at == IMPOSSIBLE_AT else sun, counted[0][0]))
        found["roof"][1].append((at, grid, *counted[1]))
        found["cellar"][0].append((at, battery, *counted[2]))
        found["carport"][0].append((at, charger, counted[3][0]))
    return found


def author_of(seed, name):
    author = Author(seed, GATEWAY, MIDNIGHT - DAYS * DAY)
    author.streams(MIDNIGHT - (DAYS - 1) * DAY - MINUTE, *STREAMS[name])
    return author


def write_frames(author, name, rows):
    """Seal a frame each hour, and the board's health every four; yields (time of arrival, frame)."""
    yield rows[0][0][0], author.frames[0]
    for start in range(rows[0][0][0], NOW, HOUR):
        entries = []
        for index, stream in enumerate(rows):
            hour = [row for row in stream if start <= row[0] < start + HOUR and not missing(name, row[0])]
            if hour:
                values = [frame.delta(list(column)) for column in zip(*(row[1:] for row in hour), strict=True)]
                spacings = [b[0] - a[0] for a, b in itertools.pairwise(hour)]
                entries.append(frame.Entry(index, hour[0][0] - start, spacings, values))
        if entries:
            yield min(start + HOUR, NOW), author.entries(start, entries)
        if start % (4 * HOUR) == 0 and start + HOUR < NOW:
            signal, bus = (-58, 18) if name == "roof" else (-74, 6)
            yield start + HOUR, author.health(
                start + HOUR - 1000, reset="<b>power on</b>", rssi_dbm=signal, bus_percent=bus,
                bus_headroom_per_min=1400, heap_free_bytes=81_744, flash_bytes=2_097_152, flash_free_bytes=1_507_328,
                polls=14_380, silent_polls=3, clock_steps=1, battery_percent=None if name == "roof" else 87,
            )  # fmt: skip


def missing(name, at):
    gap = {"roof": ROOF_GAP, "cellar": BATTERY_GAP}.get(name, (0, 0))
    return gap[0] <= at < gap[1]


async def seed(store, boards, authors):
    """Put all frames as they came, let the network take and pay, and sum up the history."""
    rows = columns(list(powers()))
    frames = [
        (at, verified(boards[name].id, raw))
        for name, author in authors.items()
        for at, raw in write_frames(author, name, rows[name])
    ]
    for day in range(DAYS):
        end = MIDNIGHT - (DAYS - 2 - day) * DAY
        StillClock.now = min(end, NOW)
        await store.put([one for at, one in frames if end - DAY < at <= end or (day == 0 and at <= end)])
        await store.tick()
        await settle_network(store, boards, day)
    StillClock.now = NOW


def enter_pay(path):
    """Enter what an operator paid, and what that was worth."""
    today = dt.date(2026, 6, 12)
    with open_payouts(path) as payouts:
        payouts.add([PayoutEntry("akash", NOW - day * DAY, "AKT", Decimal("0.25")) for day in range(3)])
        payouts.set_prices([PriceEntry("AKT", "", "EUR", today - dt.timedelta(1), Decimal("2.4"))])


async def settle_network(store, boards, epoch):
    jobs = await store.outbox.lease(NETWORK, 1000, 60_000)
    for number, job in enumerate(jobs):
        if epoch == DAYS - 1 and number > len(jobs) - 4:
            await store.outbox.retry(job.id, store.outbox_real_ms + HOUR, "503 The network is being maintained")
        else:
            await store.outbox.complete(job.id, Receipt(f"rcpt-{epoch:02d}{number:05d}-7f3ab2", {}))
    paid = [Reward(epoch + 1, boards["roof"].board_key, "0", 84_000 + 911 * (epoch * 7 % 10), {})]
    await store.outbox.add_rewards(NETWORK, paid)


def minute_later(house):
    """Let the roof say one more minute, and the clock move on; returns its solar power in W."""
    author, at = house.authors["roof"], StillClock.now
    StillClock.now += MINUTE
    watts = 3210
    entries = [
        frame.Entry(0, 0, [], [[2310], [watts], [9_000_000]]),
        frame.Entry(1, 0, [], [[-1234], [9_000_000], [9_000_000]]),
    ]
    house.call(house.store.put([verified(house.boards["roof"].id, author.entries(at + MINUTE - 1000, entries))]))
    return watts


def sum_up(path):
    """Let the history follow the store to its end."""
    store, history = connect_to_read(path), connect_history(history_path(path))
    try:
        historian = Historian(store, history, 120_000)
        while historian.step():
            pass
    finally:
        store.close()
        history.close()


class House:
    """The gateway's web room over a seeded store, in a thread with a loop of its own."""

    def __init__(self, home, *, seeded=True):
        self.home, self.path, self.seeded = home, home / "wattness.db", seeded
        (home / "gateway.toml").write_text(CONFIG)
        self.token = new_token(home)
        self.config = load(home)
        self.connected = True
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._failed = None
        self._thread = threading.Thread(target=self._run, name="house")

    def call(self, work):
        """Run a coroutine in the house's loop; returns its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _run(self):
        try:
            self._loop.run_until_complete(self._live())
        except Exception as error:  # noqa: BLE001 - told to the test's thread
            self._failed = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _live(self):
        settings = Settings(
            gateway=GATEWAY, networks=(Wants(NETWORK),), interval=self.config.interval, clock=StillClock(), window_ms=0
        )
        names = list(STREAMS) if self.seeded else []
        self.authors = {name: author_of(seed, name) for seed, name in enumerate(names, 1)}
        StillClock.now = MIDNIGHT - DAYS * DAY
        with open_registry(self.path, StillClock()) as registry:
            self.boards = {
                name: registry.enrol(author.public_key, name, "gateway" if name == "carport" else "board")
                for name, author in self.authors.items()
            }
        StillClock.now = NOW
        async with open_store(self.path, settings) as store:
            self.store = store
            store.outbox_real_ms = StillClock().real_ms_now()
            if self.seeded:
                await seed(store, self.boards, self.authors)
                enter_pay(self.path)
            await asyncio.get_running_loop().run_in_executor(None, sum_up, self.path)
            await self._serve()

    async def _serve(self):
        self.states = {self.boards[name].kid: "online" for name in self.boards if name != "carport"}
        sources = Sources(
            store=self.store,
            clock=StillClock(),
            config=self.config,
            version="0.2.0",
            gateway=GATEWAY.hex(),
            started_unix_ms=NOW - 5 * DAY,
            broker=lambda: BrokerNow(
                own=True, address="127.0.0.1:1883", connected=self.connected,
                error="" if self.connected else "connection refused", connects=1, restarts=0,
            ),
            states=self.states,
            board_settings=lambda board, host: board_settings(self.config, GATEWAY_KEY, board, host),
            meters=lambda: METERS if self.seeded else [],
            proxies=lambda: [ProxyNow("carport", "127.0.0.1:1502", 3, PROXIED)] if self.seeded else [],
        )  # fmt: skip
        async with serve(sources) as (address, live):
            self.address = address
            task = asyncio.create_task(live.run())
            self._ready.set()
            await self._stop.wait()
            task.cancel()
            await asyncio.wait([task])

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        if self._failed:
            raise self._failed
        return self

    def __exit__(self, *_):
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
