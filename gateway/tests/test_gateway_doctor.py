"""The doctor finds every fault that we can make, with its remedy; and systemd hears when the gateway is ready."""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.author import Author, verified
from wattness import doctor, systemd
from wattness.clock import Clock
from wattness.config import CONFIG_NAME
from wattness.doctor import FAILURE, OK, WARNING, examine, worst
from wattness.keys import new_key, sealed
from wattness.store.registry import open_registry
from wattness.store.sqlite import Settings, open_store
from wattness.web.credentials import new_token

DEPLOY = Path(__file__).parents[1] / "deploy"
GATEWAY = bytes(range(32))


@pytest.fixture
def home(tmp_path, port):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / CONFIG_NAME).write_text(f'[mqtt]\nlisten = "127.0.0.1:{port}"\n')
    new_key("file:gateway.key", home)
    new_token(home)
    return home


async def found(home, subject):
    return [(finding.level, finding.text) for finding in await examine(home) if finding.subject == subject]


async def test_a_new_home_has_no_failure(home):
    findings = await examine(home)
    assert worst(findings) != FAILURE
    assert all(finding.remedy for finding in findings if finding.level != OK)
    assert {"configuration", "key", "token", "clock", "SQLite", "disk", "page", "broker", "boards"} <= {
        finding.subject for finding in findings
    }


async def test_no_home_is_one_failure(tmp_path):
    (finding,) = await examine(tmp_path / "nothing")
    assert (finding.level, finding.subject) == (FAILURE, "configuration")
    assert "wattness init" in finding.text


@pytest.mark.parametrize(("name", "subject"), [("gateway.key", "key"), ("web.token", "token")])
async def test_a_secret_that_others_may_read_is_a_failure(home, name, subject):
    (home / name).chmod(0o644)
    assert (await found(home, subject))[0][0] == FAILURE
    (home / name).unlink()
    assert (await found(home, subject))[0][0] == FAILURE


async def test_every_key_is_looked_at(home, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(sealed, "COST", 2)
    with (home / "gateway.toml").open("a") as file:
        file.write('\n[[network]]\nname = "days"\nkind = "arweave"\n')
    assert (await found(home, "key of network days"))[0][0] == FAILURE
    new_key("file:days.key", home, "secp256k1", lambda: "correct horse")
    assert (await found(home, "key of network days"))[0][0] == WARNING
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(home))
    (home / "wattness.passphrase").write_text("correct horse")
    assert await found(home, "key of network days") == [(OK, "file:days.key can sign")]


async def test_a_home_that_others_may_write_is_a_failure(home):
    home.chmod(0o777)
    assert await found(home, "home") == [(FAILURE, f"others may write to {home}")]


async def test_a_full_disk_is_a_failure(home, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 50 << 20))
    assert await found(home, "disk") == [(FAILURE, "50 MB free")]


async def test_an_unsynchronised_clock_is_a_warning(home, monkeypatch):
    monkeypatch.setattr(doctor, "_adjtimex", lambda: doctor.TIME_ERROR)
    assert (await found(home, "clock"))[0][0] == WARNING
    monkeypatch.setattr(doctor, "_adjtimex", lambda: 0)
    assert (await found(home, "clock"))[0][0] == OK


async def test_a_taken_port_is_a_failure(home, port):
    with socket.create_server(("127.0.0.1", port)):
        assert (await found(home, "broker"))[0] == (FAILURE, f"127.0.0.1:{port} is taken")


async def test_brokers_and_networks_that_are_away_are_failures(home, free_ports):
    first, second, third = free_ports(3)
    (home / CONFIG_NAME).write_text(
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{first}"\n'
        f'[homeassistant]\nenabled = true\nurl = "mqtt://127.0.0.1:{second}"\n'
        f'[[network]]\nname = "far"\nkind = "wattnet"\nurl = "http://127.0.0.1:{third}"\n'
    )
    for subject in ("broker", "Home Assistant", "network far"):
        assert [level for level, _ in await found(home, subject)] == [FAILURE], subject


async def test_boards_say_how_they_are(home):
    author = Author(1, GATEWAY, Clock().now_ms() - 3_600_000)
    with open_registry(home / "wattness.db") as registry:
        registry.enrol(author.public_key, "roof")
    assert (await found(home, "board roof"))[0] == (WARNING, "was never heard of")
    author.streams(author.boot_ms + 1)
    async with open_store(home / "wattness.db", Settings(GATEWAY, window_ms=1)) as store:
        await store.put([verified(1, raw) for raw in author.frames])
    assert (await found(home, "board roof"))[0][0] == OK


async def test_a_broken_database_is_a_failure_with_a_remedy(home):
    (home / "wattness.db").write_bytes(b"no database at all" * 1000)
    (finding,) = [one for one in await examine(home) if one.subject == "database"]
    assert finding.level == FAILURE
    assert finding.remedy


def test_the_command_prints_json_and_fails_when_something_does(home):
    command = [sys.executable, "-m", "wattness", "--home", str(home), "doctor", "--json"]
    good = subprocess.run(command, capture_output=True, text=True, check=False)
    assert good.returncode == 0
    assert {row["level"] for row in json.loads(good.stdout)} <= {OK, WARNING}
    (home / "gateway.key").unlink()
    bad = subprocess.run(command[:-1], capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "wattness key new" in re.sub(r"\s+", " ", bad.stdout)


@pytest.mark.parametrize("abstract", [False, True])
async def test_systemd_hears_when_the_gateway_is_ready_alive_and_stopping(home, tmp_path, abstract):
    name = f"@wattness-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.setblocking(False)
        (home / CONFIG_NAME).write_text('[mqtt]\nlisten = "127.0.0.1:0"\n[web]\nlisten = "127.0.0.1:0"\n')
        text = (home / CONFIG_NAME).read_text().replace("127.0.0.1:0", f"127.0.0.1:{_free()}", 1)
        (home / CONFIG_NAME).write_text(text)
        gateway = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "wattness",
            "--home",
            str(home),
            "run",
            env=os.environ | {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "200000"},
            stdout=asyncio.subprocess.DEVNULL,
        )
        heard = []
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(30):
            while "READY=1" not in heard or heard.count("WATCHDOG=1") < 3:
                heard.append((await loop.sock_recv(manager, 256)).decode())
            gateway.terminate()
            while heard[-1] != "STOPPING=1":
                heard.append((await loop.sock_recv(manager, 256)).decode())
            assert await gateway.wait() == 0


def _free():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def test_without_systemd_nothing_is_said(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "nonsense")
    assert systemd.notify("READY=1") is False
    assert systemd.watchdog_s() is None


def test_the_unit_is_one_that_systemd_accepts():
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("SYSTEMD IS NOT INSTALLED: the unit file was not checked")
    found = subprocess.run(
        [program, "verify", "--man=no", str(DEPLOY / "wattness.service")], capture_output=True, text=True, check=False
    )
    complaints = [line for line in found.stderr.splitlines() if "is not executable" not in line and "Unknown" in line]
    assert complaints == []
