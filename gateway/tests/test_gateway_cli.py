"""The command line as people type it: what it prints, what it refuses, its exit codes."""

import csv
import io
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from wattness.cli import main
from wattness.cli.operating import CONFIG_TEXT
from wattness.cli.statustable import show
from wattness.config import Config, load
from wattness.store.registry import open_registry

VECTORS = json.loads((Path(__file__).parents[2] / "firmware" / "tests" / "vectors.json").read_text())
KEY = VECTORS["key"]["public_hex"]
NETWORK = '[[network]]\nname = "a"\nkind = "wattnet"\nurl = "http://x"\n'
FRAMES = [one["hex"] for one in VECTORS["frames"]]


@pytest.fixture
def wattness(tmp_path, monkeypatch, capsys):
    """Run the command line on a home of its own; gives code, output, errors."""
    monkeypatch.setenv("WATTNESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")

    umask = os.umask(0o022)
    os.umask(umask)

    def run(*arguments, text=""):
        monkeypatch.setattr(sys, "argv", ["wattness", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code, output.out, output.err

    yield run
    os.umask(umask)


@pytest.fixture
def home(wattness, tmp_path):
    assert wattness("init")[0] == 0
    assert wattness("key", "new")[0] == 0
    return tmp_path / "home"


def test_first_steps(wattness, tmp_path):
    home = tmp_path / "home"
    assert wattness("run")[::2] == (2, f"There is no {home}/gateway.toml; run `wattness init` first.\n")
    code, out, _ = wattness("init")
    assert code == 0
    assert "wattness key new" in out
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert wattness("init")[0] == 2
    code, _, error = wattness("run")
    assert (code, error) == (2, f"There is no key {home}/gateway.key; run `wattness key new`.\n")
    code, out, _ = wattness("key", "new")
    assert code == 0
    assert stat.S_IMODE((home / "gateway.key").stat().st_mode) == 0o600
    assert wattness("key", "show")[1] == out
    assert wattness("key", "new")[0] == 2
    (home / "gateway.key").chmod(0o644)
    code, _, error = wattness("run")
    assert code == 2
    assert f"chmod 600 {home}/gateway.key" in error


def test_token_is_made_once_and_renewed_by_hand(wattness, tmp_path):
    home = tmp_path / "home"
    assert wattness("token", "show")[::2] == (2, f"There is no {home}/web.token; run `wattness token new`.\n")
    assert wattness("token", "new")[::2] == (2, f"There is no {home}; run `wattness init` first.\n")
    assert f"The page's token is in {home}/web.token" in wattness("init")[1]
    assert stat.S_IMODE((home / "web.token").stat().st_mode) == 0o600
    code, token, _ = wattness("token", "show")
    assert (code, len(token.strip())) == (0, 43)
    assert wattness("token", "new")[1] != token
    assert stat.S_IMODE((home / "web.token").stat().st_mode) == 0o600
    assert wattness("key", "new")[0] == 0
    (home / "web.token").unlink()
    assert wattness("run")[::2] == (2, f"There is no {home}/web.token; run `wattness token new`.\n")


def test_commented_configuration_is_the_default(tmp_path):
    (tmp_path / "gateway.toml").write_text(CONFIG_TEXT)
    assert load(tmp_path) == Config(home=str(tmp_path))
    settings = [line.removeprefix("# ").partition("  #")[0] for line in CONFIG_TEXT.splitlines()]
    wanted = [line for line in settings if line.startswith("[") or " = " in line]
    (tmp_path / "gateway.toml").write_text("\n".join(wanted))
    config = load(tmp_path)
    assert (config.key, config.web, config.interval) == (Config().key, Config().web, Config().interval)
    assert config.mqtt.listen == Config().mqtt.listen
    assert [network.name for network in config.network] == ["wattnet"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[mqtt]\nlisen = 1", "$.mqtt"),
        ("[mqtt", "cannot be read"),
        ('[web]\nlisten = "0.0.0.0:8080"', "$.web.listen"),
        ('[web]\nlisten = "8080"', "$.web.listen"),
        ('[mqtt]\nurl = "http://x"', "$.mqtt.url"),
        ('[mqtt]\nurl = "mqtt://x"\npassword_file = "none"', "none cannot be read"),
        ('[[network]]\nname = "a"\nkind = "b"\nurl = "http://x"', "$.network"),
        ('[[network]]\nname = "a"\nkind = "wattnet"\nurl = "http://x"\n' * 2, "used twice"),
        ('key = "tpm:0"', "$.key"),
        ('[mqtt]\nurl = "mqtt://"', "$.mqtt.url"),
        ('[mqtt]\nurl = "mqtt://x:port"', "$.mqtt.url"),
        ("[interval]\nlength_s = 9", "$.interval.length_s: expected int >= 10"),
        ("[interval]\nfinal_after_h = -5", "$.interval.final_after_h: expected int >= 1"),
        ("[interval]\nfuture_s = -9", "$.interval.future_s: expected int >= 0"),
        ("[clock]\nrate = 0", "$.clock.rate: expected int >= 1"),
        (f"{NETWORK}per_minute = 0", "$.network[0].per_minute: expected int >= 1"),
        (f"{NETWORK}in_flight = 0", "$.network[0].in_flight: expected int >= 1"),
        (f"{NETWORK}age_max_h = 0", "$.network[0].age_max_h: expected int >= 1"),
        (f'{NETWORK}per_minute = "60"', "$.network[0].per_minute: expected int, got str"),
        (NETWORK.replace("http://x", "nonsense"), "$.network[a].url: must begin with http:// or https://"),
        (NETWORK.replace("http://x", "http://x:port"), "$.network[a].url: must begin with http:// or https://"),
        (NETWORK.replace("http://x", "ftp://x"), "$.network[a].url: must begin with http:// or https://"),
        (NETWORK.replace("wattnet", "gridcoin"), "$.network[a].kind: 'gridcoin' is not one of wattnet"),
    ],
)
def test_bad_configuration_is_one_sentence(wattness, home, text, sentence):
    (home / "gateway.toml").write_text(text)
    code, out, error = wattness("run")
    assert (code, out) == (2, "")
    assert sentence in error
    assert error.count("\n") == 1


def test_a_bad_configuration_is_said_before_a_busy_port(wattness, home):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (home / "gateway.toml").write_text(
            f'[mqtt]\nlisten = "127.0.0.1:{port}"\n{NETWORK.replace("http://x", "http://x:port")}'
        )
        assert "$.network[a].url" in wattness("run")[2]


def test_boards(wattness, home, tmp_path):
    out = tmp_path / "board.json"
    code, text, _ = wattness("board", "enrol", KEY, "--name", "roof", "--out", str(out), "--host", "gateway.lan")
    assert code == 0
    assert "roof (d4784063a6065a33)" in text
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    settings = json.loads(out.read_text())
    assert settings["gateway"] == json.loads(wattness("key", "show")[1])["gateway"]
    assert len(bytes.fromhex(settings["link_key"])) == 32
    mqtt = settings["mqtt"]
    assert {**mqtt, "password": ""} == {
        "host": "gateway.lan",
        "port": 1883,
        "user": "d4784063a6065a33",
        "password": "",
        "tls": False,
    }
    again = json.loads(wattness("board", "enrol", KEY, "--name", "roof")[1])
    assert again["mqtt"]["password"] == mqtt["password"]
    (listed,) = json.loads(wattness("board", "list", "--json")[1])
    assert (listed["name"], listed["state"]) == ("roof", "active")
    assert mqtt["password"] not in wattness("board", "list", "--json")[1]
    assert wattness("board", "list")[1].split() == ["d4784063a6065a33", "active", "roof"]
    assert wattness("board", "release", "roof")[0] == 2
    assert wattness("board", "remove", "roof")[0] == 0
    assert wattness("board", "list")[1] == ""
    assert wattness("board", "remove", "attic")[0] == 2
    with open_registry(home / "wattness.db") as registry:
        assert [board.state for board in registry.list(removed=True)] == ["removed"]


@pytest.mark.parametrize("key", ["04", KEY[:-2], "05" + KEY[2:], "04" + "11" * 64, "x" * 130])
def test_bad_board_key_is_one_sentence(wattness, home, key):
    code, _, error = wattness("board", "enrol", key)
    assert code == 2
    assert error.count("\n") == 1


def test_board_settings_to_a_place_that_is_not_there(wattness, home, tmp_path):
    code, _, error = wattness("board", "enrol", KEY, "--out", str(tmp_path / "none" / "board.json"))
    assert code == 2
    assert "cannot be written" in error


def test_board_settings_replace_no_file_unless_forced(wattness, home, tmp_path):
    out = tmp_path / "board.json"
    out.write_text("edited")
    code, _, error = wattness("board", "enrol", KEY, "--out", str(out))
    assert (code, error.count("\n"), out.read_text()) == (2, 1, "edited")
    assert "--force" in error
    assert wattness("board", "list")[1] == ""
    assert wattness("board", "enrol", KEY, "--out", str(out), "--force")[0] == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert "link_key" in json.loads(out.read_text())


def test_a_board_behind_tls_is_told_of_the_certificate(wattness, home):
    (home / "gateway.toml").write_text('[mqtt]\nurl = "mqtts://broker.lan"\npassword_file = "password"')
    code, out, error = wattness("board", "enrol", KEY)
    assert (code, json.loads(out)["mqtt"]["tls"], json.loads(out)["mqtt"]["port"]) == (0, True, 8883)
    assert '"ca": "/ca.pem"' in error


def test_secrets_are_the_owners_alone_even_in_an_open_home(wattness, tmp_path):
    (tmp_path / "home").mkdir(mode=0o755)
    wattness("init")
    wattness("key", "new")
    wattness("board", "enrol", KEY)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) & 0o077 for file in (tmp_path / "home").iterdir()}
    assert modes["wattness.db"] == 0
    assert set(modes.values()) == {0}


