"""decode registers: dumps and exchanges as people record them, good and bad."""

import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.client.mixin import ModbusClientMixin as Pymodbus

from wattness.errors import ConfigError, RejectedError
from wattness.profiles import find_profile, profile_ids, profiles_dir
from wattness.registers import decimal, decode_exchanges, decode_registers
from wattwire import modbus

NAN = math.nan
MARKER = {0: 0x5375, 1: 0x6E53}


def words(address: int, kind: str, value: Any) -> dict[int, int]:
    found = Pymodbus.convert_to_registers(value, getattr(Pymodbus.DATATYPE, kind))
    return {address + index: word for index, word in enumerate(found)}


def floats(values: dict[int, float]) -> dict[str, int]:
    found: dict[int, int] = {}
    for address, value in values.items():
        found |= words(address, "FLOAT32", value)
    return text_keys(found)


def text_keys(registers: dict[int, int]) -> dict[str, int]:
    return {str(address): word for address, word in registers.items()}


def device(base: int, models: list[tuple[int, int, dict[int, int]]], *, end: bool = True) -> dict[str, Any]:
    """A SunSpec dump: each model as (id, length, {offset: word}), all other registers of a model 0."""
    registers = {base + offset: word for offset, word in MARKER.items()}
    at = base + 2
    for model, length, content in models:
        registers |= dict.fromkeys(range(at, at + 2 + length), 0)
        registers |= {at: model, at + 1: length}
        registers |= {at + offset: word for offset, word in content.items()}
        at += 2 + length
    if end:
        registers |= {at: 0xFFFF, at + 1: 0}
    return {"holding": text_keys(registers)}


COMMON = (1, 65, words(2, "STRING", "Fronius") | words(50, "STRING", "30123456"))
INVERTER = (
    103,
    50,
    {2: 1234, 6: 0xFFFE, 10: 2301, 13: 0xFFFF, 14: 1500, 15: 0, 16: 4998, 17: 0xFFFE, 22: 9990, 23: 0xFFFE}
    | {24: 1, 25: 2, 26: 1, 31: 0x8000, 32: 0, 33: 0xFFC9, 37: 0xFFFF, 38: 4},
)
METER = (203, 105, {18: 0xFA24, 22: 0, 38: 0, 39: 0, 46: 0, 47: 5000, 54: 0, 8: 2299, 15: 0xFFFF})
STORAGE = (124, 24, {8: 6550, 22: 0xFFFE, 11: 4, 24: 0x8000, 10: 480})


def value(figures: dict[str, Any], name: str) -> Any:
    point = figures["points"][name]
    return None if point is None else (point["value"], point["unit"])


def test_a_meter_of_floats():
    dump = {"input": floats({0: 230.1, 6: NAN, 12: -1234.5, 30: 0.98, 70: 49.98, 72: 1234.567, 74: 0.0})}
    figures = decode_registers("eastron_sdm120", dump)
    assert value(figures, "voltage") == value(figures, "voltage_l1") == (230.1, "V")
    assert value(figures, "power") == (-1234.5, "W")
    assert value(figures, "power_factor") == (0.98, "1")
    assert value(figures, "frequency") == (49.98, "Hz")
    assert value(figures, "energy_import") == (1234567, "Wh")
    assert value(figures, "energy_export") == (0, "Wh")
    assert figures["points"]["current"] is None
    assert figures["points"]["apparent_power"] is None
    assert '"voltage": {"value": 230.1, "unit": "V"}' in json.dumps(figures)


def test_half_a_float_is_no_value():
    dump = {"input": floats({12: 100.0, 52: 5.0})}
    del dump["input"]["13"]
    figures = decode_registers("eastron_sdm630", dump)
    assert figures["points"]["power_l1"] is None
    assert value(figures, "power") == (5.0, "W")


def test_holding_registers_are_not_input_registers():
    assert decode_registers("eastron_sdm120", {"holding": floats({12: 100.0})})["points"]["power"] is None


