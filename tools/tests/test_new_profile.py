"""A new device is one JSON file: begun from a few words, proved with what the device answered."""

import json
from pathlib import Path

import pytest

import new_profile
from wattness.profile_check import check_profile
from wattwire import modbus

POINTS = ["power@12:s32:-1", "energy_import@0x48:u32:2", "frequency@70:u16:-2"]


def begin(folder: Path, *more: str) -> int:
    return new_profile.main(["new", "acme_em1", *POINTS, "--table", "input", "--folder", str(folder), *more])


def answers(*words: int) -> list[str]:
    request = modbus.read_request(7, 4, 70, 4)
    data = b"".join(word.to_bytes(2, "big") for word in words)
    return [request.hex(), modbus.seal(bytes((7, 4, len(data))) + data).hex()]


def test_a_device_in_two_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert begin(tmp_path, "--title", "Acme EM1") == 0
    path = tmp_path / "acme_em1.json"
    assert json.loads(path.read_text())["points"][1] == {
        "name": "energy_import",
        "unit": "Wh",
        "address": 72,
        "type": "u32",
        "exponent": 2,
    }
    assert "There are no frames" in check_profile(path)[0]
    power = [modbus.read_request(7, 4, 12, 2).hex(), modbus.seal(bytes((7, 4, 4, 0xFF, 0xFF, 0xFF, 0x38))).hex()]
    recorded = tmp_path / "recorded.json"
    recorded.write_text(json.dumps([power, answers(5001, 0, 1, 2)]))
    assert new_profile.main(["frames", str(path), str(recorded), "--what", "at night"]) == 0
    assert "power                -200e-1 W" in capsys.readouterr().out
    assert check_profile(path) == []


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (["power12:s32"], "a point is NAME@ADDRESS:TYPE"),
        (["heat@12:s32"], "the wire has no such point"),
        (["power@12:int32"], "$.points[0].type"),
        (["power@12:s32", "power@14:s32"], "used twice"),
        (["power@65535:s32"], "beyond register 65535"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], points: list[str], says: str):
    assert new_profile.main(["new", "acme", *points, "--folder", str(tmp_path)]) == 1
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert begin(tmp_path) == 0
    assert begin(tmp_path) == 1
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recorded", "says"),
    [
        ([], "not the reads"),
        ([answers(1, 2, 3, 4)], "not the reads"),
        ([[answers(1, 2, 3, 4)[0], "0704"]], "cut short"),
        ([[answers(1, 2, 3, 4)[0], "0804"]], "wrong_unit"),
        ([["00", "00"]], "truncated"),
        ([["zz", "00"]], "non-hexadecimal"),
    ],
)
def test_recordings_that_prove_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recorded: list[list[str]], says: str
):
    begin(tmp_path)
    file = tmp_path / "recorded.json"
    file.write_text(json.dumps(recorded))
    assert new_profile.main(["frames", str(tmp_path / "acme_em1.json"), str(file)]) == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "frames").exists()
