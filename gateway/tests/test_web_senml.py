"""SenML over real HTTP from a real store: a reader that follows RFC 8428 finds the rows that the board signed."""

import json
import re
import runpy
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattness.store.views import PointView, StreamView
from wattness.web import streaming
from wattness.web.senml import UNITS, base_name, pack

_store_world = runpy.run_path(str(Path(__file__).with_name("store_world.py")))
_web_world = runpy.run_path(str(Path(__file__).with_name("web_world.py")))
START, MINUTE, CLOCK = (_store_world[name] for name in ("START", "MINUTE", "CLOCK"))

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-:./_]*")  # RFC 8428 §4.5.1
PRIMARY = {"m", "s", "A", "Hz", "W", "V", "J", "VA", "var", "Cel", "m/s", "/", "%EL"}  # of IANA's registry
POINTS = [PointView(f"p{number}", unit, 0) for number, unit in enumerate([*UNITS, "1"])] + [PointView("soc", "%", 0)]
STREAM = StreamView(7, 1, "roof", "ab" * 32, "0", "pv", "x", 1, None, POINTS, 0, 0, 0)


def resolved(records):
    """Return a pack's records with the base values put in, as RFC 8428 §4.6 says."""
    base_name, base_time, found = "", 0, []
    for record in records:
        assert set(record) <= {"bn", "bt", "n", "t", "u", "v"}
        base_name, base_time = record.get("bn", base_name), record.get("bt", base_time)
        name, time = base_name + record.get("n", ""), base_time + record.get("t", 0)
        assert NAME.fullmatch(name)
        assert time >= 1 << 28  # below it would be relative to now
        found.append((name, round(time * 1000), record.get("u"), record["v"]))
    return found


@asynccontextmanager
async def gateway(folder, **web):
    """A gateway's web room with a board's frames."""
    author = _store_world["make_author"]()
    path = _store_world["enrolled"](folder, author)
    headers = {"Authorization": f"Bearer {_web_world['make_home'](folder)}"}
    async with _store_world["opened"](path) as store:
        await _store_world["put"](store, *author.frames)
        given = _web_world["sources"](store, folder, CLOCK, **web)
        async with _web_world["running"](given) as address, aiohttp.ClientSession(address, headers=headers) as session:
            yield session, store


async def ask(session, query):
    async with session.get(f"/api/v1/senml?{query}") as response:
        text = await response.text()
        return response.status, response.content_type, json.loads(text)


async def test_pack_says_what_the_board_signed(tmp_path):
    async with gateway(tmp_path) as (session, store):
        status, kind, records = await ask(session, f"stream=1&from={START}&to={START + 60 * MINUTE}")
        assert (status, kind) == (200, "application/senml+json")
        stream = (await store.read(lambda reader: reader.streams()))[0]
        found = resolved(records)
        for point in stream.points:
            unit, numerator, denominator = UNITS[point.unit]
            rows = await store.read(lambda reader, name=point.name: reader.values(stream.id, name, START, 20_000))
            name = base_name(stream, 0) + point.name
            wanted = [(at, unit, value * numerator / denominator) for at, value in rows if value is not None]
            assert wanted
            assert [(at, *rest) for one, at, *rest in found if one == name] == wanted


async def test_reach_and_point_are_kept(tmp_path):
    async with gateway(tmp_path) as (session, _):
        since, until = START + 3 * MINUTE, START + 5 * MINUTE
        _, _, records = await ask(session, f"stream=1&from={since}&to={until}&point=power")
        times = [at for _, at, _, _ in resolved(records)]
        assert times == sorted(times)
        assert since <= times[0]
        assert times[-1] < until
        assert {record["n"] for record in records} == {"power"}
        first = resolved((await ask(session, f"stream=1&from={START}&to={since}"))[2])
        second = resolved((await ask(session, f"stream=1&from={since}&to={START + 60 * MINUTE}"))[2])
        whole = resolved((await ask(session, f"stream=1&from={START}&to={START + 60 * MINUTE}"))[2])
        assert first + second == whole


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ("", 400, "stream"),
        ("stream=9", 404, "no stream 9"),
        ("stream=1&point=colour", 404, "no point 'colour'"),
        ("stream=1&from=5&to=5", 400, "31 days at most"),
        ("stream=1&from=6&to=5", 400, "31 days at most"),
        (f"stream=1&from=0&to={32 * 86_400_000}", 400, "31 days at most"),
        ("stream=1&from=0&to=1000", 404, "No readings"),
        ("stream=1&form=json", 400, "form"),
    ],
)
async def test_bad_questions_get_a_sentence(tmp_path, query, status, sentence):
    async with gateway(tmp_path) as (session, _):
        got, _, answer = await ask(session, query)
        assert got == status
        assert sentence in answer["error"]


async def test_exports_at_a_time_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "EXPORTS_MAX", 0)
    async with gateway(tmp_path) as (session, _):
        status, _, answer = await ask(session, f"stream=1&from={START}&to={START + MINUTE}")
        assert (status, "try again" in answer["error"]) == (503, True)


async def test_names_with_an_enterprise_number(tmp_path):
    async with gateway(tmp_path, enterprise=32473) as (session, _):
        _, _, records = await ask(session, f"stream=1&from={START}&to={START + MINUTE}")
        assert re.fullmatch(r"urn:dev:org:32473-[0-9a-f]{64}_\w+_", records[0]["bn"])


def test_name_of_a_home_is_a_uuid_that_lasts():
    name = base_name(STREAM, 0)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}_", name)
    assert name == "urn:uuid:" + name.removeprefix("urn:uuid:")
    assert len({base_name(_web_world["msgspec"].structs.replace(STREAM, device=device), 0) for device in "0123"}) == 4


values = st.one_of(st.none(), st.integers(-(1 << 53), 1 << 53))
rows = st.lists(st.tuples(st.integers(1, 100_000), st.lists(values, min_size=13, max_size=13)), max_size=5)


@given(st.integers(1 << 38, 1 << 42), st.lists(rows, max_size=4))
def test_any_rows_make_a_pack_that_can_be_resolved(start, parts):
    names = [point.name for point in STREAM.points]
    given_parts, at, count = [], start, 0
    for part in parts:
        times, columns = [], {name: [] for name in names}
        for step, found in part:
            at += step
            times.append(at)
            for name, value in zip(names, found, strict=True):
                columns[name].append(value)
                count += value is not None
        given_parts.append((times, columns))
    text = b"".join(pack(STREAM, given_parts, 0))
    if not count:
        assert text == b""
        return
    records = json.loads(text)
    assert len(records) == count
    assert {record["u"] for record in records if "u" in record} <= PRIMARY
    known = {at for times, _ in given_parts for at in times}
    assert {at for _, at, _, _ in resolved(records)} <= known


@pytest.mark.parametrize(
    ("unit", "milli", "expected"),
    [("Wh", 1500, 5400), ("W", -1500, -1.5), ("%", 50_000, 0.5), ("km/h", 36_000, 10), ("km", 1, 1), ("Wh", 1, 3.6)],
)
def test_units_are_primary(unit, milli, expected):
    stream = _web_world["msgspec"].structs.replace(STREAM, points=[PointView("x", unit, 0)])
    (record,) = json.loads(b"".join(pack(stream, [([START], {"x": [milli]})], 0)))
    assert (record["v"], record["u"]) == (expected, UNITS[unit][0])
