"""What the configuration may say of devices by Bluetooth, and what holds of what was heard of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattness.clock import Clock
from wattness.devices import Device, parse_address
from wattness.errors import ConfigError
from wattness.ingest import heard
from wattness.ingest.ble import Counters
from wattness.ingest.blekinds import kind_of
from wattness.ingest.bleradio import Radio
from wattness.ingest.heard import HeardDevice
from wattness.ingest.origin import Uptime
from wattness.modbus.line import SilentError
from wattwire.errors import WireError

KEY = bytes([1] * 16)
PACK = Device("pack", "ble:C0:FF:EE:00:00:01", "battery", "jbd", period_ms=100)


@pytest.mark.parametrize(
    "url", ["ble:", "ble://C0:FF:EE:00:00:01", "ble:C0:FF:EE:00:00", "ble:C0:FF:EE:00:00:0G", "ble:x"]
)
def test_places_that_are_none_are_refused(url):
    with pytest.raises(ConfigError, match="url"):
        parse_address(url, "url")


def test_places_by_bluetooth():
    assert parse_address("ble:c0:ff:ee:00:00:01", "url")[:2] == ("ble", "C0:FF:EE:00:00:01")
    apple = "3D2B7C61-0F0E-4C55-9D5B-6A1D6A3C2B10"
    assert parse_address(f"ble:{apple.lower()}", "url")[:2] == ("ble", apple)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"profile": "sunspec"}, "one of the profiles jbd"),
        ({"profile": "jbd", "points": ["speed"]}, "no point 'speed'"),
        ({"profile": "jbd", "role": "grid"}, "role 'battery'"),
        ({"profile": "jbd", "key_file": "x"}, "key_file is for a Victron"),
        ({"profile": "jbd", "awake_mv": 13000}, "awake_mv is for a vehicle"),
        ({"profile": "victron"}, "key_file must name"),
        ({"profile": "victron_solar", "key_file": "x"}, "role 'pv'"),
        ({"profile": "jbd", "role": "vehicle"}, "no vehicle 'jbd'"),
        ({"profile": "sae_j1979", "role": "vehicle", "points": ["height"]}, "no signal 'height'"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, words):
    settings = {"name": "pack", "url": "ble:C0:FF:EE:00:00:01", "role": "battery"} | changes
    with pytest.raises(ConfigError, match=words):
        kind_of(Device(**settings))


def test_keys_are_private_and_whole_and_places_are_taken_once(tmp_path):
    radio = Radio(tmp_path, Uptime(Clock()))
    radio.device(PACK)
    with pytest.raises(ConfigError, match="another device"):
        radio.device(PACK)
    shunt = Device("shunt", "ble:C0:FF:EE:00:00:02", "battery", "victron", key_file="v.key")
    with pytest.raises(ConfigError, match="cannot be read"):
        radio.device(shunt)
    (tmp_path / "v.key").write_text(KEY.hex())
    (tmp_path / "v.key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        radio.device(shunt)
    (tmp_path / "v.key").chmod(0o600)
    (tmp_path / "v.key").write_text(KEY.hex()[2:])
    with pytest.raises(ConfigError, match="32 hexadecimal digits"):
        radio.device(shunt)
    assert KEY.hex() not in repr(shunt)


class Time:
    def __init__(self):
        self.ns = 0

    def __call__(self):
        return self.ns


async def test_values_grow_old_and_none_is_no_value(monkeypatch):
    monkeypatch.setattr(heard, "FRESH_MS", 1500)
    time = Time()
    device = HeardDevice(PACK, kind_of(PACK), Uptime(Clock(), time))
    with pytest.raises(SilentError, match="nothing is heard"):
        await device.poll()
    device.put({"voltage": (5248, -2), "soc": (81, 0)})
    assert (await device.poll()).row == [None, 5248, None, 81]
    time.ns = 1_000_000_000
    device.put({"soc": None, "current": (0, 0)})
    assert (await device.poll()).row == [None, 5248, 0, None]
    time.ns = 2_000_000_000
    assert (await device.poll()).row == [None, None, 0, None]
    device.fail(WireError("wrong_key", "of another key"))
    time.ns = 3_000_000_000
    with pytest.raises(SilentError, match="of another key"):
        await device.poll()
    assert device.errors == 1


Number = st.tuples(st.integers(), st.integers(-12, 12))


@given(st.dictionaries(st.sampled_from(["power", "voltage", "current", "soc", "other"]), st.none() | Number))
def test_whatever_is_heard_is_exact_or_no_value(points):
    device = HeardDevice(PACK, kind_of(PACK), Uptime(Clock(), Time()), Counters())
    device.put(points)
    row = device._row() or [None] * 4
    for (name, _, exponent), value in zip(device.kind.points, row, strict=True):
        if value is not None:
            integer, own = points[name]
            assert value == integer * 10 ** (own - exponent)
            assert abs(value) < 1 << 62
