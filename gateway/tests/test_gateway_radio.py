"""decode elm, bms and victron: what people record of dongles, monitors and adverts, good and bad."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from wattness.cli import app
from wattness.errors import ConfigError
from wattness.radio import decode_bms, decode_elm, decode_victron, find_vehicle, vehicle_ids
from wattwire import bms_jbd, modbus

EGMP = [
    "7EC103D620101FFFFFF", "7EC21FFA52643264803", "7EC2200070EE5121111", "7EC2312121200000000", "7EC2400000000000000",
    "7EC2500000000000000", "7EC2600000000000000", "7EC2700000000000000", "7EC28000000000000AA",
]  # fmt: skip
KEY = "aff4d0995b7d1e176c0c33ecb9e70dcd"
ADVERT = "100289a302b040af925d09a4d89aa0128bdef48c6298a9"
JBD = bms_jbd.answer(3, bytes.fromhex("0542fe0c0fa01388000c2d6d00000000000121500304020baf0b9b")).hex()


def exchange(header: str, request: str, *lines: str) -> dict[str, Any]:
    return {"header": header, "request": request, "lines": list(lines)}


def elm(*exchanges: dict[str, Any], vehicle: str = "hyundai_kia_egmp") -> dict[str, Any]:
    return decode_elm(vehicle, list(exchanges))


def value(found: dict[str, Any], name: str) -> Any:
    figure = found["signals"][name]
    return None if figure is None else (figure["value"], figure["unit"])


def test_an_answer_of_nine_frames():
    found = elm(exchange("7E4", "220101", *EGMP))
    assert value(found, "soc") == (82.5, "%")
    assert value(found, "battery_voltage") == (381.3, "V")
    assert value(found, "battery_current") == (0.7, "A")
    assert value(found, "power") == (266.91, "W")
    assert found["signals"]["odometer"] is None
    assert found["unsettled"] == ["battery_current", "battery_power", "battery_voltage", "power"]
    assert found["problems"] == []


@pytest.mark.parametrize(
    "lines",
    [
        ["220101", *EGMP, ">"],
        ["SEARCHING...", *EGMP],
        ["\r".join(["220101", *EGMP]) + "\r\r>"],
        ["7EC037F227800000000", *EGMP],
        [line.lower() for line in EGMP],
        [f"{line[:3]} " + " ".join(line[at : at + 2] for at in range(3, 19, 2)) + " " for line in EGMP],
        [*EGMP[:2], "7ED0462010132AAAAAA", *EGMP[2:]],
    ],
)
def test_what_adapters_add_does_no_harm(lines: list[str]):
    assert value(elm(exchange("7e4", "22 01 01 9", *lines)), "soc") == (82.5, "%")


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (EGMP[:-1], "truncated"),
        (EGMP[:3] + EGMP[4:], "bad_sequence"),
        ([*EGMP[:4], "STOPPED"], "stopped"),
        (["NO DATA"], "no_data"),
        (["220101"], "no_answer"),
        ([], "no_answer"),
        (["220101" + EGMP[0], *EGMP[1:]], "bad_frame"),
        ([EGMP[0] + EGMP[1], *EGMP[2:]], "bad_frame"),
        ([EGMP[0].replace("620101", "620105"), *EGMP[1:]], "wrong_identifier"),
        ([EGMP[0].replace("620101", "610101"), *EGMP[1:]], "wrong_service"),
        (["7EC037F2231"], "refused"),
        ([*EGMP, "7EC0462010132AAAAAA"], "two_answers"),
        (["0: 62 01 01 FF F7 E7", "1: FF A5"], "bad_frame"),
        (["é" * 19], "bad_frame"),
    ],
)
def test_damage_gives_no_value_and_a_sentence(lines: list[str], problem: str):
    found = elm(exchange("7E4", "220101", *lines))
    assert set(found["signals"].values()) == {None}
    assert found["unsettled"] == []
    assert problem in found["problems"][0]


def test_the_settled_source_of_a_signal_wins_and_the_last_answer_counts():
    vcms = ["74C101462E003010101", "74C2101010101010101", "74C220101011C20A501"]
    found = elm(exchange("744", "22E003", *vcms), exchange("7E4", "220101", *EGMP))
    assert value(found, "battery_voltage") == (720, "V")
    assert "battery_voltage" not in found["unsettled"]
    later = [EGMP[0], "7EC21FFA42643264803", *EGMP[2:]]
    found = elm(exchange("7E4", "220101", *EGMP), exchange("7E4", "220101", *later), exchange("7E4", "220101", "?"))
    assert value(found, "soc") == (82, "%")
    assert len(found["problems"]) == 1


def test_several_identifiers_and_several_ecus():
    found = elm(exchange("7DF", "010D5B", "7E8 05 41 0D 32 5B 80", "7E9 03 41 0D 33"), vehicle="sae_j1979")
    assert value(found, "speed") == (50, "km/h")
    assert found["signals"]["soc"]["value"] == pytest.approx(50.196, abs=1e-3)
    found = elm(exchange("7DF", "010D", "7E803410D00"), vehicle="sae_j1979")
    assert value(found, "speed") == (0, "km/h")
    found = elm(exchange("7DF", "010D5B", "7E805410D325C80"), vehicle="sae_j1979")
    assert set(found["signals"].values()) == {None}


def test_headers_of_29_bits():
    found = elm(exchange("17FC007B", "22028C", "17FE007B0462028C80AAAAAA"), vehicle="vw_meb")
    assert found["signals"]["soc"]["value"] == pytest.approx(128 * 20.4 / 46 - 6.4)


def test_the_vehicles_number_is_no_signal():
    number = b"\x49\x02\x01WVWZZZE1ZKP123456"
    lines = ["7E81014" + number[:6].hex(), "7E821" + number[6:13].hex(), "7E822" + number[13:].hex()]
    found = elm(exchange("7DF", "0902", *lines), vehicle="sae_j1979")
    assert found["vin"] == "WVWZZZE1ZKP123456"
    assert set(found["signals"].values()) == {None}


def test_an_ecu_that_pads_elsewhere_must_pad_here():
    padded = exchange("7DF", "0142", "7E80441423138AAAAAA")
    bare = exchange("7DF", "010D", "7E803410D32")
    assert value(elm(bare, vehicle="sae_j1979"), "speed") == (50, "km/h")
    found = elm(bare, padded, vehicle="sae_j1979")
    assert found["signals"]["speed"] is None
    assert value(found, "aux_voltage") == (12.6, "V")


def test_an_unknown_request_is_a_problem():
    assert "no request 22FFFF" in elm(exchange("7E4", "22FFFF", "7EC0462FFFF01AAAAAA"))["problems"][0]


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({}, "must be a list"),
        ([1], r"\$\[0\]: must have"),
        ([{"header": "7E4", "request": "220101"}], r"\$\[0\]: must have"),
        ([exchange("7E", "220101")], r"\$\[0\]\.header"),
        ([exchange("XYZ", "220101")], r"\$\[0\]\.header"),
        ([exchange("7E4", "")], r"\$\[0\]\.request"),
        ([exchange("7E4", "2E0101")], r"\$\[0\]\.request"),
        ([{"header": "7E4", "request": "220101", "lines": "7EC"}], r"\$\[0\]\.lines"),
        ([{"header": "7E4", "request": "220101", "lines": [1]}], r"\$\[0\]\.lines"),
    ],
)
def test_a_bad_file_is_an_error_in_one_sentence(form: Any, says: str):
    with pytest.raises(ConfigError, match=says):
        decode_elm("hyundai_kia_egmp", form)


def test_vehicles_are_found_by_id_and_by_file(tmp_path: Path):
    assert {"sae_j1979", "hyundai_kia_egmp", "vw_meb", "nissan_leaf"} <= set(vehicle_ids())
    with pytest.raises(ConfigError, match="There is no vehicle 'tesla'; there are"):
        find_vehicle("tesla")
    path = tmp_path / "mine.json"
    with pytest.raises(ConfigError, match="cannot be read"):
        find_vehicle(str(path))
    path.write_text('{"id": 7}')
    with pytest.raises(ConfigError, match=r"\$\.id"):
        find_vehicle(str(path))


def test_jbd_whole_and_in_pieces():
    whole = decode_bms("jbd", {"frames": [JBD]})
    assert value(whole, "voltage") == (13.46, "V")
    assert value(whole, "current") == (-5, "A")
    assert value(whole, "power") == (-67.3, "W")
    assert value(whole, "soc") == (80, "%")
    assert value(whole, "temperature_1") == (26, "Cel")
    assert decode_bms("jbd", {"frames": [JBD[:40], JBD[40:]]}) == whole
    cut = decode_bms("jbd", {"frames": [JBD[:40]]})
    assert cut["signals"]["voltage"] is None
    assert cut["problems"] == ["$.frames: the last frame is cut short."]


def test_any_flipped_bit_of_a_frame_gives_no_value():
    words = [3300] * 16 + [0] * 24 + [132, 30105, 805, *[0] * 5, 1234, 16, 0, 77, *[0] * 10]
    daly = modbus.seal(b"\xd2\x03\x7c" + b"".join(word.to_bytes(2, "big") for word in words)).hex()
    assert value(decode_bms("daly", {"frames": [daly]}), "current") == (10.5, "A")
    for family, frame in (("jbd", JBD), ("daly", daly)):
        for bit in range(4 * len(frame)):
            data = bytearray.fromhex(frame)
            data[bit // 8] ^= 1 << bit % 8
            found = decode_bms(family, {"frames": [data.hex()]})
            assert set(found["signals"].values()) == {None}, bit
            assert found["problems"]


@pytest.mark.parametrize(
    ("family", "form", "says"),
    [
        ("pylontech", {"frames": []}, "There is no family 'pylontech'; there are jbd, daly, jk"),
        ("jbd", [], "must hold"),
        ("jbd", {"frames": [], "more": 1}, "must hold"),
        ("jbd", {"frames": [1]}, r"\$\.frames: must be a list"),
    ],
)
def test_a_bad_bms_file_is_an_error_in_one_sentence(family: str, form: Any, says: str):
    with pytest.raises(ConfigError, match=says):
        decode_bms(family, form)


def test_victron_in_every_form():
    advertisement = "020106" + bytes([3 + len(ADVERT) // 2]).hex() + "ffe102" + ADVERT
    for text in (ADVERT, "e102" + ADVERT, advertisement):
        found = decode_victron(KEY, [text])
        assert value(found, "voltage") == (12.53, "V")
        assert value(found, "soc") == (50, "%")
    found = decode_victron(KEY, [ADVERT, ADVERT[:-2], "zz", ADVERT.replace("af", "ae", 1)])
    assert len(found["problems"]) == 3
    assert value(found, "voltage") == (12.53, "V")


@pytest.mark.parametrize("key", ["", "00", KEY + "00", "zz" * 16])
def test_a_bad_key_is_an_error_in_one_sentence(key: str):
    with pytest.raises(ConfigError, match="32 hexadecimal digits"):
        decode_victron(key, [])


def run(*arguments: str, given_text: str) -> tuple[int, Any, str]:
    result = CliRunner().invoke(app, ["decode", *arguments, "-"], input=given_text)
    return result.exit_code, json.loads(result.stdout) if result.stdout else None, str(result.exception or "")


def test_commands_print_one_object():
    code, found, _ = run("elm", "hyundai_kia_egmp", given_text=json.dumps([exchange("7E4", "220101", *EGMP)]))
    assert (code, value(found, "soc")) == (0, (82.5, "%"))
    code, found, _ = run("bms", "jbd", given_text=json.dumps({"frames": [JBD]}))
    assert (code, value(found, "voltage")) == (0, (13.46, "V"))
    for text in (ADVERT, f"\n{ADVERT}\n{ADVERT}\n", json.dumps([ADVERT])):
        code, found, _ = run("victron", "--key", KEY, given_text=text)
        assert (code, value(found, "voltage")) == (0, (12.53, "V"))
    code, found, error = run("elm", "hyundai_kia_egmp", given_text="{")
    assert (code, found) == (1, None)
    assert "not good JSON" in error


@settings.get_profile("parsers")
@given(st.lists(st.text(max_size=30) | st.sampled_from(EGMP), max_size=12))
def test_any_lines_give_signals(lines: list[str]):
    json.dumps(elm(exchange("7E4", "220101", *lines)), allow_nan=False)


@settings.get_profile("parsers")
@given(st.sampled_from(["jbd", "daly", "jk"]), st.lists(st.binary(max_size=310) | st.text(max_size=9), max_size=5))
def test_any_frames_give_signals(family: str, pieces: list[bytes | str]):
    frames = [piece if isinstance(piece, str) else piece.hex() for piece in pieces]
    json.dumps(decode_bms(family, {"frames": frames}), allow_nan=False)
    json.dumps(decode_victron(KEY, frames), allow_nan=False)


def test_mixed_up_lines_never_give_a_wrong_value():
    rng = random.Random(7)
    others = ["220101", "7EC037F2278", "7ED0462010132", "NO DATA", "7EC0462010532AAAAAA", "SEARCHING...", ">"]
    for _ in range(500):
        lines = [line for line in EGMP if rng.random() > 0.05]
        for _ in range(rng.randrange(4)):
            lines.insert(rng.randrange(len(lines) + 1), rng.choice([*EGMP, *others]))
        assert value(elm(exchange("7E4", "220101", *lines)), "soc") in (None, (82.5, "%"))
