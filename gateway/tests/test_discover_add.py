"""What is found as the configuration's text: proposals, what is there already, and the command from end to end."""

import asyncio
import io
import json
import os
import runpy
import stat
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from emulator.radio.air import Air
from emulator.radio.monitors import KINDS, Pack, monitor
from emulator.radio.victron import BATTERY, VictronDevice, battery_record
from wattness.cli import main
from wattness.config import load, parse
from wattness.devices import Address
from wattness.discover import nearby, scan
from wattness.discover.add import add
from wattness.discover.found import Confidence, Found, Offer
from wattness.discover.propose import propose, section
from wattness.errors import ConfigError
from wattness.ingest.ble import Backends
from wattness.lock import HomeLock

WORLD = runpy.run_path(str(Path(__file__).with_name("discover_world.py")))
_bumble = runpy.run_path(str(Path(__file__).with_name("bumble_backend.py")))
INVERTER = WORLD["sunspec"](WORLD["common"]("Acme", "Sun 10", "A1"), WORLD["inverter"](), WORLD["nameplate"](1000))
SURE = Offer("sunspec", "pv", Confidence.CERTAIN, "SunSpec model 103", 10_000, 20)
OLD = '# mine\n[mqtt]\nlisten = "127.0.0.1:1883"  # keep\n'


def found(*offers, host="192.168.1.20", unit=1, **changes):
    one = Found(Address("tcp", host, 502), unit, "Acme", "Sun 10", "A1", offers or (SURE,))
    return one._replace(**changes)


def configured(home, text):
    (home / "gateway.toml").write_text(text)
    return parse(text, home).device


def device(url="tcp://192.168.1.20:502", profile="sunspec", role="pv", name="mine", extra=""):
    return f'[[device]]\nname = "{name}"\nurl = "{url}"\nprofile = "{profile}"\nrole = "{role}"\n{extra}'