@pytest.mark.parametrize("base", [40000, 0, 50000])
@pytest.mark.parametrize("end", [True, False])
def test_sunspec_walk(base: int, end: bool):  # noqa: FBT001 (pytest's parameter)
    figures = decode_registers("sunspec", device(base, [COMMON, INVERTER], end=end))
    assert value(figures, "power") == (1500, "W")
    assert value(figures, "current") == (12.34, "A")
    assert value(figures, "voltage_l1") == (230.1, "V")
    assert value(figures, "frequency") == (49.98, "Hz")
    assert value(figures, "power_factor") == (0.999, "1")
    assert value(figures, "energy_export") == (655380, "Wh")
    assert value(figures, "temperature") == (-5.5, "Cel")
    assert value(figures, "state") == (4, "1")
    assert figures["points"]["dc_power"] is None
    assert figures["identity"]["manufacturer"] == "Fronius"
    assert figures["identity"]["serial"] == "30123456"
    assert [(model["model"], model["base"]) for model in figures["models"]] == [(1, base + 2), (103, base + 69)]


def test_a_model_1_of_66_registers():
    figures = decode_registers("sunspec", device(40000, [(1, 66, {}), INVERTER]))
    assert value(figures, "power") == (1500, "W")


def test_what_is_not_implemented_is_null():
    nothing = (101, 50, {2: 0xFFFF, 6: 0, 10: 2300, 13: 0x8000, 14: 0x8000, 15: 0, 16: 5000, 17: 11, 38: 0xFFFF})
    points = decode_registers("sunspec", device(40000, [COMMON, nothing]))["points"]
    for name in ("current", "voltage_l1", "power", "frequency", "energy_export", "state"):
        assert points[name] is None, name


def test_an_inverter_keeps_its_own_points_beside_a_meter_and_a_battery():
    figures = decode_registers("sunspec", device(40000, [COMMON, STORAGE, INVERTER, METER]))
    assert value(figures, "power") == (1500, "W")
    assert value(figures, "soc") == (65.5, "%")
    assert value(figures, "state") == (4, "1")
    assert "energy_import" not in figures["points"]
    assert figures["points"]["battery_voltage"] is None
    meter = figures["models"][-1]
    assert meter["profile"] == "sunspec_meter_int"
    assert value(meter, "power") == (-1500, "W")
    assert value(meter, "energy_import") == (5000, "Wh")
    assert meter["points"]["energy_export"] is None


def test_a_second_device_behind_its_own_common_model_stays_apart():
    figures = decode_registers("sunspec", device(40000, [COMMON, STORAGE, COMMON, METER]))
    assert "power" not in figures["points"]
    assert value(figures["models"][-1], "power") == (-1500, "W")


def test_the_float_model_fills_what_the_integer_model_lacks():
    silent = (103, 50, {14: 0x8000, 16: 5000, 17: 0xFFFE})
    floating = (113, 60, words(22, "FLOAT32", 987.6) | words(24, "FLOAT32", 60.0))
    figures = decode_registers("sunspec", device(40000, [COMMON, silent, floating]))
    assert value(figures, "power") == (987.6, "W")
    assert value(figures, "frequency") == (50.0, "Hz")


def test_strings_repeat_as_often_as_the_model_is_long():
    strings = (160, 48, {2: 0xFFFE, 4: 0, 8: 2, 19: 512, 21: 3000, 39: 480, 41: 0})
    figures = decode_registers("sunspec", device(40000, [COMMON, strings]))
    assert value(figures, "dc_current_1") == (5.12, "A")
    assert value(figures, "dc_power_2") == (0, "W")
    assert "dc_power_3" not in figures["points"]
    assert figures["points"]["energy_export_1"] is None


def test_strings_beyond_the_count_have_no_value():
    dump = device(40000, [COMMON, (160, 68, {4: 0, 8: 2, 21: 3000, 41: 0, 61: 0})])
    figures = decode_registers("sunspec", dump)
    assert value(figures, "dc_power_1") == (3000, "W")
    assert value(figures, "dc_power_2") == (0, "W")
    assert figures["points"]["dc_power_3"] is None
    del dump["holding"]["40077"]  # N itself
    assert decode_registers("sunspec", dump)["points"]["dc_power_1"] is None


