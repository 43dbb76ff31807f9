"""Vehicles' profiles: the schema and the firmware's own check say the same, and each gives the values of its facts."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from wattwire import obd, vehicle_form
from wattwire.errors import WireError

FOLDER = Path(__file__).parents[1] / "profiles" / "vehicles"
SCHEMA = json.loads((FOLDER / "schema.json").read_text())
PATHS = sorted(path for path in FOLDER.glob("*.json") if path.stem != "schema")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_profile_is_in_order(path: Path):
    form = json.loads(path.read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(form)
    vehicle = vehicle_form.load(path.read_text())
    assert vehicle.id == path.stem
    for name in {"battery_current", "power"} & set(vehicle.default):
        assert all(
            signal.unsettled for command in vehicle.commands for signal in command.signals if signal.name == name
        )


def answer(service: str, data: bytes, bit: int, raw: bytes) -> list[str]:
    """A padded answer with `raw` at a bit that begins a byte."""
    body = bytearray(data)
    body[bit // 8 : bit // 8 + len(raw)] = raw
    payload = bytes.fromhex(service) + body
    if len(payload) < 8:
        return [(bytes([len(payload)]) + payload).ljust(8, b"\xaa").hex()]
    lines = [(0x1000 | len(payload)).to_bytes(2, "big") + payload[:6]]
    lines += [bytes([0x20 | (at // 7 + 1) & 15]) + payload[6 + at : 13 + at] for at in range(0, len(payload) - 6, 7)]
    return [line.ljust(8, b"\xaa").hex() for line in lines]


FACTS = [  # profile, header, answer's header, request, positive answer, bytes, bit, raw, name, value
    ("sae_j1979", "7DF", "7E8", "010D", "410D", 1, 0, "32", "speed", 50),
    ("sae_j1979", "7DF", "7E8", "012F", "412F", 1, 0, "ff", "fuel_level", 100),
    ("sae_j1979", "7DF", "7E8", "015B", "415B", 1, 0, "80", "soc", 128 * 100 / 255),
    ("sae_j1979", "7DF", "7E8", "019A", "419A", 6, 16, "6400", "battery_voltage", 400),
    ("sae_j1979", "7DF", "7E8", "019A", "419A", 6, 32, "ff9c", "battery_current", -10),
    ("sae_j1979", "7DF", "7E8", "01A6", "41A6", 4, 0, "0001e240", "odometer", 12345.6),
    ("sae_j1979", "7DF", "7E8", "01B2", "41B2", 1, 0, "ff", "soh", 100),
    ("sae_j1979", "7DF", "7E8", "0142", "4142", 2, 0, "3138", "aux_voltage", 12.6),
    ("sae_j1979", "7DF", "7E8", "0146", "4146", 1, 0, "1e", "ambient_temperature", -10),
    ("sae_j1979", "7DF", "7E8", "010C", "410C", 2, 0, "1388", "engine_speed", 1250),
    ("hyundai_kia_egmp", "7E4", "7EC", "220101", "620101", 58, 32, "a5", "soc", 82.5),
    ("hyundai_kia_egmp", "7E4", "7EC", "220105", "620105", 43, 248, "a3", "soc_display", 81.5),
    ("hyundai_kia_egmp", "7E4", "7EC", "220105", "620105", 43, 200, "03e8", "soh", 100),
    ("hyundai_kia_egmp", "744", "74C", "22E003", "62E003", 20, 104, "1c20", "battery_voltage", 720),
    ("hyundai_kia_egmp", "744", "74C", "22E003", "62E003", 20, 120, "a5", "soc_vcms", 82.5),
    ("hyundai_kia_egmp", "7B3", "7BB", "220100", "620100", 40, 232, "64", "speed", 100),
    ("hyundai_kia_egmp", "7C6", "7CE", "22B002", "62B002", 15, 48, "00d431", "odometer", 54321),
    ("vw_meb", "17FC007B", "17FE007B", "22028C", "62028C", 1, 0, "c8", "soc", 200 * 20.4 / 46 - 6.4),
    ("vw_meb", "17FC0076", "17FE0076", "224675", "624675", 2, 0, "0fa0", "battery_voltage", 400),
    ("vw_meb", "17FC0076", "17FE0076", "22035E", "62035E", 2, 0, "ff38", "battery_current", -20),
    ("vw_meb", "17FC0076", "17FE0076", "22295A", "62295A", 3, 0, "00d431", "odometer", 54321),
    ("nissan_leaf", "79B", "7BB", "2101", "6101", 40, 248, "0bffff", "soc", 0xBFFFF / 8190 - 17),
    ("nissan_leaf", "79B", "7BB", "2101", "6101", 40, 144, "9470", "battery_voltage", 380),
    ("nissan_leaf", "743", "763", "220E01", "620E01", 3, 0, "00d431", "odometer", 54321),
    ("nissan_leaf", "797", "79A", "22121A", "62121A", 2, 0, "01f4", "speed", 50),
]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact[0]}-{fact[3]}-{fact[8]}")
def test_a_fact_gives_its_value(fact: tuple[Any, ...]):
    name, header, sender, request, service, size, bit, raw, signal, value = fact
    vehicle = vehicle_form.load((FOLDER / f"{name}.json").read_text())
    lines = [sender + line.upper() for line in answer(service, bytes([1]) * size, bit, bytes.fromhex(raw))]
    numerator, denominator = obd.values(obd.commands(vehicle, header, request), request, lines, set())[signal]
    assert numerator / denominator == pytest.approx(value)


def test_power_is_made_of_one_answer():
    vehicle = vehicle_form.load((FOLDER / "sae_j1979.json").read_text())
    lines = ["7E81008419A00006400", "7E821FF9CAAAAAAAAAA"]
    found = obd.values(obd.commands(vehicle, "7DF", "019A"), "019A", lines, set())
    assert found["power"] == found["battery_power"] == (25600 * -100, 640)


def broken(change: Any) -> str:
    form = copy.deepcopy(json.loads((FOLDER / "vw_meb.json").read_text()))
    change(form)
    return json.dumps(form)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda form: form.pop("id"), r"\$\.id"),
        (lambda form: form.update(id="VW"), r"\$\.id"),
        (lambda form: form.update(protocol="1"), r"\$\.protocol"),
        (lambda form: form.update(more=1), r"\$\.more"),
        (lambda form: form.update(default=["nothing"]), r"\$\.default\[0\]"),
        (lambda form: form.update(commands={}), r"\$\.commands"),
        (lambda form: form["commands"].append(form["commands"][0]), r"\$\.commands"),
        (lambda form: form["commands"][0].update(header="17FC"), r"\$\.commands\[0\]\.header"),
        (lambda form: form["commands"][0].update(answer="7EC"), r"\$\.commands\[0\]\.header"),
        (lambda form: form["commands"][0].update(answer="17fe007b"), r"\$\.commands\[0\]\.answer"),
        (lambda form: form["commands"][0].update(request="2E0101"), r"\$\.commands\[0\]\.request"),
        (lambda form: form["commands"][0].update(request="010D5B"), r"\$\.commands\[0\]\.request"),
        (lambda form: form["commands"][0]["signals"][0].update(unit="V"), r"signals\[0\]\.unit"),
        (lambda form: form["commands"][0]["signals"][0].update(div=0), r"signals\[0\]\.div"),
        (lambda form: form["commands"][0]["signals"][0].pop("bits"), r"signals\[0\]"),
        (lambda form: form["commands"][0]["signals"][0].update(product=["a", "b"]), r"signals\[0\]"),
        (lambda form: form["commands"][0]["signals"][0].update(invalid=[-1]), r"invalid\[0\]"),
        (
            lambda form: form["commands"][0]["signals"].append({"name": "x", "unit": "W", "product": ["soc", "y"]}),
            "product",
        ),
        (lambda form: form["commands"][0]["signals"].append(form["commands"][0]["signals"][0]), r"signals\[1\]\.name"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_path(change: Any, path: str):
    with pytest.raises(WireError, match=path):
        vehicle_form.load(broken(change))