def test_status_without_and_with_data(wattness, home):
    assert wattness("status")[0] in {0, 2}
    wattness("board", "enrol", KEY, "--name", "roof")
    facts = json.loads(wattness("status", "--json")[1])
    assert (facts["running"], [board["name"] for board in facts["boards"]]) == (False, ["roof"])
    code, text, _ = wattness("status")
    assert code == 0
    assert "not running" in text
    assert "roof" in text


def test_status_shows_how_old_each_streams_newest_row_is(capsys):
    head = {"board": "roof", "role": "pv"}
    ages = {"never": None, "31 s ago": 1_790_000_000_000 - 31_000, "2026-09-20": 1_790_000_000_000 - 86_400_000}
    streams = [
        head | {"id": number, "device": f"{number:032x}", "last_unix_ms": last}
        for number, last in enumerate(ages.values())
    ]
    facts = {"boards": [], "networks": [], "counters": {}, "now_unix_ms": 1_790_000_000_000}
    show(facts | {"home": "h", "running": True, "streams": streams})
    lines = [line for line in capsys.readouterr().out.splitlines() if "roof" in line]
    for number, (line, said) in enumerate(zip(lines, ages, strict=True)):
        assert f"{number:032x}" in line  # what `devices` of a network names
        assert said in line


def test_what_is_no_file_of_ours_is_not_read_to_its_end(wattness, home, tmp_path):
    wattness("board", "enrol", KEY, "--name", "roof")
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(1 << 40)  # as /dev/zero, or the image of a disk
    for command in (("replay",), ("rewards", "import"), ("profile", "check"), ("decode", "registers", "sunspec")):
        code, out, error = wattness(*command, str(huge))
        assert (code in {1, 2}, len(out + error) < 300, "Traceback" in error) == (True, True, False)


