"""Boards and settings through the API: a real store, real files, and what a careless operator posts."""

import asyncio
import runpy
import stat
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import aiohttp
import apsw
import msgspec
import pytest

from wattness.config import Web, load
from wattness.devices import Device
from wattness.store.sqlite import Settings, open_store
from wattness.web.sources import ProxyNow
from wattwire import p256

_world = runpy.run_path(str(Path(__file__).with_name("web_world.py")))
House, running, sources, make_home = (_world[n] for n in ("House", "running", "sources", "make_home"))

KEY = p256.public_key(bytes(31) + b"\x07")
OTHER = p256.public_key(bytes(31) + b"\x08")
KID = sha256(KEY).digest()[:8].hex()


@asynccontextmanager
async def operator(folder, store=None):
    """Somebody with the token."""
    headers = {"Authorization": f"Bearer {make_home(folder)}"}
    config = msgspec.structs.replace(load(folder), web=Web(listen="127.0.0.1:0"))
    given = sources(store or House(), folder)._replace(config=config)
    async with running(given) as address, aiohttp.ClientSession(address, headers=headers) as session:
        yield session


async def ask(session, method, path, body=None):
    async with session.request(method, f"/api/v1/{path}", json=body) as response:
        return response.status, None if response.status == 204 else await response.json()


async def test_board_comes_and_goes(tmp_path):
    async with open_store(tmp_path / "wattness.db", Settings(bytes(32))) as store, operator(tmp_path, store) as session:
        before = await store.data_version()
        status, parts = await ask(session, "POST", "boards", {"public_key": KEY.hex(), "name": "roof"})
        assert status == 201
        (board,) = await store.boards()
        assert parts == {
            "kid": KID,
            "name": "roof",
            "gateway": "44" * 32,
            "link_key": board.link_key.hex(),
            "mqtt": {"host": "127.0.0.1", "port": 1883, "user": KID, "password": board.password, "tls": False},
        }
        assert await store.data_version() != before  # the running gateway notices by this
        shown = (await ask(session, "GET", "boards"))[1]
        assert [(one["name"], one["kid"], one["provenance"], one["health"]) for one in shown] == [
            ("roof", KID, "board", None)
        ]
        assert board.link_key.hex() not in str(shown)
        assert board.password not in str(shown)
        before = await store.data_version()
        assert await ask(session, "DELETE", f"boards/{KID}") == (204, None)
        assert await store.boards() == []
        assert await store.data_version() != before
        assert (await ask(session, "DELETE", f"boards/{KID}"))[0] == 404


async def test_only_a_board_in_quarantine_is_released(tmp_path):
    file = tmp_path / "wattness.db"
    async with open_store(file, Settings(bytes(32))) as store, operator(tmp_path, store) as session:
        await store.enrol(KEY, "roof")
        status, answer = await ask(session, "POST", f"boards/{KID}/release")
        assert (status, "not in quarantine" in answer["error"]) == (409, True)
        other = apsw.Connection(str(file))
        other.execute("UPDATE board SET state = 'quarantined', reason = 'conflict log 1 seq 2'")
        other.close()
        before = await store.data_version()
        assert await ask(session, "POST", f"boards/{KID}/release") == (204, None)
        assert [(board.state, board.reason) for board in await store.boards()] == [("active", "")]
        assert await store.data_version() != before  # the running gateway notices by this
        assert (await ask(session, "POST", "boards/" + "0" * 16 + "/release"))[0] == 404


async def test_devices_are_shown_with_their_proxies(tmp_path):
    device, idle = Device("meter", "tcp://10.0.0.7:502", "grid"), Device("new", "tcp://10.0.0.8:502", "pv")
    headers = {"Authorization": f"Bearer {make_home(tmp_path)}"}
    given = sources(House(), tmp_path)
    config = msgspec.structs.replace(given.config, device=[device, idle])
    given = given._replace(
        config=config,
        meters=lambda: [{"name": "meter", "state": "silent", "detail": "no answer"}],
        proxies=lambda: [ProxyNow("meter", "127.0.0.1:1502", 1, {("answered", "cache"): 3, ("ended", "idle"): 1})],
    )
    async with running(given) as address, aiohttp.ClientSession(address, headers=headers) as session:
        status, found = await ask(session, "GET", "devices")
    shared = {"listen": "127.0.0.1:1502", "clients": 1, "answered": {"cache": 3}, "declined": {}, "ended": {"idle": 1}}
    place = {"url": "tcp://10.0.0.7:502", "role": "grid", "profile": "sunspec", "unit": 1}
    assert (status, found) == (
        200,
        [{"name": "meter", "state": "silent", "detail": "no answer", "proxies": [shared], **place}],
    )


async def test_secrets_are_shown_once(tmp_path):
    async with open_store(tmp_path / "wattness.db", Settings(bytes(32))) as store, operator(tmp_path, store) as session:
        body = {"public_key": KEY.hex(), "name": "roof", "host": "gateway.lan"}
        status, parts = await ask(session, "POST", "boards", body)
        assert (status, parts["mqtt"]["host"]) == (201, "gateway.lan")
        status, answer = await ask(session, "POST", "boards", body)
        assert (status, "link_key" in answer) == (409, False)
        assert "enrolled already" in answer["error"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"public_key": KEY.hex()[:-1], "name": "a"}, "public_key"),
        ({"public_key": "05" + KEY.hex()[2:], "name": "a"}, "public_key"),
        ({"public_key": "04" + "11" * 64, "name": "a"}, "not a point of P-256"),
        ({"public_key": KEY.hex(), "name": ""}, "name"),
        ({"public_key": KEY.hex(), "name": "x" * 101}, "name"),
        ({"public_key": KEY.hex(), "name": "a\nb"}, "printable"),
        ({"public_key": KEY.hex(), "name": "taken"}, "already called"),
        ({"public_key": KEY.hex()}, "name"),
        ({"public_key": KEY.hex(), "name": "a", "state": "active"}, "state"),
        ([], "object"),
    ],
)
async def test_bad_boards_get_a_sentence(tmp_path, body, sentence):
    async with open_store(tmp_path / "wattness.db", Settings(bytes(32))) as store, operator(tmp_path, store) as session:
        await store.enrol(OTHER, "taken")
        status, answer = await ask(session, "POST", "boards", body)
        assert status == 400
        assert sentence in answer["error"]
        assert len(await store.boards()) == 1