def test_a_battery_of_model_802():
    battery = (802, 62, {11: 805, 56: 0xFFFF, 13: 0xFFFF, 47: 0xFDB1, 63: 1, 44: 3, 61: 0, 34: 4800, 59: 0xFFFE})
    figures = decode_registers("sunspec", device(0, [COMMON, battery]))
    assert value(figures, "soc") == (80.5, "%")
    assert figures["points"]["soh"] is None
    assert value(figures, "power") == value(figures, "dc_power") == (-5910, "W")
    assert value(figures, "dc_voltage") == (48.0, "V")


def test_one_models_profile_finds_its_model():
    dump = device(50000, [COMMON, INVERTER, METER])
    assert value(decode_registers("sunspec_meter_int", dump), "power") == (-1500, "W")
    assert decode_registers("sunspec_common", dump)["identity"]["serial"] == "30123456"
    with pytest.raises(RejectedError, match="no SunSpec model 111, 112, 113"):
        decode_registers("sunspec_inverter_float", dump)


def test_one_model_alone_counts_from_its_id():
    assert value(decode_registers("sunspec_inverter_int", {"holding": {"14": 1234, "15": 0xFFFF}}), "power") == (
        123.4,
        "W",
    )
    assert value(
        decode_registers("sunspec_inverter_int", {"holding": text_keys({0: 101, 1: 50, 14: 7, 15: 0})}), "power"
    ) == (7, "W")
    with pytest.raises(RejectedError):
        decode_registers("sunspec_inverter_int", {"holding": text_keys({0: 101, 1: 65535, 14: 7, 15: 0})})
    with pytest.raises(RejectedError):
        decode_registers("sunspec_inverter_int", {"holding": text_keys({0: 203, 1: 105, 14: 7, 15: 0})})


def test_a_dump_without_sunspec_is_refused():
    with pytest.raises(RejectedError, match="no SunSpec map"):
        decode_registers("sunspec", {"holding": {"40000": 1}})


def exchange(unit: int, fc: int, address: int, registers: list[int]) -> list[str]:
    body = bytes((unit, fc, 2 * len(registers))) + struct.pack(f">{len(registers)}H", *registers)
    return [modbus.read_request(unit, fc, address, len(registers)).hex(), modbus.seal(body).hex()]


def test_exchanges_of_a_meter():
    power = exchange(1, 4, 12, [0x449A, 0x5000])
    figures = decode_exchanges("eastron_sdm120", [power, exchange(1, 4, 0, [0x4366, 0x199A])])
    assert value(figures, "power") == (1234.5, "W")
    assert value(figures, "voltage") == (230.1, "V")
    assert figures["problems"] == []


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (exchange(1, 4, 12, [0x449A, 0x5000])[1][:-2] + "00", "bad_crc"),
        (exchange(2, 4, 12, [0x449A, 0x5000])[1], "wrong_unit"),
        (exchange(1, 3, 12, [0x449A, 0x5000])[1], "wrong_function"),
        (exchange(1, 4, 12, [0x449A])[1], "wrong_length"),
        (exchange(1, 4, 12, [0x449A, 0x5000])[1][:-2], "cut short"),
        (exchange(1, 4, 12, [0x449A, 0x5000])[1] + "00", "wrong_length"),
        (exchange(1, 4, 12, [0x449A, 0x5000])[1] * 2, "wrong_length"),
        (modbus.seal(b"\x01\x84\x06").hex(), "device_busy"),
        ("", "cut short"),
    ],
)
def test_an_answer_that_does_not_match_gives_no_value(answer: str, problem: str):
    request = exchange(1, 4, 12, [0, 0])[0]
    figures = decode_exchanges("eastron_sdm120", [[request, answer]])
    assert figures["points"]["power"] is None
    assert len(figures["problems"]) == 1
    assert problem in figures["problems"][0]


def test_a_scale_factor_of_another_answer_does_not_count():
    registers = {int(key): word for key, word in device(40000, [COMMON, INVERTER])["holding"].items()}

    def read(address: int, count: int) -> list[str]:
        return exchange(1, 3, address, [registers[at] for at in range(address, address + count)])

    headers = [read(40000, 2), read(40002, 2), read(40069, 2), read(40121, 2)]
    together = decode_exchanges("sunspec", [*headers, read(40083, 2)])
    assert value(together, "power") == (1500, "W")
    apart = decode_exchanges("sunspec", [*headers, read(40083, 1), read(40084, 1)])
    assert apart["points"]["power"] is None