def test_decode_frames(wattness, tmp_path):
    good = "\n".join(FRAMES)
    code, out, _ = wattness("decode", "frames", "--key", KEY, "-", text=good)
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, [line["ok"] for line in lines]) == (0, [True] * len(FRAMES))
    file = tmp_path / "frames.hex"
    file.write_text(good + "\n\nno hex\n")
    code, out, _ = wattness("decode", "frames", "--key", KEY, str(file))
    assert (code, json.loads(out.splitlines()[-1])["reason"]) == (1, "bad_hex")
    assert wattness("decode", "frames", "--key", "04", str(file))[0] == 2
    assert wattness("decode", "frames", "--key", KEY, str(tmp_path / "none"))[0] == 2


def test_decode_registers(wattness, tmp_path):
    case = json.loads((Path(__file__).parents[2] / "firmware/profiles/frames/eastron_sdm120.json").read_text())[
        "cases"
    ][0]
    code, out, _ = wattness("decode", "registers", "eastron_sdm120", "-", "--rtu", text=json.dumps(case["exchanges"]))
    assert code == 0
    assert json.loads(out)["points"]["power"]["unit"] == "W"
    dump = {"holding": {}, "input": {"0": 0x4366, "1": 0x3333}}
    points = json.loads(wattness("decode", "registers", "eastron_sdm120", "-", text=json.dumps(dump))[1])["points"]
    assert points["voltage"] == {"value": 230.2, "unit": "V"}
    assert points["power"] is None
    for text in ("", "[", "[]", '{"coils": {}}', "[" * 100_000):
        code, _, error = wattness("decode", "registers", "eastron_sdm120", "-", text=text)
        assert (code, error.count("\n")) == (2, 1)
    assert wattness("decode", "registers", "nothing", "-", text="{}")[0] == 2
    for text in ('{"input": {"0": 17254}, "input": {}}', '{"input": {"0": 17254, "0": 17255}}'):
        code, _, error = wattness("decode", "registers", "eastron_sdm120", "-", text=text)
        assert (code, error.count("\n")) == (2, 1)
        assert "is there twice" in error


