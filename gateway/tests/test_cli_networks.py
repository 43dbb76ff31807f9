"""`wattness network …`, beside a store that is open as a running gateway has it."""

import asyncio
import hashlib
import json
import sys
import tomllib
from contextlib import asynccontextmanager

import pytest

from civilclock import Clock as CivilClock
from emulator.author import Author, verified
from emulator.networks import SANDBOXES
from wattness.cli import main
from wattness.config import load
from wattness.forward import wants
from wattness.keys import new_key, open_signer
from wattness.keys.looking import public_key
from wattness.model import Receipt
from wattness.networks import CATALOG, settled
from wattness.networks.ethereum import address
from wattness.store.registry import open_registry
from wattness.store.sqlite import Settings, open_store
from wattnet.faults import Faults
from wattwire import frame

GATEWAY = bytes(range(32))
MINUTE, HOUR = 60_000, 3_600_000
START = 1_790_000_400_000 - 1_790_000_400_000 % HOUR
CONFIG = f"""\
# mine
[clock]
real_ms = 1
civil_ms = {START}

[[network]]
name = "task"
kind = "iotex"
url = "http://127.0.0.1:9"
settings = {{project_id = "6"}}

[[network]]
name = "plain"
kind = "wattnet"
url = "http://127.0.0.1:9"
"""


@pytest.fixture
def home(tmp_path):
    (tmp_path / "gateway.toml").write_text(CONFIG)
    new_key("file:gateway.key", tmp_path)
    new_key("file:task.key", tmp_path, "secp256k1")
    return tmp_path


