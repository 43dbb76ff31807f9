"""Sourceful's telemetry: both schemas, their signs, and nothing that is not known."""

import json
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.networks import sourceful as sandbox
from wattness.errors import RefusedError
from wattness.model import Reading
from wattness.networks.sourceful_telemetry import Der, newest, sanitised, telemetry, topic

NOON_MS = 1_790_000_100_000
PV = {"power": Decimal(3100), "energy_export": Decimal("12345.5"), "dc_voltage_1": Decimal("381.5")}


def der(kind, **changes):
    return Der(**({"hardware_id": "h", "name": "n", "kind": kind, "make": "m", "model": "mm"} | changes))


def test_the_legacy_schema_byte_for_byte():
    reading = Reading(1_772_452_805_007, PV | {"temperature": Decimal("41.5"), "rated_power": Decimal(8000)})
    assert telemetry(der("solar", make="sungrow"), reading, "legacy").decode() == (
        '{"type":"solar","make":"sungrow","timestamp":"2026-03-02T12:00:05.007000000Z","W":-3100,'
        '"rated_power_W":8000,"mppt1_V":381.5,"heatsink_C":41.5,"total_generation_Wh":12345.5,'
        '"read_time_ms":1772452805007}'
    )


def test_the_unified_schema_byte_for_byte():
    values = {"power": Decimal(-1200), "soc": Decimal("55.5"), "battery_voltage": Decimal("51.2")}
    battery = der("battery", capacity_wh=10_000)
    assert telemetry(battery, Reading(1_772_452_805_007, values), "unified").decode() == (
        '{"type":"battery","make":"m","model":"mm","hardware_id":"h","ts_ms":1772452805007,"w":-1200,'
        '"capacity_wh":10000,"dc_v":51.2,"soc":0.555}'
    )


@pytest.mark.parametrize(
    ("kind", "watts", "legacy", "unified"),
    [
        ("solar", 3000, -3000, -3000),
        ("solar", 0, 0, 0),
        ("solar", -4, 0, 0),  # at night it takes power, which is no generation
        ("battery", 1500, -1500, 1500),  # charging
        ("battery", -1500, 1500, -1500),
        ("meter", 700, 700, 700),  # import
        ("meter", -700, -700, -700),
        ("ev_port", 7000, 7000, 7000),
    ],
)
def test_signs(kind, watts, legacy, unified):
    reading = Reading(NOON_MS, {"power": Decimal(watts)})
    assert json.loads(telemetry(der(kind), reading, "legacy"))["W"] == legacy
    assert json.loads(telemetry(der(kind), reading, "unified"))["w"] == unified


milli = st.integers(-(10**12), 10**12).map(lambda n: Decimal(n) / 1000)


@given(st.sampled_from(["battery", "meter", "solar"]), st.sampled_from(["legacy", "unified"]), milli, milli)
def test_power_and_counters_come_back_as_they_went(kind, schema, watts, wh):
    counter = "energy_export" if kind == "solar" else "energy_import"
    raw = telemetry(der(kind), Reading(NOON_MS, {"power": watts, counter: wh}), schema)
    state, at_ms = sandbox.read_state(raw)
    came = Decimal(str(state["W" if schema == "legacy" else "w"]))
    ours = -came if kind == "solar" or (kind == "battery" and schema == "legacy") else came
    assert ours == (max(watts, 0) if kind == "solar" else watts)
    name = {"battery": "total_charge_Wh", "meter": "total_import_Wh", "solar": "total_generation_Wh"}[kind]
    assert Decimal(str(state[name if schema == "legacy" else name.lower()])) == wh
    assert at_ms == NOON_MS
    assert b":-0," not in raw
    assert b":-0.0," not in raw


COUNTERS = ["energy_import", "energy_export"]
PHASES = ["voltage", "voltage_l1", "voltage_l2", "current", "current_l3", "power_l2", "frequency"]
INSIDE = ["temperature", "soc", "dc_voltage_1", "dc_current_2", "dc_power", "battery_voltage", "battery_current"]
points = st.sampled_from([*COUNTERS, *PHASES, *INSIDE, "rated_power", "plugged", "charging", "state", "soh"])


@given(st.dictionaries(points, milli), st.sampled_from(["solar", "battery", "meter", "ev_port"]), st.booleans())
def test_only_what_is_known_is_told_and_nothing_else(values, kind, is_legacy):
    schema = "legacy" if is_legacy else "unified"
    raw = telemetry(der(kind), Reading(NOON_MS, values | {"power": Decimal(1)}), schema)
    state, _ = sandbox.read_state(raw)  # which refuses unknown names and types
    bare, _ = sandbox.read_state(telemetry(der(kind), Reading(NOON_MS, {"power": Decimal(1)}), schema))
    assert bare.keys() <= state.keys()
    assert len(state) - len(bare) <= len(values) + 1


def test_a_charger_tells_of_the_car():
    def told(schema, **values):
        reading = Reading(NOON_MS, {"power": Decimal(0)} | {name: Decimal(n) for name, n in values.items()})
        return json.loads(telemetry(der("ev_port"), reading, schema))

    assert told("legacy", plugged=1, charging=1, soc=40)["status"] == "charging"
    assert told("legacy", plugged=1, soc=40)["vehicle_soc_fract"] == 0.4
    assert told("legacy", plugged=1)["status"] == "connected"
    assert told("legacy", plugged=0)["status"] == "disconnected"
    assert told("legacy", plugged=0)["plug_connected"] is False
    assert "status" not in told("legacy")
    assert "plug_connected" not in told("legacy", charging=0)
    assert told("unified", charging=1) == told("unified") | {"connected": True, "charging": True}


def test_slow_points_are_carried_forward_to_the_newest_power():
    rows = [Reading(1, {"power": Decimal(1), "soc": Decimal(50)}), Reading(2, {"power": Decimal(2)}), Reading(3, {})]
    assert newest(rows) == Reading(2, {"power": Decimal(2), "soc": Decimal(50)})
    for empty in ([], [Reading(1, {"soc": Decimal(50)})]):
        with pytest.raises(RefusedError, match="no_power"):
            newest(empty)


@given(st.text(max_size=40))
def test_no_name_breaks_a_topic(text):
    assert sandbox.TELEMETRY.fullmatch(topic("g", der("solar", hardware_id=text or "x", name="a.b/c")))
    assert sanitised(text).isascii()
    assert len(sanitised(text)) == len(text)


@given(st.integers(0, 4_000_000_000_000))
def test_times_come_back(ms):
    reading = Reading(ms, {"power": Decimal(1)})
    state = json.loads(telemetry(der("meter"), reading, "legacy", has_read_time=False))
    assert sandbox.read_time(state["timestamp"]) == ms
    assert datetime.fromisoformat(state["timestamp"][:19])
    assert "read_time_ms" not in state