@pytest.mark.parametrize(
    ("dump", "says"),
    [
        ([], "must be an object"),
        ({"coils": {}}, r"\$\.coils"),
        ({"input": []}, r"\$\.input"),
        ({"input": {"0": 70000}}, "0 to 65535"),
        ({"input": {"0": -1}}, "0 to 65535"),
        ({"input": {"0": True}}, "0 to 65535"),
        ({"input": {"0": 1.5}}, "0 to 65535"),
        ({"input": {"0": "1"}}, "0 to 65535"),
        ({"input": {"70000": 1}}, "not a register's address"),
        ({"input": {"-1": 1}}, "not a register's address"),
        ({"input": {"one": 1}}, "not a register's address"),
        ({"input": {"²": 1}}, "not a register's address"),
        ({"input": {"1_0": 1}}, "not a register's address"),
        ({"input": {"": 1}}, "not a register's address"),
        ({"input": {"16": 1, "0x10": 2}}, "there twice"),
    ],
)
def test_a_bad_dump_is_an_error_in_one_sentence(dump: Any, says: str):
    with pytest.raises(ConfigError, match=says):
        decode_registers("eastron_sdm120", dump)


@pytest.mark.parametrize(
    ("exchanges", "says"),
    [
        ({}, "must be a list"),
        ([["00"]], r"\$\[0\]: must be"),
        ([[1, 2]], r"\$\[0\]\[0\]: must be text"),
        ([["zz", ""]], r"\$\[0\]\[0\]"),
        ([["0104000c0002b1c9ff", ""]], r"\$\[0\]\[0\]: trailing_bytes"),
        ([["0104000c00020000", ""]], r"\$\[0\]\[0\]: bad_crc"),
        ([exchange(1, 4, 0, [1]), exchange(2, 4, 0, [1])], "several units: 1, 2"),
    ],
)
def test_bad_exchanges_are_an_error_in_one_sentence(exchanges: Any, says: str):
    with pytest.raises(ConfigError, match=says):
        decode_exchanges("eastron_sdm120", exchanges)


def test_profiles_are_found_by_id_and_by_file(tmp_path: Path):
    assert {"eastron_sdm120", "eastron_sdm630", "sunspec_inverter_int"} <= set(profile_ids())
    assert "schema" not in profile_ids()
    copy = tmp_path / "mine.json"
    copy.write_bytes((profiles_dir() / "eastron_sdm120.json").read_bytes())
    assert find_profile(str(copy)) == find_profile("eastron_sdm120")
    for name, says in (
        ("nonesuch", "no profile"),
        ("../schema", "cannot be read"),
        (str(tmp_path / "x.json"), "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=says):
            find_profile(name)
    copy.write_text('{"id": 7}')
    with pytest.raises(ConfigError, match=r"\$\.id"):
        find_profile(str(copy))


def test_decimals_print_as_they_are():
    assert (
        json.dumps([decimal(2301, -1), decimal(-5, 2), decimal(123456789, -4), decimal(0, -3)])
        == "[230.1, -500, 12345.6789, 0.0]"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@settings.get_profile("parsers")
@given(st.sampled_from(["sunspec", *profile_ids()]), JSON)
def test_any_json_gives_points_or_an_error(name: str, dump: Any):
    for decode in (decode_registers, decode_exchanges):
        try:
            figures = decode(name, dump)
        except (ConfigError, RejectedError):
            continue
        assert "points" in figures


@settings.get_profile("parsers")
@given(st.sampled_from(["sunspec", *profile_ids()]), st.dictionaries(st.integers(0, 160), st.integers(0, 65535)))
def test_any_registers_give_points_or_an_error(name: str, registers: dict[int, int]):
    try:
        figures = decode_registers(name, {"holding": text_keys(MARKER | registers), "input": text_keys(registers)})
    except RejectedError:
        return
    json.dumps(figures, allow_nan=False)