@pytest.fixture
def wattness(home, monkeypatch, capsys):
    """Run a command; returns its exit code, what it said and what it complained of."""
    monkeypatch.setenv("WATTNESS_HOME", str(home))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["wattness", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


@asynccontextmanager
async def metered(home, names=("task", "plain"), minutes=61):
    """A store as the gateway has it open, with an hour of a solar stream."""
    author = Author(1, GATEWAY, START - MINUTE)
    author.streams(START - 1)
    config = load(home)
    with open_registry(home / "wattness.db") as registry:
        registry.enrol(author.public_key, "roof")
    wanted = tuple(wants(settled(network), 300) for network in config.network if network.name in names)
    settings = Settings(GATEWAY, wanted, clock=config.make_clock(), window_ms=1)
    async with open_store(home / "wattness.db", settings) as store:
        frames = [author.frames[0]]
        for minute in range(minutes):
            at_ms = START + minute * MINUTE
            entry = frame.Entry(0, 0, 30_000, [[1000, 0], [2300, 1], [at_ms // 3600, 8]])
            frames.append(author.entries(at_ms, [entry]))
        await store.put([verified(1, raw) for raw in frames])
        yield store


async def said(run, *arguments):
    """Run a command beside what runs here."""
    return await asyncio.to_thread(run, *arguments)


def digest(home):
    return {
        file.name: hashlib.sha256(file.read_bytes()).digest() for file in home.iterdir() if file.suffix != ".db-shm"
    }


async def test_what_is_not_signed_is_made_as_it_will_be(wattness, home):
    async with metered(home) as store:
        before = digest(home)
        code, out, _ = await said(wattness, "network", "dry-run", "task", "--json")
        assert code == 0
        assert digest(home) == before
        (shown,) = json.loads(out)
        assert (shown["signed"], shown["state"], shown["a"], shown["b"]) == (False, "available", START, START + HOUR)
        assert shown["intervals"] == 12
        assert json.loads(shown["text"])["projectID"] == "6"
        (job,) = await store.outbox.lease("task", 5, 10_000)
        assert job.key == shown["key"]
        await store.outbox.set_body(job.id, bytes.fromhex(shown["hex"]))
        code, out, _ = await said(wattness, "network", "dry-run", "task", "--json")
        again = json.loads(out)[0]
        assert (again["signed"], again["state"], again["hex"]) == (True, "running", shown["hex"])
        await store.outbox.complete(job.id, Receipt("0xabc", {}))
        code, out, _ = await said(wattness, "network", "dry-run", "task")
        assert (code, "kept, completed" in out, shown["text"] in out) == (0, True, True)


async def test_signed_bytes_are_shown_without_a_key(wattness, home):
    async with metered(home) as store:
        (job,) = await store.outbox.lease("task", 5, 10_000)
        await store.outbox.set_body(job.id, b"\x00\xff")
        (home / "task.key").unlink()
        code, out, _ = await said(wattness, "network", "dry-run", "task")
        assert (code, "2 bytes: 00ff\n" in out, "text" in out) == (0, True, False)


async def test_a_network_that_was_just_added_is_shown_what_it_would_have_got(wattness, home):
    async with metered(home, names=("plain",)) as store:
        code, out, _ = await said(wattness, "network", "dry-run", "task", "--json")
        (shown,) = json.loads(out)
        assert (code, shown["state"], shown["intervals"], shown["b"]) == (0, "", 12, START + HOUR)
        (job, *_) = await store.outbox.lease("plain", 50, 10_000)
        assert shown["key"] == f"{job.key}/3600"  # of a window of a stream: board, device, where it begins, how long


async def test_an_interval_is_chosen_by_a_time_in_it(wattness, home):
    async with metered(home):
        for text in (START + 17 * MINUTE, "2026-09-21T14:17:00Z", "2026-09-21T14:17"):
            code, out, _ = await said(wattness, "network", "dry-run", "plain", "--interval", text, "--json")
            assert code == 0
            assert [each["a"] for each in json.loads(out)] == [START + 15 * MINUTE]
        assert (await said(wattness, "network", "dry-run", "plain", "--interval", "1"))[0] == 2
        code, _, err = await said(wattness, "network", "dry-run", "plain", "--interval", "soon")
        assert (code, "expected a time" in err) == (2, True)


async def test_nothing_to_show_is_said(wattness, home):
    assert "has the gateway run yet?" in (await said(wattness, "network", "dry-run", "task"))[2]
    async with metered(home, minutes=2):
        code, _, err = await said(wattness, "network", "dry-run", "task")
        assert (code, "no final interval" in err) == (2, True)
        code, _, err = await said(wattness, "network", "dry-run", "absent")
        assert (code, "there are: task, plain" in err) == (2, True)


async def test_what_a_network_would_not_take_is_said(wattness, home):
    text = (home / "gateway.toml").read_text()
    (home / "gateway.toml").write_text(text.replace('"6"', '"6", signed_keys = ["energyImportMilliWh"]'))
    async with metered(home):
        code, out, _ = await said(wattness, "network", "dry-run", "task")
        assert (code, "would not be sent: missing_signed_value" in out) == (1, True)


async def test_list_shows_what_is_known_and_how_it_goes(wattness, home):
    code, out, _ = wattness("network", "list")
    assert (code, all(name in out for name in CATALOG), "no pv is metered" in out) == (0, True, True)
    async with metered(home) as store:
        (first, second, third, *_) = await store.outbox.lease("plain", 50, 10_000)
        await store.outbox.complete(first.id, Receipt("r-1", {}))
        await store.outbox.complete(second.id, Receipt("r-2", {}))
        await store.outbox.discard(third.id, "slot_taken")
        code, out, _ = await said(wattness, "network", "list", "--json")
        facts = json.loads(out)
        assert {each["kind"]: each["gate"] for each in facts["kinds"]} == {n: k.gate for n, k in CATALOG.items()}
        gives = {each["kind"]: each["gives"] for each in facts["kinds"] if CATALOG[each["kind"]].roles}
        assert gives["arkreen"] == "pv 0 of roof"
        assert gives["dimo"].startswith("nothing yet: no vehicle")
        task, plain = facts["networks"]
        assert (task["waiting"], task["taken"], task["last_receipt"]) == (1, 0, None)
        assert (plain["waiting"], plain["taken"], plain["refused"]) == (9, 2, {"slot_taken": 1})
        assert (plain["last_receipt"], plain["last_receipt_for_unix_ms"]) == ("r-2", second.b)
        assert "r-2 (up to " in (await said(wattness, "network", "list"))[1]


async def test_check_asks_the_network_and_ends_with_1_when_one_is_not_right(wattness, home):
    text = (home / "gateway.toml").read_text()
    signer = open_signer("file:task.key", home, "secp256k1")
    async with SANDBOXES["iotex"](signer.public_key, CivilClock(), Faults()) as served:
        changed = (
            text.replace("http://127.0.0.1:9", served.url, 1)
            .replace("real_ms = 1\n", "")
            .replace(f"civil_ms = {START}\n", "")
        )
        project = served.settings["project_id"]
        (home / "gateway.toml").write_text(changed.replace('"6"', f'"{project}"'))
        code, out, _ = await said(wattness, "network", "check", "task", "--json")
        found = {each["subject"]: each["ok"] for each in json.loads(out)}
        assert (code, found["key"], found["endpoint"]) == (0, True, True)
        assert served.ledger.taken == {}
        assert address(signer.public_key).lower() in (await said(wattness, "network", "check", "task"))[1]
    code, out, _ = await said(wattness, "network", "check", "task")
    assert (code, "NOT OK  endpoint" in out) == (1, True)
    (home / "task.key").unlink()
    code, out, _ = await said(wattness, "network", "check", "task")
    assert (code, "NOT OK  key" in out) == (1, True)
    (home / "gateway.toml").write_text(text.replace('"6"', "6"))
    new_key("file:task.key", home, "secp256k1")
    code, out, _ = await said(wattness, "network", "check", "task")
    assert (code, "$.network[task].settings" in out) == (1, True)


def test_add_appends_and_keeps_the_rest(wattness, home):
    code, out, _ = wattness("network", "add", "filecoin")
    assert (code, "network check filecoin" in out) == (0, True)
    code, out, _ = wattness("network", "add", "filecoin", "--name", "days", "--device", "0", "--device", 'a"b')
    assert code == 0
    code, out, _ = wattness(
        "network", "add", "glow", "--url", "udp://127.0.0.1:35045", "--setting", "short_id=7", "--setting", "tcp=x y"
    )
    assert (code, "key new --network glow" in out) == (0, True)
    text = (home / "gateway.toml").read_text()
    assert text.startswith(CONFIG)
    first, days, glow = tomllib.loads(text)["network"][2:]
    assert first == {"name": "filecoin", "kind": "filecoin"}
    assert days["devices"] == ["0", 'a"b']
    assert glow["settings"] == {"short_id": 7, "tcp": "x y"}
    wattness("network", "add", "filecoin")
    assert load(home).network[-1].name == "filecoin-2"


def test_add_refuses_a_second_claim_before_it_is_enrolled(wattness, home):
    assert wattness("network", "add", "arkreen")[0] == 0
    before = (home / "gateway.toml").read_text()
    for arguments in (("glow", "--url", "udp://127.0.0.1:1"), ("arkreen",), ("glow", "--url", "udp://[::1]:1")):
        code, _, err = wattness("network", "add", *arguments)
        assert (code, "claim the same energy (generation)" in err) == (2, True)
        assert CATALOG["arkreen"].title in err
        assert CATALOG[arguments[0]].title in err
        assert (home / "gateway.toml").read_text() == before
    (home / "gateway.toml").write_text(before.replace('kind = "arkreen"', 'kind = "arkreen"\ndevices = ["0"]'))
    assert wattness("network", "add", "glow", "--url", "udp://127.0.0.1:1", "--device", "1")[0] == 0


def test_a_configuration_with_two_claims_neither_runs_nor_is_checked(wattness, home):
    with (home / "gateway.toml").open("a") as file:
        file.write('\n[[network]]\nname = "a"\nkind = "arkreen"\n[[network]]\nname = "b"\nkind = "arkreen"\n')
    for command in (("run",), ("network", "check", "task"), ("network", "dry-run", "task")):
        code, _, err = wattness(*command)
        assert (code, "would both claim the same energy" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("absent",), "no kind 'absent'"),
        (("wattnet",), "$.network[wattnet].url: is missing"),
        (("wattnet", "--name", "task", "--url", "http://h"), "used twice"),
        (("arkreen", "--url", "https://api.arkreen.com/v1"), "production = true"),
        (("filecoin", "--setting", "novalue"), "expected KEY=VALUE"),
        (("filecoin", "--setting", "a b=1"), "expected KEY=VALUE"),
        (("filecoin", "--setting", "a={}"), "write tables"),
        (("filecoin", "--name", "a/b"), "would be wrong"),
        (("wattnet", "--url", "http://user:secret@h"), "must not hold a password"),
    ],
)
def test_what_cannot_be_added_changes_nothing(wattness, home, arguments, words):
    code, _, err = wattness("network", "add", *arguments)
    assert (code, words in err) == (2, True)
    assert (home / "gateway.toml").read_text() == CONFIG
    assert not (home / "gateway.toml.bak").exists()


def test_production_is_a_word_of_its_own(wattness, home):
    arguments = ("network", "add", "arkreen", "--url", "https://api.arkreen.com/v1", "--production")
    assert wattness(*arguments)[0] == 0
    assert load(home).network[-1].production
    assert "(in earnest)" in wattness("network", "list")[1]


async def test_a_key_is_not_rotated_while_signed_reports_wait(wattness, home):
    old = public_key("file:task.key", home, "secp256k1")
    async with metered(home) as store:
        (job,) = await store.outbox.lease("task", 5, 10_000)
        await store.outbox.set_body(job.id, b"signed")
        code, _, err = await said(wattness, "key", "rotate", "--network", "task")
        assert (code, "1 reports to task are signed by the old key" in err) == (2, True)
        assert public_key("file:task.key", home, "secp256k1") == old
        await store.outbox.complete(job.id, Receipt("r", {}))
        assert (await said(wattness, "key", "rotate", "--network", "task"))[0] == 0
        assert public_key("file:task.key", home, "secp256k1") != old