@pytest.mark.parametrize("kid", ["x", KID.upper(), KID + "00", "roof", "%00"])
async def test_boards_are_removed_by_their_key_id_only(tmp_path, kid):
    async with open_store(tmp_path / "wattness.db", Settings(bytes(32))) as store, operator(tmp_path, store) as session:
        await store.enrol(KEY, "roof")
        assert (await ask(session, "DELETE", f"boards/{kid}"))[0] == 400
        assert len(await store.boards()) == 1


async def test_settings_are_tried_before_they_are_written(tmp_path):
    async with operator(tmp_path) as session:
        file = tmp_path / "gateway.toml"
        old = file.read_text()
        _, shown = await ask(session, "GET", "settings")
        assert shown["toml"] == old
        assert shown["settings"]["interval"]["length_s"] == 300
        assert "home" not in shown["settings"]
        new = old.replace("300", "60") + '\n[mqtt]\nlisten = "0.0.0.0:1883"\n'
        _, tried = await ask(session, "POST", "settings?dry_run=true", {"toml": new})
        assert tried["ok"] is True
        assert tried["changes"] == [
            {"path": "$.interval.length_s", "old": 300, "new": 60},
            {"path": "$.mqtt.listen", "old": "127.0.0.1:1883", "new": "0.0.0.0:1883"},
        ]
        assert file.read_text() == old
        assert (await ask(session, "POST", "settings", {"toml": new}))[1] == tried  # without a word it is dry
        assert file.read_text() == old
        _, written = await ask(session, "POST", "settings?dry_run=false", {"toml": new})
        assert written == tried
        assert written["restart_needed"] is True
        assert file.read_text() == new  # to the letter, comments and all
        assert (tmp_path / "gateway.toml.bak").read_text() == old
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert load(tmp_path).interval.length_s == 60
        assert (await ask(session, "GET", "settings"))[1]["restart_needed"] is True
        assert sorted(path.name for path in tmp_path.glob("gateway.toml*")) == ["gateway.toml", "gateway.toml.bak"]


async def test_same_settings_need_nothing(tmp_path):
    async with operator(tmp_path) as session:
        text = (tmp_path / "gateway.toml").read_text() + '[web]\nlisten = "127.0.0.1:0"\n'
        await ask(session, "POST", "settings?dry_run=false", {"toml": text})
        _, again = await ask(session, "POST", "settings", {"toml": text + "# a word\n"})
        assert again == {"ok": True, "error": None, "changes": [], "restart_needed": False}


NETWORK = '[[network]]\nname = "a"\nkind = "{kind}"\nurl = "{url}"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[interval", "cannot be read"),
        ("x = " + "[" * 10_000, "cannot be read"),
        ("[interval]\nlength_s = 1", "$.interval.length_s"),
        ("[watts]\nlength_s = 1", "watts"),
        ('home = "/"', "$.home"),
        ('[web]\nlisten = "0.0.0.0:8080"', "$.web.listen"),
        ('[web]\ntls_cert = "none.pem"\ntls_key = "none.key"', "$.web.tls_cert"),
        (NETWORK.format(kind="gridcoin", url="http://x"), "$.network[a].kind"),
        (NETWORK.format(kind="wattnet", url="http://me:secret@x"), "$.network[0].url: must not hold a password"),
        ('[mqtt]\nurl = "mqtts://me:secret@x"', "$.mqtt.url: must not hold a password"),
        ('key = "file:none.key"', "none.key"),
        ('key = "tpm:0"', "$.key"),
    ],
)
async def test_bad_settings_are_refused_and_nothing_is_written(tmp_path, text, sentence):
    async with operator(tmp_path) as session:
        old = (tmp_path / "gateway.toml").read_text()
        for dry_run in ("true", "false"):
            status, answer = await ask(session, "POST", f"settings?dry_run={dry_run}", {"toml": text})
            assert (status, answer["ok"]) == (200, False)
            assert sentence in answer["error"]
        assert (tmp_path / "gateway.toml").read_text() == old
        assert not (tmp_path / "gateway.toml.bak").exists()


async def test_a_file_that_was_broken_by_hand_is_put_right(tmp_path):
    async with operator(tmp_path) as session:
        (tmp_path / "gateway.toml").write_text("[interval")
        status, answer = await ask(session, "GET", "settings")
        assert status == 503
        assert "cannot be read" in answer["error"]
        _, answer = await ask(session, "POST", "settings?dry_run=false", {"toml": "[interval]\nlength_s = 600\n"})
        assert answer["ok"] is True
        assert load(tmp_path).interval.length_s == 600


async def test_many_who_write_at_once_leave_one_whole_file(tmp_path):
    async with operator(tmp_path) as session:
        texts = [f"# {n} {'x' * 20_000}\n[interval]\nlength_s = {60 + n}\n" for n in range(8)]
        await asyncio.gather(*(ask(session, "POST", "settings?dry_run=false", {"toml": text}) for text in texts))
        assert (tmp_path / "gateway.toml").read_text() in texts
