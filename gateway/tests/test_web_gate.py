"""The gate over real sockets: who is let in, who has to wait, and what a page elsewhere cannot do."""

import asyncio
import io
import re
import runpy
import stat
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from wattness.errors import ConfigError
from wattness.web import credentials, events, limiter
from wattness.web.credentials import Credentials, new_token, read_token
from wattness.web.limiter import Limiter, source
from wattness.web.server import serve

_world = runpy.run_path(str(Path(__file__).with_name("web_world.py")))
House, running, sources, make_home, get = (_world[n] for n in ("House", "running", "sources", "make_home", "get"))

OURS = {"X-Wattness": "1"}


@asynccontextmanager
async def visitor(folder, house=None):
    """A browser at the door: it keeps cookies and has no token yet."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        running(sources(house or House(), folder)) as address,
        aiohttp.ClientSession(address, cookie_jar=jar, timeout=aiohttp.ClientTimeout(20)) as session,
    ):
        yield session


async def post(session, path, body=None, **options):
    async with session.post(f"/api/v1/{path}", json=body, **options) as response:
        text = await response.text()
        return response.status, response.headers, text


async def login(session, token):
    return (await post(session, "login", {"token": token}))[0]


async def test_nothing_is_told_before_the_log_in(tmp_path):
    token = make_home(tmp_path)
    async with visitor(tmp_path) as session:
        bearer = {"Authorization": f"Bearer {token}"}
        _, document = await get(session, "/api/openapi.json", headers=bearer)
        for path, methods in document["paths"].items():
            for method in methods:
                if path in {"/api/v1/login", "/metrics"}:
                    continue
                async with session.request(method, path.replace("{stream}", "1")) as response:
                    assert response.status == 401, path
                    assert response.headers["WWW-Authenticate"].startswith("Bearer")
                    assert "Log in first" in (await response.json())["error"]
        for path in ("/api/openapi.json", "/api/v1/nothing", "/nothing", "/api/v1/../v1/status", "/%61pi/v1/status"):
            async with session.get(aiohttp.client.URL(path, encoded=True)) as response:
                assert response.status == 401, path
        async with session.get("/") as response:
            assert response.status == 200


async def test_cookie_opens_what_the_token_opens(tmp_path):
    token = make_home(tmp_path)
    async with visitor(tmp_path) as session:
        status, headers, _ = await post(session, "login", {"token": token})
        assert status == 204
        cookie = headers["Set-Cookie"]
        assert re.fullmatch(
            r"wattness-44444444=[\w-]{43}; HttpOnly; Max-Age=2592000; Path=/; SameSite=Strict", cookie
        ), cookie
        assert token not in cookie
        assert (await get(session, "/api/v1/status"))[0] == 200
        assert (await post(session, "logout", headers=OURS))[0] == 204
        assert (await get(session, "/api/v1/status"))[0] == 401
        stolen = {"Cookie": cookie.partition(";")[0]}
        assert (await get(session, "/api/v1/status", headers=stolen))[0] == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (OURS, 200),
        ({}, 403),
        ({"X-Wattness": "0"}, 403),
        (OURS | {"Origin": "https://evil.example"}, 403),
        (OURS | {"Origin": "null"}, 403),
        (OURS | {"Origin": "http://[::1"}, 403),
        (OURS | {"Sec-Fetch-Site": "cross-site"}, 403),
        (OURS | {"Sec-Fetch-Site": "same-site"}, 403),
        (OURS | {"Sec-Fetch-Site": "same-origin", "Origin": "{own}"}, 200),
    ],
)
async def test_a_page_elsewhere_changes_nothing(tmp_path, headers, status):
    token = make_home(tmp_path)
    async with visitor(tmp_path) as session:
        assert await login(session, token) == 204
        own = str(session._base_url).rstrip("/")
        headers = {name: value.replace("{own}", own) for name, value in headers.items()}
        assert (await post(session, "settings", {"toml": ""}, headers=headers))[0] == status


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"token": "x"}', "text/plain", 415),
        (b"token=x", "application/x-www-form-urlencoded", 415),
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[" * 50_000, "application/json", 400),
        (b'{"token": "\xff"}', "application/json", 400),
        (b'{"token": "\\ud800"}', "application/json", 400),
        (b'{"token": 1}', "application/json", 400),
        (b'{"token": "x", "user": "y"}', "application/json", 400),
        (b'{"token": "' + b"x" * 201 + b'"}', "application/json", 400),
        (b'{"token": "' + b"x" * 1_100_000 + b'"}', "application/json", 413),
        (b'{"token": "wrong"}', "application/json", 401),
        ('{"token": "ключ\\u0000"}'.encode(), "application/json", 401),
    ],
)
async def test_nonsense_at_the_door_gets_a_sentence(tmp_path, body, kind, status):
    make_home(tmp_path)
    async with (
        visitor(tmp_path) as session,
        session.post("/api/v1/login", data=io.BytesIO(body), headers={"Content-Type": kind}) as response,
    ):
        assert response.status == status
        assert (await response.json())["error"].endswith(".")


async def test_who_guesses_has_to_wait(tmp_path):
    token = make_home(tmp_path)
    async with visitor(tmp_path) as session, aiohttp.ClientSession(session._base_url) as guesser:
        assert await login(session, token) == 204
        assert [await login(guesser, f"guess {n}") for n in range(limiter.PER_SOURCE[0])] == [401] * 5
        status, headers, text = await post(guesser, "login", {"token": token})
        assert (status, headers["Retry-After"]) == (429, "10")
        assert "wait 10 s" in text
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await get(guesser, "/api/v1/status", headers=bearer))[0] == 429
        assert (await get(session, "/api/v1/status"))[0] == 200  # who is in stays in


async def test_wrong_bearers_are_guesses_too(tmp_path):
    make_home(tmp_path)
    async with visitor(tmp_path) as session:
        wrong = {"Authorization": "Bearer wrong"}
        answers = [(await get(session, "/api/v1/status", headers=wrong))[0] for _ in range(7)]
        assert answers == [401] * 5 + [429] * 2


class Time:
    now = 1000.0

    def __call__(self):
        return self.now


def test_limiter_forgives_slowly():
    time = Time()
    found = Limiter(time)
    for _ in range(5):
        assert found.wait_s("203.0.113.1") == 0
        found.fail("203.0.113.1")
    assert found.wait_s("203.0.113.1") == 10
    assert found.wait_s("203.0.113.2") == 0
    time.now += 9.5
    assert found.wait_s("203.0.113.1") == 1
    time.now += 0.5
    assert found.wait_s("203.0.113.1") == 0
    found.fail("203.0.113.1")
    assert found.wait_s("203.0.113.1") == 10


def test_limiter_holds_against_many_sources():
    time = Time()
    found = Limiter(time)
    for n in range(limiter.SOURCES_MAX * 3):
        found.fail(f"10.0.{n // 256}.{n % 256}")
        time.now += limiter.IN_ALL[1]
    assert len(found) == limiter.SOURCES_MAX
    assert found.wait_s("198.51.100.1") == 0
    for n in range(limiter.IN_ALL[0]):
        found.fail(f"172.16.0.{n}")
    assert found.wait_s("198.51.100.1") == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::2:3:4:5", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:203.0.113.1", "203.0.113.1", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("203.0.113.1", "203.0.113.2", False),
        (None, "", True),
    ],
)
def test_what_counts_as_one_source(one, other, same):
    assert (source(one) == source(other)) is same


def test_sessions_outlive_a_restart_but_not_their_token(tmp_path):
    now = [1000]
    make_home(tmp_path)
    first = Credentials(tmp_path, lambda: now[0])
    session = first.open()
    assert stat.S_IMODE((tmp_path / "web.sessions").stat().st_mode) == 0o600
    assert session not in (tmp_path / "web.sessions").read_text()
    second = Credentials(tmp_path, lambda: now[0])
    assert second.is_session(session)
    assert not second.is_session(session + "x")
    now[0] += credentials.SESSION_S
    assert not second.is_session(session)
    now[0] -= credentials.SESSION_S
    token = new_token(tmp_path)
    assert second.is_token(token)
    assert not second.is_session(session)
    assert not Credentials(tmp_path, lambda: now[0]).is_session(session)


def test_sessions_are_bounded(tmp_path):
    now = [1000]
    make_home(tmp_path)
    found = Credentials(tmp_path, lambda: now[0])
    opened = []
    for _ in range(credentials.SESSIONS_MAX + 3):
        now[0] += 1
        opened.append(found.open())
    assert [found.is_session(session) for session in opened] == [False] * 3 + [True] * credentials.SESSIONS_MAX


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"of": 1}', '{"of": "x", "sessions": {}}', '{"sessions": 3, "of": "x"}']
)
def test_broken_sessions_only_cost_a_log_in(tmp_path, text):
    token = make_home(tmp_path)
    (tmp_path / "web.sessions").write_text(text)
    (tmp_path / "web.sessions").chmod(0o600)
    found = Credentials(tmp_path, lambda: 1000)
    assert found.is_token(token)
    assert found.is_session(found.open())


@pytest.mark.parametrize(
    "text", ["", "admin", "correct horse battery staple", "x" * 21, "ключ" * 10, "a" * 20 + "\n" + "b" * 20]
)
def test_weak_token_is_refused(tmp_path, text):
    (tmp_path / "web.token").write_text(text)
    (tmp_path / "web.token").chmod(0o600)
    with pytest.raises(ConfigError, match="wattness token new"):
        read_token(tmp_path)


async def test_gateway_without_a_safe_token_does_not_start(tmp_path):
    with pytest.raises(ConfigError, match=r"There is no .*web\.token; run `wattness token new`"):
        async with serve(sources(House(), tmp_path)):
            pass
    make_home(tmp_path)
    (tmp_path / "web.token").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        async with serve(sources(House(), tmp_path)):
            pass


async def test_token_that_others_can_read_opens_nothing_any_more(tmp_path):
    token = make_home(tmp_path)
    async with visitor(tmp_path) as session:
        assert await login(session, token) == 204
        (tmp_path / "web.token").chmod(0o644)
        status, answer = await get(session, "/api/v1/status")
        assert status == 503
        assert "chmod 600" in answer["error"]
        (tmp_path / "web.token").unlink()
        assert (await get(session, "/api/v1/status"))[0] == 503
        assert await login(session, token) == 503
        again = new_token(tmp_path)
        assert await login(session, token) == 401
        assert await login(session, again) == 204


async def test_live_events_end_with_the_session(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "PERIOD_S", 0.01)
    token = make_home(tmp_path)
    async with visitor(tmp_path) as session:
        assert await login(session, token) == 204
        async with session.get("/api/v1/events") as response:
            assert await response.content.readline() == b"retry: 2000\n"
            new_token(tmp_path)
            while await response.content.readline():
                pass


async def test_page_that_takes_nothing_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "PERIOD_S", 0.001)
    token = make_home(tmp_path)
    house = House()
    house.reader.counters = lambda: {"dropped": {f"{'x' * 1000}{n}": n for n in range(500)}}
    async with serve(sources(house, tmp_path)) as (address, live):
        task = asyncio.create_task(live.run())
        port = int(address.rstrip("/").rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(
            f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        await reader.readline()
        while not live.dropped:
            await asyncio.sleep(0.01)
        assert len(live) == 0
        writer.close()
        task.cancel()
        await asyncio.wait([task])
