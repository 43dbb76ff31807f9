"""`--json` everywhere: what a command tells a person it tells a program as well."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from wattness.cli import app
from wattness.profiles import profiles_dir

VECTORS = json.loads((Path(__file__).parents[2] / "firmware" / "tests" / "vectors.json").read_text())

# What they do is their answer, or it goes to a file, or on for ever.
ACTS = {
    *("init", "run", "export", "key encrypt", "network add", "release build", "release key new", "release key show"),
    *("board flash", "board install", "board enrol", "board log", "rewards export", "rewards account", "rewards claim"),
}


def commands(command, path=()):
    if not hasattr(command, "commands"):
        return {" ".join(path): {name for option in command.params for name in option.opts}}
    found = {}
    for name, each in command.commands.items():
        found |= commands(each, (*path, name))
    return found


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("board", "list"), "`wattness board enrol`"),
        (("device", "list"), "`wattness discover`"),
        (("rewards", "price"), "`wattness rewards price UNIT PRICE`"),
        (("rewards", "operators"), "[[operates]] of gateway.toml"),
    ],
)
def test_a_list_of_nothing_says_what_to_do(command, words, tmp_path):
    def wattness(*arguments):
        return CliRunner().invoke(app, ["--home", str(tmp_path / "home"), *arguments])

    for each in (("init",), ("key", "new"), ("board", "list")):
        assert wattness(*each).exit_code == 0
    done = wattness(*command)
    assert (done.exit_code, words in " ".join(done.output.split())) == (0, True)
    assert json.loads(wattness(*command, "--json").stdout) == []


def test_every_command_that_tells_something_tells_it_as_json():
    found = commands(typer.main.get_command(app))
    assert {name for name, options in found.items() if "--json" not in options} == ACTS


def test_answers_as_json(tmp_path):
    home = tmp_path / "home"

    def wattness(*arguments):
        return CliRunner().invoke(app, ["--home", str(home), *arguments])

    for command in (("init",), ("key", "new"), ("board", "enrol", VECTORS["key"]["public_hex"], "--name", "roof")):
        assert wattness(*command).exit_code == 0
    backup, pass_phrase = tmp_path / "backup", tmp_path / "words"
    pass_phrase.write_text("four words of mine\n")
    pass_phrase.chmod(0o600)
    prices = tmp_path / "prices.csv"
    prices.write_text("day,unit,price,currency\n2026-11-01,AKT,1.5,EUR\n")
    token = (home / "web.token").read_text().strip()
    profile = str(profiles_dir() / "eastron_sdm120.json")
    key = json.loads(wattness("key", "show").stdout)["public_key"]
    price = {"unit": "AKT", "network": "", "currency": "EUR", "day": "2026-11-01", "price": "1.5"}
    for command, answer in (
        (("token", "show"), {"token": token}),
        (("profile", "check", profile), [{"file": profile, "problems": []}]),
        (("key", "show"), {"public_key": key, "gateway": sha256(bytes.fromhex(key)).hexdigest()}),
        (("rewards", "price", "--import", str(prices)), {"prices": 1}),
        (("rewards", "price"), [price]),
        (
            ("key", "backup", str(backup), "--passphrase-file", str(pass_phrase)),
            {"keys": ["gateway.key"], "elsewhere": []},
        ),
        (
            ("key", "restore", str(backup), "--passphrase-file", str(pass_phrase)),
            [{"file": "gateway.key", "restored": False}],
        ),
        (("board", "remove", "roof"), {"name": "roof", "kid": VECTORS["key"]["kid"], "state": "removed"}),
    ):
        done = wattness(*command, "--json")
        assert (done.exit_code, json.loads(done.stdout)) == (0, answer)