def test_profiles(wattness, tmp_path):
    assert "eastron_sdm120" in wattness("profile", "list")[1]
    code, out, _ = wattness("profile", "check")
    assert code == 0
    assert "are in order" in out
    bad = tmp_path / "bad.json"
    bad.write_text('{"id": "bad"}')
    assert wattness("profile", "check", str(bad))[0] == 1


def test_export_of_nothing(wattness, home, tmp_path):
    wattness("board", "enrol", KEY)
    assert wattness("export", "frames") == (0, "", "")
    code, out, _ = wattness("export", "intervals", "--format", "csv")
    assert (code, next(csv.reader(io.StringIO(out)))[0]) == (0, "board_key")
    code, _, error = wattness("export", "frames", "--format", "csv")
    assert (code, error) == (2, "frames can be exported as hex or jsonl, not as csv.\n")
    (tmp_path / "taken").touch()
    assert wattness("export", "rows", "--out", str(tmp_path / "taken"))[0] == 2
    assert wattness("export", "rows", "--board", "attic")[0] == 2


def test_help_and_version(wattness):
    code, out, _ = wattness("--help")
    assert code == 0
    for command in ("init", "run", "status", "board", "key", "token", "profile", "decode", "export"):
        assert command in out
    assert wattness("--version")[1].strip() == "0.1.0"
    assert wattness("nothing")[0] == 2


def test_reader_that_hangs_up_is_no_error(tmp_path):
    file = tmp_path / "frames.hex"
    file.write_text("\n".join(FRAMES * 2000))
    command = [sys.executable, "-m", "wattness", "decode", "frames", "--key", KEY, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1
