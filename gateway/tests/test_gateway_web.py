"""The API and the page over real HTTP: what they answer, what they refuse, what keeps strangers out."""

import asyncio
import math
import re
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from wattness.clock import Clock
from wattness.config import NetworkConfig
from wattness.errors import ConfigError, StoreError
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
from wattness.web import events, server
from wattness.web.answers import BrokerNow
from wattness.web.api import Api, Sources
from wattness.web.server import ASSETS, is_local, require_loopback, serve

NOW = 1_647_680_400_000
KEY = "11" * 32
POINTS = [PointView("power", "W", -1), PointView("energy_export", "Wh", 1)]


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

    def depths(self):
        return [Depth("wattnet", "retryable", 1, NOW - 60_000), Depth("wattnet", "completed", 23, NOW - 7_200_000)]

    def rewards(self, *, network=None, limit=1000):
        return [RewardView("wattnet", epoch, KEY, "0", 91_250 + epoch, {"why": "useful"}) for epoch in (2, 1)][:limit]

    def paid(self, network):
        return sum(reward.amount for reward in self.rewards())

    def last_epoch(self, network):
        return 2

    def counters(self):
        return {"rejected": {"bad_signature": 3, "unknown_board": 1}, "dropped": {"queue_full": 2}}


class House:
    """The store's reading side; `fault` breaks the disk."""

    def __init__(self) -> None:
        self.reader = HouseReader()
        self.fault = None

    async def read(self, query):
        if self.fault:
            raise self.fault
        return query(self.reader)


def sources(house, clock=None):
    broker = BrokerNow(own=True, address="127.0.0.1:1883", connected=True, error="", connects=1, restarts=0)
    network = NetworkConfig("wattnet", "wattnet", "http://127.0.0.1:9000")
    states = {bytes.fromhex("d4784063a6065a33"): "online"}
    fixed = Clock(real_ms=Clock().real_ms_now(), civil_ms=NOW)
    return Sources(house, clock or fixed, "0.1.0", "44" * 32, NOW, [network], lambda: broker, states)


@asynccontextmanager
async def served(house=None):
    async with (
        serve("127.0.0.1:0", sources(house or House())) as (address, live),
        aiohttp.ClientSession(address, timeout=aiohttp.ClientTimeout(20)) as session,
    ):
        task = asyncio.create_task(live.run())
        try:
            yield session
        finally:
            task.cancel()
            await asyncio.wait([task])


async def get(session, path, **options):
    async with session.get(path, **options) as response:
        return response.status, await response.json()


async def test_every_answer_has_the_form_that_is_described():
    async with served() as session:
        for route in Api(sources(House())).routes:
            status, answer = await get(session, route.path.replace("{stream}", "1"))
            assert status == 200
            msgspec.convert(answer, route.answer)


async def test_openapi_document_is_valid_and_complete():
    async with served() as session:
        _, document = await get(session, "/api/openapi.json")
    validate(document)
    described = set(document["paths"])
    assert described == {route.path for route in Api(sources(House())).routes} | {"/api/v1/events"}
    parameters = document["paths"]["/api/v1/streams/{stream}/rows"]["get"]["parameters"]
    assert [(one["name"], one["in"], one["required"]) for one in parameters] == [
        ("stream", "path", True),
        ("since", "query", False),
        ("limit", "query", False),
        ("point", "query", False),
    ]


async def test_rows_are_the_leading_points_unless_another_is_named():
    async with served() as session:
        _, rows = await get(session, f"/api/v1/streams/1/rows?since={NOW - 60_000}&limit=3")
        assert (rows["point"], rows["unit"], len(rows["rows"])) == ("power", "W", 3)
        _, rows = await get(session, "/api/v1/streams/1/rows?point=energy_export")
        assert (rows["point"], rows["unit"]) == ("energy_export", "Wh")


async def test_network_shows_depth_receipt_and_pay():
    async with served() as session:
        _, (network,) = await get(session, "/api/v1/networks")
    assert network["depth"] == 1
    assert network["last_reason"] == "timed out"
    assert network["last_receipt"] == "receipt-00000017-of-wattnet"
    assert network["paid"] == 182_503


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/api/v1/streams/one/rows", 400, r"\$\.stream"),
        ("/api/v1/streams/0/rows", 400, r"\$\.stream"),
        ("/api/v1/streams/99999999999999999999/rows", 400, r"\$\.stream"),
        ("/api/v1/streams/7/rows", 404, "There is no stream 7"),
        ("/api/v1/streams/1/rows?point=colour", 404, "has no point 'colour'"),
        ("/api/v1/streams/1/rows?limit=0", 400, r"\$\.limit"),
        ("/api/v1/streams/1/rows?since=-1", 400, r"\$\.since"),
        ("/api/v1/streams/1/rows?since=1&since=2", 400, "'since' is given twice"),
        ("/api/v1/streams/1/rows?stream=2", 400, "'stream' is given twice"),
        ("/api/v1/intervals?limit=1e3x", 400, r"\$\.limit"),
        ("/api/v1/intervals?befor=3", 400, "befor"),
        ("/api/v1/status?x=1", 400, "x"),
        ("/api/v1/nothing", 404, "Not Found"),
        ("/assets/../server.py", 404, "Not Found"),
        ("/assets/%2e%2e/server.py", 404, "Not Found"),
    ],
)
async def test_bad_requests_get_a_sentence(path, status, sentence):
    async with served() as session:
        got, answer = await get(session, aiohttp.client.URL(path, encoded=True))
    assert got == status
    assert re.search(sentence, answer["error"])