def test_a_section_is_appended_and_comments_stay(tmp_path):
    configured(tmp_path, OLD)
    (tmp_path / "gateway.toml").chmod(0o640)
    assert add(tmp_path, propose([found(connect_pause_ms=1000)], [])) == ["acme-sun-10-pv"]
    text = (tmp_path / "gateway.toml").read_text()
    assert text.startswith(OLD)
    (one,) = load(tmp_path).device
    assert (one.url, one.unit, one.profile, one.role) == ("tcp://192.168.1.20:502", 1, "sunspec", "pv")
    assert (one.period_ms, one.rated_w, one.connect_pause_ms) == (5000, 10_000, 1000)
    assert (tmp_path / "gateway.toml.bak").read_text() == OLD
    assert stat.S_IMODE((tmp_path / "gateway.toml").stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gateway.toml", "gateway.toml.bak"]


def test_nothing_is_added_twice(tmp_path):
    configured(tmp_path, OLD)
    proposals = propose([found()], [])
    assert add(tmp_path, proposals * 2) == ["acme-sun-10-pv"]
    assert add(tmp_path, proposals) == []
    assert len(load(tmp_path).device) == 1
    (again,) = propose([found()], load(tmp_path).device)
    assert again.configured == "acme-sun-10-pv"


@pytest.mark.parametrize(
    ("there", "offer", "is_there"),
    [
        (device(), SURE, True),
        (device("tcp://192.168.1.21:502"), SURE, False),
        (device(extra="unit = 2\n"), SURE, False),
        (device(profile="solaredge_inverter"), SURE, True),
        (device(role="grid"), SURE, False),
        (device(role="load"), SURE._replace(role="grid"), True),
        (device(profile="eastron_sdm120", role="pv"), SURE._replace(profile="eastron_sdm630", role="grid"), True),
        (device(profile="pzem_004t_v3", role="pv"), SURE._replace(profile="pzem_004t_v3", role="load"), True),
        (device(profile="deye_sunsynk_1p"), SURE._replace(profile="deye_sunsynk_1p", role="battery"), False),
        (device(profile="not_there_any_more", role="pv"), SURE, True),
    ],
)
def test_what_is_configured_is_marked(tmp_path, there, offer, is_there):
    (one,) = propose([found(offer)], configured(tmp_path, there))
    assert one.configured == ("mine" if is_there else None)


def test_a_host_by_its_name_is_the_one_found(tmp_path):
    (one,) = propose([found(host="127.0.0.1")], configured(tmp_path, device("tcp://localhost:502")))
    assert one.configured == "mine"


def test_names_differ_and_say_what_is_there(tmp_path):
    odd = found(maker='A"\n[web]\n#\x1b[31m' + "x" * 99, model="Ünit", unit=2)
    plain = found(maker=None, model=None, unit=3, fingerprint=())
    proposals = propose([found(), found(unit=4), odd, plain], configured(tmp_path, OLD))
    assert [one.name for one in proposals[:2]] == ["acme-sun-10-pv", "acme-sun-10-pv-2"]
    assert proposals[3].name == "sunspec-pv"
    assert len(add(tmp_path, proposals)) == 4
    assert "\x1b" not in (tmp_path / "gateway.toml").read_text()
    assert [one.unit for one in load(tmp_path).device] == [1, 4, 2, 3]


def test_periods_leave_the_device_time_and_addresses_are_kept_whole():
    slow, line = SURE._replace(read_ms=3100), Address("serial", "/dev/ttyUSB0", 0, 2400, "E", 2)
    (one,) = propose([found(slow, address=line)], [])
    assert one.period_ms == 13_000
    assert one.url == "serial:///dev/ttyUSB0?baud=2400&parity=E&stopbits=2"
    assert propose([found(address=Address("tcp", "fd00::7", 502))], [])[0].url == "tcp://[fd00::7]:502"


@pytest.mark.parametrize(
    ("old", "words"),
    [
        ('device = [{name = "a", url = "tcp://h:502", role = "pv"}]\n', "would be wrong"),
        ("[mqtt\n", "cannot be read"),
        ("[mqtt]\nnonsense = 1\n", "nonsense"),
        (device(name="acme-sun-10-pv", url="tcp://other:502"), "used twice"),
    ],
)
def test_a_configuration_that_would_be_wrong_stays_as_it_is(tmp_path, old, words):
    (tmp_path / "gateway.toml").write_text(old)
    with pytest.raises(ConfigError, match=words):
        add(tmp_path, propose([found()], []))
    assert (tmp_path / "gateway.toml").read_text() == old
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.toml"]


def test_what_no_profile_can_read_is_not_written(tmp_path):
    configured(tmp_path, OLD)
    with pytest.raises(ConfigError, match="no points for a load"):
        add(tmp_path, propose([found(SURE._replace(profile="huawei_sun2000", role="load"))], []))
    assert (tmp_path / "gateway.toml").read_text() == OLD


def test_lines_end_as_they_did_and_an_end_is_made(tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_bytes(b'[mqtt]\r\nlisten = "127.0.0.1:1"')
    add(tmp_path, propose([found()], []))
    written = file.read_bytes()
    assert written.count(b"\n") == written.count(b"\r\n")
    assert load(tmp_path).device


def test_what_cannot_be_written_leaves_the_file_as_it_is(tmp_path):
    configured(tmp_path, OLD)
    (tmp_path / "gateway.toml.new").mkdir()
    with pytest.raises(ConfigError, match="nothing was changed"):
        add(tmp_path, propose([found()], []))
    assert (tmp_path / "gateway.toml").read_text() == OLD


def test_a_configuration_behind_a_link(tmp_path):
    (tmp_path / "real.toml").write_text(OLD)
    (tmp_path / "gateway.toml").symlink_to("real.toml")
    add(tmp_path, propose([found()], []))
    assert (tmp_path / "gateway.toml").is_symlink()
    assert "[[device]]" in (tmp_path / "real.toml").read_text()


def test_a_section_is_text_of_its_own():
    text = section(propose([found()], [])[0])
    assert text.splitlines()[0] == "# found by `wattness discover`: Acme Sun 10 A1; certain, SunSpec model 103"
    assert text.splitlines()[1:3] == ["[[device]]", 'name = "acme-sun-10-pv"']


class Keyboard(io.StringIO):
    def isatty(self):
        return True


@contextmanager
def a_network(port):
    """A SunSpec inverter at 127.0.0.2 and a hybrid without proof at 127.0.0.3, served by another thread."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def serve():
        served, device = WORLD["served"], WORLD["Device"]
        async with (
            served("127.0.0.2", port, device(INVERTER)),
            served("127.0.0.3", port, device(WORLD["DEYE"])),
        ):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture
def wattness(tmp_path, monkeypatch, capsys):
    """Run the command line on a home; `typed` is what a person at the keyboard answers."""
    monkeypatch.setenv("WATTNESS_HOME", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setattr(scan, "PAUSE_MS", 10)
    (tmp_path / "gateway.toml").write_text(OLD)
    umask = os.umask(0o022)
    os.umask(umask)

    def run(*arguments, typed=None):
        monkeypatch.setattr(sys, "argv", ["wattness", "discover", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO() if typed is None else Keyboard(typed))
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code, output.out, output.err

    yield run
    os.umask(umask)


LAN = ("--lan", "127.0.0.0/29", "--units", "1")


def names(home):
    return [device.name for device in load(home).device]


def test_the_command_from_end_to_end(wattness, tmp_path, port):
    with a_network(port):
        scanned = (*LAN, "--port", str(port))
        code, out, error = wattness(*scanned)
        assert (code, names(tmp_path)) == (0, [])
        assert "nobody to ask" in error
        for words in ("acme-sun-10-pv", "10000 W", "certain", "answers like deye_sunsynk_1p", "Nothing was added."):
            assert words in out
        for answer in ("no\n", "\n", "", "perhaps\n99\nn\n"):
            code, out, _ = wattness(*scanned, typed=answer)
            assert (code, names(tmp_path), "Nothing was added" in out) == (0, [], True)
        code, out, _ = wattness(*scanned, "--json")
        facts = json.loads(out)
        assert [one["confidence"] for one in facts["found"]] == ["certain"] + ["possible"] * 4
        assert (facts["complete"], facts["added"], facts["counts"]["open"]) == (True, [], 2)
        assert names(tmp_path) == []
        assert "wattness device key new" in wattness(*scanned, typed="yes\n")[1]
        assert names(tmp_path) == ["acme-sun-10-pv"]
        code, out, _ = wattness(*scanned, typed="3 2\n")
        assert names(tmp_path)[1:] == ["deye-sunsynk-1p-grid", "deye-sunsynk-1p-pv"]
        code, out, _ = wattness(*scanned, "--yes")
        assert "is configured as acme-sun-10-pv" in out
        assert len(names(tmp_path)) == 3
        assert (tmp_path / "gateway.toml").read_text().startswith(OLD)


def test_names_stay_whole_in_a_terminal_of_80_columns(wattness, port, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with a_network(port):
        out = wattness(*LAN, "--port", str(port))[1]
    assert max(map(len, out.splitlines())) <= 80
    for word in ("acme-sun-10-pv", f"tcp://127.0.0.2:{port}", "certain: SunSpec", "by sunspec", "deye-sunsynk-1p-grid"):
        assert word in out


def test_yes_takes_what_is_certain(wattness, tmp_path, port):
    with a_network(port):
        _, out, _ = wattness(*LAN, "--port", str(port), "--yes", "--json")
    assert json.loads(out)["added"] == names(tmp_path) == ["acme-sun-10-pv"]


def test_nothing_found(wattness, port):
    code, out, _ = wattness(*LAN, "--port", str(port))
    assert code == 0
    assert "No device was found." in out
    assert "6 addresses asked: 0 open, 6 refused, 0 without an answer." in out


def test_its_own_network_is_scanned_after_a_yes_only(wattness, port):
    code, _, error = wattness("--port", str(port), typed="n\n")
    assert code == 2
    assert "/24, the network of this machine?" in error
    assert "Nothing was scanned" in error
    assert wattness("--port", str(port))[0] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--lan", "10.0.0.0/8"), "no more than 65536"),
        (("--lan", "10.0.0.0/18"), "--force"),
        (("--lan", "1.1.1.1"), "not private"),
        (("--serial", "/dev/ttyNone"), "There is no port"),
        ((*LAN, "--units", "300"), "units are 0 to 255"),
    ],
)
def test_what_is_refused(wattness, arguments, words):
    code, _, error = wattness(*arguments)
    assert (code, words in error) == (2, True)


def test_while_the_gateway_runs_its_devices_are_left_alone(wattness, tmp_path, port):
    text = device(f"tcp://127.0.0.2:{port}") + device("serial:///dev/null", name="meter", role="grid")
    (tmp_path / "gateway.toml").write_text(text)
    with HomeLock(tmp_path):
        assert "1 left alone" in wattness(*LAN, "--port", str(port))[1]
        code, _, error = wattness("--serial", "/dev/null")
    assert code == 2
    assert "The gateway is reading from /dev/null; stop it" in error


def test_a_port_that_is_no_serial_port(wattness):
    code, out, _ = wattness("--serial", "/dev/null")
    assert code == 0
    assert "another program may have it" in " ".join(out.split())
    assert wattness("--serial", __file__)[::2] == (2, f"{__file__} is no serial port; give one as /dev/ttyUSB0.\n")


def test_ctrl_c_at_the_question_changes_nothing(wattness, tmp_path, port, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    with a_network(port):
        code, out, _ = wattness(*LAN, "--port", str(port), typed="")
    assert (code, names(tmp_path)) == (0, [])
    assert "Nothing was added." in out


def test_a_broken_configuration_is_said_before_anything_is_scanned(wattness, tmp_path):
    (tmp_path / "gateway.toml").write_text("[mqtt\n")
    code, _, error = wattness(*LAN)
    assert code == 2
    assert "gateway.toml: cannot be read" in error


async def test_who_is_heard_by_bluetooth():
    air = Air()
    client, scanner = await _bumble["backends"](air)
    victron = VictronDevice(air, "v1", bytes([1] * 16), BATTERY)
    await victron.show(battery_record(13_000, -1500, 805))
    async with monitor(air, KINDS["jbd"](Pack()), "pack"):
        heard = await nearby.listen(0.5, Backends(client, scanner))
    assert sorted(one.kind for one in heard) == ["jbd", "victron"]
    await victron.hide()
    await air.close()
