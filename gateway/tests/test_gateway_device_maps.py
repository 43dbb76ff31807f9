"""decode registers with every profile that comes along: frames, dumps, roles and their signs."""

import json
from typing import Any

import pytest

from wattness.errors import ConfigError, RejectedError
from wattness.profiles import find_profile, profile_ids, profiles_dir
from wattness.registers import decimal, decode_exchanges, decode_registers
from wattwire import profile

CASES = [
    (name, case)
    for name in profile_ids()
    for case in json.loads((profiles_dir() / "frames" / f"{name}.json").read_text())["cases"]
    if not case.get("walk")
]


def figures(loaded: profile.Profile, values: dict[str, Any], role: str | None) -> dict[str, Any]:
    """Return what decode should print, given the frames' own values."""
    pairs = {name: None if value is None else tuple(value) for name, value in values.items()}
    turned = profile.orient(pairs, loaded, role) if role else pairs
    return {name: None if value is None else decimal(*value) for name, value in turned.items()}


def shown(decoded: dict[str, Any], names: Any) -> dict[str, Any]:
    found = {name: decoded["points"][name] for name in names}
    return {name: None if point is None else point["value"] for name, point in found.items()}


@pytest.mark.parametrize(("name", "case"), CASES, ids=lambda value: value["what"] if isinstance(value, dict) else value)
def test_every_profile_decodes_its_frames_and_their_dump(name: str, case: dict[str, Any]):
    loaded, role = find_profile(name, case["role"]), case["role"]
    headers = {str(case["base"]): loaded.models[0], str(case["base"] + 1): case["length"]} if loaded.models else {}
    texts = [item.name for item in loaded.identity]
    decoded = decode_exchanges(name, case["exchanges"], role)
    if case["values"].keys() <= set(texts) or loaded.models:
        return  # a model's place is found by a walk, which these frames do not have
    assert shown(decoded, case["values"]) == figures(loaded, case["values"], role)
    dump: dict[str, dict[str, int]] = {"holding": headers, "input": {}}
    width = loaded.manner.width
    for request, answer in case["exchanges"]:
        asked, data = bytes.fromhex(request), bytes.fromhex(answer)
        if data[1] & 0x80:
            continue
        first = int.from_bytes(asked[2:4], "big")
        for index in range(int.from_bytes(asked[4:6], "big")):
            word = data[3 + width * index :][:width]
            dump[{3: "holding", 4: "input"}[asked[1]]][str(first + index)] = int.from_bytes(word, "big")
    assert shown(decode_registers(name, dump, role), case["values"]) == figures(loaded, case["values"], role)


HYBRID = {"175": 500, "186": 1200, "187": 800, "169": 65236, "190": 300, "191": 65436, "184": 55, "178": 700}


def test_a_hybrid_is_itself_and_each_of_its_roles():
    counters = {"78": 0x1234, "79": 5003, "80": 2, "81": 10, "82": 0, "96": 7, "97": 1}
    decoded = decode_registers("deye_sunsynk_1p", {"holding": HYBRID | counters})
    assert decoded["points"]["power"] == {"value": 500, "unit": "W"}
    assert decoded["points"]["soc"] == {"value": 55, "unit": "%"}
    assert decoded["points"]["battery_power"] == {"value": -300, "unit": "W"}, "+ is charging"
    assert decoded["points"]["energy_export"] == {"value": 6_554_300, "unit": "Wh"}
    assert "energy_import" not in decoded["points"], "the grid's counter is not the inverter's"
    roles = {role: section["points"] for role, section in decoded["roles"].items()}
    assert sorted(roles) == ["battery", "grid", "load", "pv"]
    assert roles["pv"]["power"]["value"] == 2000
    assert roles["grid"]["power"]["value"] == -300, "+ is import"
    assert roles["grid"]["energy_import"]["value"] == (2 * 65536 + 0x1234) * 100
    assert roles["battery"]["power"]["value"] == -300, "the device's + is discharge, ours is charging"
    assert roles["battery"]["battery_current"]["value"] == 1.0
    assert roles["load"]["power"]["value"] == 700
    alone = decode_registers("deye_sunsynk_1p", {"holding": HYBRID}, "battery")
    assert alone["points"]["power"]["value"] == -300
    assert "roles" not in alone


def test_a_sum_wants_all_its_parts():
    decoded = decode_registers("deye_sunsynk_1p", {"holding": {"186": 1200}}, "pv")
    assert decoded["points"]["power"] is None
    assert decoded["points"]["dc_power_1"]["value"] == 1200
    split = decode_registers("deye_sunsynk_1p", {"holding": {"78": 5}}, "grid")
    assert split["points"]["energy_import"] is None


def test_registers_of_four_bytes():
    held = {"72": 2_301_234, "74": 1_234_567, "75": 98_765, "78": 0x01000000, "82": 50_000}
    points = decode_registers("jsy_mk_194", {"holding": held})["points"]
    assert points["voltage"] == {"value": 230.1234, "unit": "V"}
    assert points["power"] == {"value": -123.4567, "unit": "W"}
    assert points["power_2"] == {"value": 5.0, "unit": "W"}
    assert points["energy_import"] == {"value": 9876.5, "unit": "Wh"}
    assert decode_registers("jsy_mk_194_ch2", {"holding": held})["points"]["power"]["value"] == 5.0
    with pytest.raises(ConfigError, match="from 0 to 4294967295"):
        decode_registers("jsy_mk_194", {"holding": {"72": 1 << 32}})
    standard = decode_exchanges("jsy_mk_194", [["010300480001043c"[:12] + "041c", "0103020001" + "7984"]])
    assert standard["points"]["voltage"] is None
    assert standard["problems"]


def test_a_role_that_a_device_does_not_have():
    with pytest.raises(ConfigError, match="no points for a load"):
        decode_registers("huawei_sun2000", {"holding": {}}, "load")
    for name in ("huawei_sun2000", "sunspec", "eastron_sdm120"):
        with pytest.raises(ConfigError, match="There is no role 'toaster'"):
            decode_registers(name, {"holding": {}}, "toaster")


def test_profiles_that_walk():
    words = {40000: 0x5375, 40001: 0x6E53, 40002: 103, 40003: 50, 40016: 0xFA24, 40017: 0, 40054: 0xFFFF, 40055: 0}
    dump = {"holding": {str(at): word for at, word in words.items()}}
    for name in ("sma_sunspec", "fronius_sunspec", "sunspec"):
        assert decode_registers(name, dump)["points"]["power"]["value"] == -1500
        assert decode_registers(name, dump, "pv")["points"]["power"]["value"] == -1500
        with pytest.raises(RejectedError, match="no SunSpec model for a grid"):
            decode_registers(name, dump, "grid")


def test_what_the_sources_leave_open_is_unsettled():
    open_points = {
        (name, role): profile.unsettled(loaded, [point.name for point in loaded.points])
        for name in profile_ids()
        for role in (find_profile(name).roles or (None,))
        if (loaded := find_profile(name, role))
    }
    found = {key: names for key, names in open_points.items() if names}
    assert found == {
        ("carlo_gavazzi_em24_rtu", None): ["energy_import"],
        ("sungrow_sh", "battery"): ["power", "battery_power", "battery_current"],
        ("sunspec_battery", None): ["dc_current", "power", "dc_power"],
        ("pylontech_rt_ble", "battery"): ["power", "battery_power"],
        ("pzem_004t_v3", "pv"): ["energy_export"],
    }
