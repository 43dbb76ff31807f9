"""A house that the page shows, served over real sockets to somebody who is logged in; loaded by `runpy`."""

import asyncio
import datetime as dt
import math
import tempfile
from collections import Counter
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import aiohttp
import msgspec

from wattness.clock import Clock
from wattness.config import Config, NetworkConfig, Web
from wattness.store.accounts import Accounts, Told
from wattness.store.history import DayView, HistoryView, day_bounds, step_of
from wattness.store.payouts import PayoutEntry
from wattness.store.reader import Reader
from wattness.store.views import (
    BoardView,
    Depth,
    IntervalView,
    JobView,
    LogView,
    PointView,
    RewardView,
    StreamView,
)
from wattness.web.answers import BrokerNow
from wattness.web.credentials import new_token
from wattness.web.server import serve
from wattness.web.sources import Sources

NOW = 1_647_680_400_000
KEY = "11" * 32
POINTS = [PointView("power", "W", -1), PointView("energy_export", "Wh", 1)]


class HouseAccounts(Accounts):
    """Books in which each day is like the other."""

    def __init__(self) -> None:
        pass

    def reports(self, bounds):
        return [Counter({("wattnet", "completed", ""): 23, ("wattnet", "retryable", ""): 1}) for _ in bounds[1:]]

    def paid(self, bounds):
        return {"wattnet": [22 for _ in bounds[1:]]}

    def told(self, since_ms, until_ms):
        return [Told("wattnet", since_ms, 2, 91_250)]

    def entered(self, since_ms, until_ms):
        return [PayoutEntry("akash", since_ms, "AKT", Decimal("0.5"), "0xab")]

    def measured(self, stream_id, since_ms, until_ms):
        return iter(())

    def prices(self):
        return []


