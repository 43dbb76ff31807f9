"""A board's configuration where streams come by radio: refusals name the path."""

import copy
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from wattboard import config, radio_catalog
from wattboard.errors import ConfigError

VEHICLES = Path(__file__).parents[1] / "profiles" / "vehicles"
GOOD = {
    "gateway": "ab" * 32,
    "link_key": "cd" * 32,
    "mqtt": {"host": "h", "port": 1883, "user": "u", "password": "p"},
    "wifi": {"ssid": "s"},
    "streams": [{"role": "vehicle", "profile": "vw_meb", "unit": 1, "period_ms": 5000, "ble": {"name": "OBDII"}}],
}
HOME = {"role": "battery", "profile": "jbd", "unit": 2, "period_ms": 5000, "ble": {"address": "c0:ff:ee:00:00:01"}}


def changed(**changes: Any) -> str:
    return json.dumps(copy.deepcopy(GOOD) | changes)


def test_a_radio_needs_no_bus():
    assert "bus" not in config.parse(changed())
    assert config.parse(changed(streams=[HOME]))["streams"][0]["ble"] == {"address": "c0:ff:ee:00:00:01"}


@pytest.mark.parametrize(
    ("streams", "path"),
    [
        ([HOME, *GOOD["streams"]], r"\$\.streams\[1\]: a vehicle is read by ble, and alone"),
        ([{**GOOD["streams"][0], "ble": None}], r"\$\.bus: is missing"),
        ([{**HOME, "ble": {"address": "c0ffee"}}], r"\$\.streams\[0\]\.ble\.address"),
        ([{**HOME, "ble": {"address": "zzffee000001"}}], r"\$\.streams\[0\]\.ble\.address"),
        ([{**HOME, "ble": {"key": "zz" * 16}}], r"\$\.streams\[0\]\.ble\.key"),
        ([{**HOME, "ble": {"uuid": "ff00"}}], r"\$\.streams\[0\]\.ble\.uuid: no such key"),
        ([{**HOME, "ble": {"awake_mv": 5}}], r"\$\.streams\[0\]\.ble\.awake_mv"),
    ],
)
def test_refusals(streams: list[Any], path: str):
    with pytest.raises(ConfigError, match=path):
        config.parse(changed(streams=streams))


def text_of(name: str) -> bytes | None:
    path = VEHICLES / f"{name.removeprefix('vehicles/')}.json"
    return path.read_bytes() if path.exists() else None


def read(**changes: Any) -> Any:
    return radio_catalog.read({**HOME, **changes}, "$.streams[0]", text_of)


def test_points_have_their_units_and_exponents():
    _, digest, points, unsettled = read(points=["power", "cell_voltage_3", "temperature_1", "soc"])
    assert len(digest) == 16
    assert points == (("power", "W", -4), ("cell_voltage_3", "V", -3), ("temperature_1", "Cel", -1), ("soc", "%", 0))
    assert unsettled == ()
    vehicle, _, points, unsettled = read(role="vehicle", profile="sae_j1979", points=["speed", "power"])
    assert vehicle.id == "sae_j1979"
    assert points == (("speed", "km/h", 0), ("power", "W", -3))
    assert unsettled == ("power",)
    ble = {"address": "c0ffee000001", "key": "00" * 16}
    for profile in radio_catalog.VICTRON_KINDS:
        assert read(profile=profile, ble=ble)[2][0][0] == "power"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"profile": "pylontech"}, "there is no pylontech by radio"),
        ({"points": ["frequency"]}, "jbd has no point frequency"),
        ({"profile": "victron_solar"}, "known by address and key"),
        ({"role": "vehicle", "profile": "tesla"}, "there is no vehicle tesla"),
        ({"role": "vehicle", "profile": "vw_meb", "points": ["soh"]}, "has no signal soh"),
    ],
)
def test_what_there_is_not_is_refused(changes: dict[str, Any], says: str):
    with pytest.raises(ConfigError, match=says):
        read(**changes)


def test_a_decoders_values_are_on_its_exponents():
    suite = runpy.run_path(str(Path(__file__).with_name("suite_radio.py")))
    found = suite["bms"].decoder("jk").feed(suite["jk_frame"]())
    exponents = suite["bms"].decoder("jk").exponents
    assert {name: value[1] for name, value in found.items()} == exponents
