"""The API and the page over real HTTP: what they answer, what they refuse, what keeps strangers out."""

import re
import runpy
from pathlib import Path

import aiohttp
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from wattness.errors import ConfigError, StoreError
from wattness.web import events, server
from wattness.web.api import Api
from wattness.web.books import Books
from wattness.web.gate import LOGIN, LOGOUT, METRICS
from wattness.web.manage import Manage
from wattness.web.past import Past
from wattness.web.server import ASSETS, EVENTS, serve
from wattness.web.streaming import SENML

_world = runpy.run_path(str(Path(__file__).with_name("web_world.py")))
House, served, running, sources, get = (_world[name] for name in ("House", "served", "running", "sources", "get"))
NOW, make_home = _world["NOW"], _world["make_home"]


def all_routes():
    given = sources(House(), "")
    return [*Api(given).routes, *Past(given).routes, *Books(given).routes, *Manage(given).routes]


async def test_every_answer_has_the_form_that_is_described():
    async with served() as session:
        for route in all_routes():
            if route.method != "GET":
                continue
            status, answer = await get(session, route.path.replace("{stream}", "1"))
            assert status == 200, answer
            msgspec.convert(answer, route.answer)


async def test_openapi_document_is_valid_and_complete():
    async with served() as session:
        _, document = await get(session, "/api/openapi.json")
    validate(document)
    assert set(document["paths"]) == {route.path for route in all_routes()} | {EVENTS, LOGIN, LOGOUT, METRICS, SENML}
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
    async with served() as session, session.put("/api/v1/boards", data=b"x") as response:
        assert response.status == 405
        assert "Method Not Allowed" in (await response.json())["error"]


@pytest.fixture(scope="module")
def paths():
    """Request targets as a fuzzer writes them, around real ones."""
    routes = [route.path for route in all_routes() if route.method == "GET"]
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


async def test_open_page_does_not_hold_up_the_stop(monkeypatch, tmp_path):
    monkeypatch.setattr(server, "STOP_S", 60)
    headers = {"Authorization": f"Bearer {make_home(tmp_path)}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(20)) as session:
        async with serve(sources(House(), tmp_path)) as (address, _):
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


async def test_port_in_use_is_one_sentence(tmp_path):
    make_home(tmp_path)
    async with serve(sources(House(), tmp_path)) as (address, _):
        listen = address.removeprefix("http://").rstrip("/")
        with pytest.raises(ConfigError, match=r"cannot be opened for the page .*web\.listen"):
            async with serve(sources(House(), tmp_path, listen=listen)):
                pass


def test_assets_are_where_the_wheel_takes_them():
    assert Path(ASSETS, "index.html").is_file()
