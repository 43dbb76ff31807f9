"""The board's configuration: taken whole, or refused with the path of the key."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattboard import config
from wattboard.errors import ConfigError

GOOD: dict[str, Any] = {
    "gateway": "ab" * 32,
    "link_key": "cd" * 32,
    "mqtt": {"host": "h", "port": 1883, "user": "u", "password": "p", "tls": False},
    "wifi": {"ssid": "s", "password": "p"},
    "bus": {"uart": 1, "baud": 9600, "tx": 17, "rx": 16, "de": None},
    "streams": [{"role": "pv", "profile": "eastron_sdm120", "unit": 1, "period_ms": 10000}],
}


def changed(**changes: Any) -> str:
    return json.dumps({**GOOD, **changes})


def test_defaults_are_filled_in():
    found = config.parse(json.dumps(GOOD))
    assert (found["frame_ms"], found["health_ms"], found["clock_step_ms"]) == (60000, 600000, 1000)
    assert (found["gateway"], found["link_key"]) == (b"\xab" * 32, b"\xcd" * 32)
    assert "de" not in found["bus"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "$: not JSON"),
        ("[]", "$: must be an object"),
        ("{}", "is missing"),
        (" " * 9000, "$: longer"),
        (changed(colour=1), "$.colour: no such key"),
        (changed(gateway="xy" * 32), "$.gateway: must be hexadecimal"),
        (changed(gateway="ab"), "$.gateway: must be 64 to 64"),
        (changed(frame_ms="60000"), "$.frame_ms: must be int"),
        (changed(frame_ms=True), "$.frame_ms: must be int"),
        (changed(frame_ms=999), "$.frame_ms: must be 1000 to 300000"),
        (changed(mqtt={**GOOD["mqtt"], "port": 65536}), "$.mqtt.port"),
        (changed(mqtt={**GOOD["mqtt"], "url": "x"}), "$.mqtt.url: no such key"),
        (changed(mqtt={**GOOD["mqtt"], "tls": True}), "$.mqtt.ca: is missing"),
        (changed(wifi={}), "$.wifi.ssid: is missing"),
        (changed(bus={**GOOD["bus"], "baud": 300}), "$.bus.baud"),
        (changed(streams=[]), "$.streams"),
        (changed(streams=GOOD["streams"] * 9), "$.streams"),
        (changed(streams=GOOD["streams"] * 2), "$.streams[1]: has the unit, role and profile of $.streams[0]"),
        (json.dumps(GOOD)[:-1] + ', "frame_ms": 1000, "frame_ms": 2000}', "$: the key frame_ms is there twice"),
        (json.dumps(GOOD).replace('"port": 1883', '"port": 1, "port" : 1883'), "$: the key port is there twice"),
        (json.dumps(GOOD).replace('"unit": 1', '"unit": 1, "unit": 2'), "$: the key unit is there twice"),
        (changed(streams=["x"]), "$.streams[0]: must be an object"),
        (changed(streams=[{**GOOD["streams"][0], "role": "sun"}]), "$.streams[0].role"),
        (changed(streams=[{**GOOD["streams"][0], "points": ["power", "power"]}]), "$.streams[0].points[1]"),
        (changed(streams=[{**GOOD["streams"][0], "points": [1]}]), "$.streams[0].points[0]"),
    ],
)
def test_what_is_wrong_is_refused_by_its_path(text, words, tmp_path: Path):
    path = tmp_path / "config.json"
    config.store(json.dumps(GOOD), str(path))
    with pytest.raises(config.ConfigError) as found:
        config.store(text, str(path))
    assert words in str(found.value)
    assert config.load(str(path)) == config.parse(json.dumps(GOOD))


@pytest.mark.parametrize("password", ['"port":"port":', "{[", '\\"{:', "\\", "}:"])
def test_what_a_string_holds_is_no_key(password: str):
    text = changed(wifi={"ssid": 'a\\":', "password": password})
    assert config.parse(text)["wifi"]["password"] == password


def test_one_unit_may_be_several_streams():
    streams = [{**GOOD["streams"][0], "role": role} for role in ("pv", "battery")]
    assert len(config.parse(changed(streams=streams))["streams"]) == 2


def test_no_file_is_no_configuration(tmp_path: Path):
    assert config.load(str(tmp_path / "config.json")) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
PARTS = {"mqtt": config.MQTT, "wifi": config.WIFI, "bus": config.BUS, "led": config.LED}


@settings.get_profile("parsers")
@given(st.text(max_size=300))
def test_any_text_is_a_configuration_or_refused(text: str):
    with contextlib.suppress(ConfigError):
        config.parse(text)


@settings.get_profile("parsers")
@given(
    st.dictionaries(st.sampled_from(sorted(config.TOP)), JSON, max_size=3),
    st.sampled_from(sorted(PARTS)),
    st.dictionaries(st.sampled_from(sorted({key for part in PARTS.values() for key in part})), JSON, max_size=3),
    st.dictionaries(st.sampled_from(sorted(config.STREAM)), JSON, max_size=3),
)
def test_any_json_is_a_configuration_or_refused(top: dict, name: str, part: dict, stream: dict):
    form = {**GOOD, name: {**GOOD.get(name, {}), **part}, "streams": [{**GOOD["streams"][0], **stream}], **top}
    with contextlib.suppress(ConfigError):
        config.parse(json.dumps(form))