async def test_disk_that_does_not_answer_is_503():
    house = House()
    house.fault = StoreError("The disk is full.")
    async with served(house) as session:
        assert await get(session, "/api/v1/boards") == (503, {"error": "The disk is full."})


async def test_other_methods_are_refused():
    async with served() as session, session.post("/api/v1/boards", data=b"x") as response:
        assert response.status == 405
        assert "Method Not Allowed" in (await response.json())["error"]


@pytest.fixture(scope="module")
def paths():
    """Request targets as a fuzzer writes them, around real ones."""
    routes = [route.path for route in Api(sources(House())).routes]
    text = st.text(st.characters(codec="utf-8"), max_size=30)
    values = st.one_of(st.integers().map(str), text, st.floats().map(str), st.sampled_from(["", "null", "true", "[]"]))
    names = st.one_of(st.sampled_from(["since", "limit", "point", "stream", "before", "network"]), text)
    return st.tuples(st.sampled_from(routes), values, st.lists(st.tuples(names, values), max_size=3))


async def test_no_request_makes_an_internal_error(paths):
    """All requests of the fuzzer go through one server."""
    requests = []

    @settings(max_examples=150, database=None, suppress_health_check=list(HealthCheck))
    @given(paths)
    def collect(request):
        requests.append(request)

    collect()
    async with served() as session:
        for path, value, query in requests:
            url = aiohttp.client.URL.build(path=path.replace("{stream}", value.replace("/", "") or "-"), query=query)
            async with session.get(url) as response:
                assert response.status in {200, 400, 404}, url
                if response.status != 200:
                    assert (await response.json())["error"]


async def next_event(response):
    lines = []
    while True:
        line = (await response.content.readline()).decode().rstrip("\n")
        if line.startswith("data: "):
            lines.append(line.removeprefix("data: "))
        elif not line and lines:
            return msgspec.json.decode("\n".join(lines))


async def test_events_bring_only_new_rows():
    house = House()
    async with served(house) as session, session.get("/api/v1/events") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        live = await next_event(response)
        assert [stream["id"] for stream in live["streams"]] == [1, 2, 3, 4]
        assert live["rows"] == []
        house.reader.now_ms += 20_000
        while not live["rows"]:
            live = await next_event(response)
        assert [len(one["rows"]) for one in live["rows"]] == [2, 2, 2, 2]


async def test_events_survive_a_broken_disk():
    house = House()
    house.fault = StoreError("The disk is full.")
    async with served(house) as session, session.get("/api/v1/events") as response:
        assert (await response.content.readline()) == b"retry: 2000\n"
        house.fault = None
        assert (await next_event(response))["status"]["version"] == "0.1.0"


async def test_open_page_does_not_hold_up_the_stop(monkeypatch):
    monkeypatch.setattr(server, "STOP_S", 60)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as session:
        async with serve("127.0.0.1:0", sources(House())) as (address, _):
            response = await session.get(f"{address}api/v1/events")
            assert await response.content.readline() == b"retry: 2000\n"
        assert await response.content.read() == b"\n"


async def test_too_many_pages_are_told(monkeypatch):
    monkeypatch.setattr(events, "LISTENERS_MAX", 1)
    async with served() as session, session.get("/api/v1/events") as first:
        assert first.status == 200
        assert (await get(session, "/api/v1/events"))[0] == 503


async def test_page_and_its_parts_are_served_with_security_headers():
    async with served() as session:
        page = await (await session.get("/")).text()
        parts = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page)
        assert len(parts) >= 5
        for path in ["/", "/api/v1/status", *parts]:
            async with session.get(path) as response:
                assert response.status == 200
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]
                assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_page_asks_nobody_else():
    for file in ASSETS.rglob("*"):
        if file.suffix in {".html", ".js", ".css"} and "vendor" not in file.parts:
            text = file.read_text()
            assert not re.search(r"https?://(?!www\.w3\.org)", text), file
            assert "style=" not in text, file
    assert (ASSETS / "vendor" / "uplot" / "LICENSE").exists()


async def test_foreign_host_is_refused():
    async with served() as session:
        for host in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "[::1", ""):
            status, answer = await get(session, "/api/v1/status", headers={"Host": host})
            assert (status, "localhost" in answer["error"]) == (403, True), host
        for host in ("localhost:9999", "127.0.0.1", "[::1]:80", "LOCALHOST"):
            assert (await get(session, "/api/v1/status", headers={"Host": host}))[0] == 200, host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gateway.lan", ""])
def test_page_is_not_shown_to_the_network(host):
    assert not is_local(host)
    with pytest.raises(ConfigError, match=r"\$\.web\.listen.*SSH tunnel"):
        require_loopback(host)


async def test_port_in_use_is_one_sentence():
    async with serve("127.0.0.1:0", sources(House())) as (address, _):
        listen = address.removeprefix("http://").rstrip("/")
        with pytest.raises(ConfigError, match=r"cannot be opened for the page .*web\.listen"):
            async with serve(listen, sources(House())):
                pass


def test_assets_are_where_the_wheel_takes_them():
    assert Path(ASSETS, "index.html").is_file()