class HouseReader(Reader):
    """A house with a roof, a battery, a grid connection and a load, whose history is a formula."""

    def __init__(self, now_ms: int = NOW) -> None:
        self.now_ms = now_ms

    def boards(self):
        log = LogView(1, 118, 120, 120, self.now_ms - 4000)
        rest = ("active", "", NOW - 86_400_000)
        return [
            BoardView(1, "roof", "d4784063a6065a33", KEY, *rest, self.now_ms - 4000, log, {"free": 100}),
            BoardView(2, "cellar", "00112233aabbccdd", "22" * 32, "quarantined", "conflict", NOW, None, None, None),
        ]

    def streams(self):
        first, last = self.now_ms - 7_200_000, self.now_ms - 4000
        rest = (POINTS, first, last, self.now_ms - 300_000)
        roles = ("pv", "battery", "grid", "load")
        return [
            StreamView(i, 1, "roof", KEY, str(i - 1), role, "eastron_sdm120", i, 6000 if role == "pv" else None, *rest)
            for i, role in enumerate(roles, 1)
        ]

    def values(self, stream_id, point, since_ms, limit=5000):
        first, last = self.now_ms - 7_200_000, self.now_ms - 4000
        rows = []
        for at in range(first, last + 1, 10_000):
            x = (at - first) / 7_200_000
            shapes = (
                3900 * math.sin(0.6 + x),
                1500 * math.sin(5 * x),
                800 * math.cos(7 * x),
                420 + 300 * (x * 20 % 3 > 2),
            )
            gap = stream_id == 1 and 0.55 < x < 0.62
            if at >= since_ms and not gap:
                rows.append([at, round(shapes[stream_id - 1], 1)])
        return rows[-limit:]

    def intervals(self, *, stream_id=None, before=None, limit=100):
        found = []
        for i in range(24, 0, -1):
            a = NOW - 7_200_000 + i * 300_000
            job = JobView(i, "wattnet", f"{KEY}/0/{a}", "completed", 1, 0, "", f"receipt-{i:08x}-of-wattnet", {})
            if i == 24:
                job = msgspec.structs.replace(job, state="retryable", reason="timed out", receipt=None)
            energy = {"energy_import": 0, "energy_export": 290_000 + 1000 * i}
            figures = {"covered_ms": 300_000, "counter_resets": 0, "energy": energy, "gap_energy": {}, "rows": 30}
            slot = (KEY, "0", "pv", "eastron_sdm120", a, a + 300_000)
            verdict = ("flagged", ["clock_step"]) if i == 20 else ("accepted", [])
            found.append(IntervalView(i, 1, *slot, figures, [[1, i, i + 6]], "33" * 32, *verdict, 6000, [job]))
        return [one for one in found if stream_id in (None, 1) and (before is None or one.id < before)][:limit]

    def verdicts(self, *, stream_id=None, before=None, limit=100):
        found = self.intervals(stream_id=stream_id, before=before, limit=1000)
        return [one for one in found if one.verdict != "accepted"][:limit]

    def history(self, stream_id, point, from_ms, to_ms, step="auto"):
        step_ms = step_of(step, from_ms, to_ms)
        if stream_id not in range(1, 5) or point not in {point.name for point in POINTS}:
            return None
        first = -(-max(from_ms, to_ms - 1500 * step_ms) // step_ms)
        rows = [[at * step_ms, 1000 + at % 60, 900, 1100 + at % 60] for at in range(first, -(-to_ms // step_ms))]
        return HistoryView(stream_id, point, "W" if point == "power" else "Wh", step_ms, rows)

    def days(self, stream_id, from_day, to_day, timezone="UTC"):
        bounds = day_bounds(from_day, to_day, timezone)
        days = [(from_day + dt.timedelta(n)).isoformat() for n in range(len(bounds) - 1)]
        judged = {"accepted": 280, "flagged": 7, "quarantined": 1}
        return [DayView(day, 0, 21_500, 86_100, 86_400, judged) for day in days] if stream_id in range(1, 5) else None

    def depths(self):
        return [Depth("wattnet", "retryable", 1, NOW - 60_000), Depth("wattnet", "completed", 23, None)]

    def rewards(self, *, network=None, limit=1000):
        return [RewardView("wattnet", epoch, KEY, "0", 91_250 + epoch, {"why": "useful"}) for epoch in (2, 1)][:limit]

    def acknowledged(self):
        return {1: 118}

    def received(self, network, bounds):
        return [None if number % 3 else 91_250 + number for number in range(len(bounds) - 1)]

    def paid(self, network):
        return sum(reward.amount for reward in self.rewards())

    def last_epoch(self, network):
        return 2

    def accounts(self):
        return HouseAccounts()

    def counters(self):
        return {"rejected": {"bad_signature": 3, "unknown_board": 1}, "dropped": {"queue_full": 2}}


class House:
    """The store's reading side; `fault` breaks the disk."""

    def __init__(self) -> None:
        self.reader = HouseReader()
        self.fault = None
        self.failing = False
        self.trouble = ""

    async def boards(self):
        return []

    async def read(self, query):
        if self.fault:
            raise self.fault
        return query(self.reader)


def sources(house, home, clock=None, **web):
    """What a gateway gives to the web room; `home` holds its token and configuration."""
    broker = BrokerNow(own=True, address="127.0.0.1:1883", connected=True, error="", connects=1, restarts=0)
    network = NetworkConfig("wattnet", "wattnet", "http://127.0.0.1:9000")
    config = Config(web=Web(**{"listen": "127.0.0.1:0"} | web), network=[network], home=str(home))
    return Sources(
        store=house,
        clock=clock or Clock(real_ms=Clock().real_ms_now(), civil_ms=NOW),
        config=config,
        version="0.1.0",
        gateway="44" * 32,
        started_unix_ms=NOW,
        broker=lambda: broker,
        states={bytes.fromhex("d4784063a6065a33"): "online"},
        board_settings=lambda board, host: {
            "gateway": "44" * 32,
            "link_key": board.link_key.hex(),
            "mqtt": {
                "host": host or "127.0.0.1", "port": 1883, "user": board.kid.hex(), "password": board.password,
                "tls": False,
            },
        },
    )  # fmt: skip


def make_home(folder):
    """Make a home with a configuration and a token; returns the token."""
    (folder / "gateway.toml").write_text("# mine\n[interval]\nlength_s = 300  # five minutes\n")
    return new_token(folder)


@asynccontextmanager
async def running(given):
    """Serve, and feed the live events; gives the address."""
    async with serve(given) as (address, live):
        task = asyncio.create_task(live.run())
        try:
            yield address
        finally:
            task.cancel()
            await asyncio.wait([task])


@asynccontextmanager
async def served(house=None):
    """Serve a house to somebody who has the token."""
    with tempfile.TemporaryDirectory() as folder:
        headers = {"Authorization": f"Bearer {make_home(Path(folder))}"}
        async with (
            running(sources(house or House(), folder)) as address,
            aiohttp.ClientSession(address, headers=headers, timeout=aiohttp.ClientTimeout(20)) as session,
        ):
            yield session


async def get(session, path, **options):
    """Return status and answer."""
    async with session.get(path, **options) as response:
        return response.status, await response.json()
