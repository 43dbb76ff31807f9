"""`wattness key …`, as an owner types it."""

import json
import os
import pty
import select
import subprocess
import sys

import pytest

from wattness.cli import main
from wattness.keys import sealed
from wattness.keys.looking import public_key
from wattness.lock import HomeLock
from wattness.networks.ethereum import address

NETWORKS = """
[[network]]
name = "attic"
kind = "arweave"

[[network]]
name = "chain"
kind = "peaq"
url = "http://127.0.0.1:9"

[[network]]
name = "wattnet"
kind = "wattnet"
url = "http://127.0.0.1:9"
"""
PASSPHRASE = "correct horse"


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(sealed, "COST", 2)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "gateway.toml").write_text(NETWORKS)
    (home / "phrase").write_text(PASSPHRASE + "\n")
    (home / "phrase").chmod(0o600)
    return home


@pytest.fixture
def wattness(home, monkeypatch, capsys):
    """Run a command; returns its exit code, what it said and what it complained of."""
    monkeypatch.setenv("WATTNESS_HOME", str(home))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["wattness", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


def test_new_and_show_for_the_gateway_and_for_networks(wattness, home):
    code, out, _ = wattness("key", "new")
    assert (code, set(json.loads(out))) == (0, {"public_key", "gateway"})
    assert wattness("key", "show")[1] == out
    code, out, _ = wattness("key", "new", "--network", "attic")
    made = json.loads(out)
    assert made["address"] == address(bytes.fromhex(made["public_key"]))
    assert public_key("file:attic.key", home, "secp256k1").hex() == made["public_key"]
    assert json.loads(wattness("key", "show", "--network", "attic")[1]) == made
    code, _, err = wattness("key", "new", "--network", "attic")
    assert (code, "never overwritten" in err) == (2, True)


@pytest.mark.parametrize(
    ("network", "words"), [("absent", "no [[network]] named 'absent'"), ("wattnet", "no key of its own")]
)
def test_a_network_without_a_key(wattness, network, words):
    for command in (("new",), ("show",), ("rotate",)):
        code, _, err = wattness("key", *command, "--network", network)
        assert (code, words in err) == (2, True)


def test_a_sealed_key_is_told_how_to_be_opened(wattness, home):
    code, out, err = wattness("key", "new", "--network", "attic", "--encrypt", "--passphrase-file", home / "phrase")
    assert (code, "wattness.passphrase" in err) == (0, True)
    assert wattness("key", "show", "--network", "attic")[1] == out  # without the passphrase
    code, out, _ = wattness("key", "list", "--json")
    kept = {each["what"]: (each["kept"], bool(each["problem"])) for each in json.loads(out)}
    assert kept == {"gateway": ("plain", True), "network attic": ("sealed", False), "network chain": ("plain", True)}
    assert "There is no key" in wattness("key", "list")[1]
    code, _, err = wattness("key", "new", "--encrypt")
    assert (code, "--passphrase-file" in err) == (2, True)  # nobody at a terminal
    assert not (home / "gateway.key").exists()


def test_an_open_key_is_sealed_where_it_lies(wattness, home):
    _, out, _ = wattness("key", "new")
    code, _, err = wattness("key", "encrypt", "--passphrase-file", home / "phrase")
    assert (code, "rotate" in err) == (0, True)
    assert b"PRIVATE" not in (home / "gateway.key").read_bytes()
    assert wattness("key", "show")[1] == out
    assert "encrypted already" in wattness("key", "encrypt", "--passphrase-file", home / "phrase")[2]


def test_backup_restore_and_what_is_elsewhere(wattness, home, tmp_path):
    with (home / "gateway.toml").open("a") as file:
        file.write(f'\n[[network]]\nname = "far"\nkind = "arweave"\nkey = "file:{tmp_path}/far.key"\n')
    for arguments in ((), ("--network", "attic"), ("--network", "far")):
        assert wattness("key", "new", *arguments)[0] == 0
    target = tmp_path / "backup"
    code, out, err = wattness("key", "backup", target, "--passphrase-file", home / "phrase")
    assert (code, out.split()) == (0, ["attic.key", "gateway.key"])
    assert f"file:{tmp_path}/far.key is kept elsewhere" in err
    before = (home / "gateway.key").read_bytes()
    (home / "gateway.key").unlink()
    code, out, _ = wattness("key", "restore", target, "--passphrase-file", home / "phrase")
    assert (code, out) == (0, "attic.key: was there already\ngateway.key: restored\n")
    assert (home / "gateway.key").read_bytes() == before
    assert "never overwritten" in wattness("key", "backup", target, "--passphrase-file", home / "phrase")[2]
    (home / "phrase").write_text("incorrect horse")
    assert "does not open" in wattness("key", "restore", target, "--passphrase-file", home / "phrase")[2]


def test_rotation_says_what_the_network_must_be_told(wattness, home):
    _, out, _ = wattness("key", "new", "--network", "attic")
    old = json.loads(out)["address"]
    code, out, err = wattness("key", "rotate", "--network", "attic")
    new = json.loads(out)["address"]
    assert (code, old in err, new in err, "attic.key.old-" in err) == (0, True, True, True)
    assert json.loads(wattness("key", "show", "--network", "attic")[1])["address"] == new


def test_rotation_is_refused_while_the_gateway_runs_or_others_use_the_key(wattness, home):
    wattness("key", "new", "--network", "attic")
    before = (home / "attic.key").read_bytes()
    with HomeLock(home):
        assert "stop it first" in wattness("key", "rotate", "--network", "attic")[2]
    with (home / "gateway.toml").open("a") as file:
        file.write('\n[[network]]\nname = "other"\nkind = "arweave"\nkey = "file:./attic.key"\n')
    assert "network other has the same key" in wattness("key", "rotate", "--network", "attic")[2]
    assert (home / "attic.key").read_bytes() == before


def typed(home, arguments, answers):
    """Run a command at a terminal and type; returns its exit code and all that the terminal showed."""
    parent, child = pty.openpty()
    ours = {**os.environ, "WATTNESS_HOME": str(home)}
    command = [sys.executable, "-c", "import wattness.keys.sealed as s; s.COST = 2; import wattness.cli as c; c.main()"]
    with subprocess.Popen(
        [*command, *arguments], stdin=child, stdout=child, stderr=child, env=ours, start_new_session=True
    ) as process:
        os.close(child)
        shown = b""
        while select.select([parent], [], [], 30)[0]:
            try:
                shown += os.read(parent, 4096)
            except OSError:
                break
            if shown.endswith(b": ") and answers:
                os.write(parent, answers.pop(0).encode() + b"\n")
    os.close(parent)
    return process.returncode, shown.decode()


def test_a_passphrase_is_typed_twice_and_never_shown(home):
    code, shown = typed(home, ["key", "new", "--encrypt"], [PASSPHRASE, "another one"])
    assert (code, "differ" in shown, (home / "gateway.key").exists()) == (2, True, False)
    code, shown = typed(home, ["key", "new", "--encrypt"], [PASSPHRASE, PASSPHRASE])
    assert (code, PASSPHRASE in shown) == (0, False)
    assert json.loads((home / "gateway.key").read_text())["form"] == "wattness key 1"
