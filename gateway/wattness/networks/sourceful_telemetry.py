"""Sourceful's Nova: what one DER's telemetry looks like, in the deployed (legacy) and in the unified schema.

What is missing is left out, never zero. Solar power is negative or zero in both; a battery that charges is negative in
the legacy schema and positive in the unified one; a grid meter that imports is positive in both.
"""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from wattness.errors import RefusedError
from wattness.model import Reading, Report

KINDS = {"pv": "solar", "battery": "battery", "grid": "meter", "charger": "ev_port"}  # ours → theirs
SERIAL_HASH_SIZE = 32  # in hex; a shorter device id is the stream's place in its board's list
PERCENT = Decimal(100)
ONE = Decimal(1)


class Field(NamedTuple):
    """One value: its name in each schema ("": not in that one) and the points that may hold it, the best first."""

    legacy: str
    unified: str
    points: tuple[str, ...]
    divisor: Decimal = ONE


class Der(NamedTuple):
    """What does not change from one message to the next."""

    hardware_id: str
    name: str
    kind: str
    make: str
    model: str
    capacity_wh: int | None = None


_PHASES = (
    *(Field(f"L{n}_V", f"l{n}_v", (f"voltage_l{n}",) if n > 1 else ("voltage_l1", "voltage")) for n in (1, 2, 3)),
    *(Field(f"L{n}_A", f"l{n}_a", (f"current_l{n}",) if n > 1 else ("current_l1", "current")) for n in (1, 2, 3)),
    *(Field("", f"l{n}_w", (f"power_l{n}",)) for n in (1, 2, 3)),
)
_STRINGS = tuple(
    Field(f"mppt{n}_{letter}", f"mppt{n}_{letter.lower()}", (f"dc_{word}_{n}", f"{word}_{n}"))
    for n in (1, 2)
    for letter, word in (("V", "voltage"), ("A", "current"))
)
_HEAT = Field("heatsink_C", "temp_c", ("temperature",))
FIELDS: dict[str, tuple[Field, ...]] = {
    "solar": (
        Field("rated_power_W", "", ("rated_power",)),
        *_STRINGS,
        _HEAT,
        Field("total_generation_Wh", "total_generation_wh", ("energy_export",)),
    ),
    "meter": (
        Field("Hz", "freq_hz", ("frequency",)),
        *_PHASES,
        Field("total_import_Wh", "total_import_wh", ("energy_import",)),
        Field("total_export_Wh", "total_export_wh", ("energy_export",)),
    ),
    "battery": (
        Field("A", "dc_a", ("battery_current", "dc_current", "current")),
        Field("V", "dc_v", ("battery_voltage", "dc_voltage", "voltage")),
        Field("", "dc_w", ("dc_power",)),
        Field("SoC_nom_fract", "soc", ("soc",), PERCENT),
        _HEAT,
        Field("total_charge_Wh", "total_charge_wh", ("energy_import",)),
        Field("total_discharge_Wh", "total_discharge_wh", ("energy_export",)),
    ),
    "ev_port": (Field("vehicle_soc_fract", "vehicle_soc", ("soc",), PERCENT),),
}


def hardware_id(report: Report) -> str:
    """Return what a device is called for ever: by its maker's serial where that is known, else by board and place."""
    if len(report.device) == SERIAL_HASH_SIZE:
        return report.device
    return f"{report.board_key[:8].hex()}-{report.device}"


def topic(serial: str, der: Der) -> str:
    """Return where a DER's telemetry goes."""
    place = (sanitised(part) for part in (serial, der.hardware_id, der.name))
    return "gateways/{}/devices/{}/ders/{}/telemetry/json/v1".format(*place)


def sanitised(text: str) -> str:
    """Return one level of a topic: a dot would break NATS' routing, and a slash ours."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)


def newest(rows: Sequence[Reading]) -> Reading:
    """Return the newest value of each point, at the newest instant that has a power; raises RefusedError without."""
    merged: dict[str, Decimal] = {}
    at_ms = None
    for row in rows:
        merged |= row.values
        at_ms = row.unix_ms if "power" in row.values else at_ms
    if at_ms is None:
        raise RefusedError("no_power", "no reading of the interval tells a power, and what is missing is not zero")
    return Reading(at_ms, merged)


def telemetry(der: Der, reading: Reading, schema: str, *, has_read_time: bool = True) -> bytes:
    """Return the payload of one message; `has_read_time` repeats the time in `read_time_ms`, as FTW does."""
    value = _legacy(der, reading) if schema == "legacy" else _unified(der, reading)
    if schema == "legacy" and has_read_time:
        value["read_time_ms"] = reading.unix_ms
    return json.dumps(value, separators=(",", ":")).encode()


def _legacy(der: Der, reading: Reading) -> dict[str, Any]:
    at = datetime.fromtimestamp(reading.unix_ms // 1000, UTC)
    value: dict[str, Any] = {
        "type": der.kind,
        "make": der.make,
        "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.{reading.unix_ms % 1000:03d}000000Z",
        "W": _number(_watts(der.kind, reading.values["power"], flips_battery=True)),
    }
    if der.capacity_wh is not None:
        value["capacity_Wh"] = der.capacity_wh
    if der.kind == "ev_port":
        value |= _plug(reading.values, "plug_connected", "status")
    return value | {field.legacy: n for field, n in _found(der.kind, reading.values) if field.legacy}


def _unified(der: Der, reading: Reading) -> dict[str, Any]:
    value: dict[str, Any] = {
        "type": der.kind,
        "make": der.make,
        "model": der.model,
        "hardware_id": der.hardware_id,
        "ts_ms": reading.unix_ms,
        "w": _number(_watts(der.kind, reading.values["power"], flips_battery=False)),
    }
    if der.capacity_wh is not None:
        value["capacity_wh"] = der.capacity_wh
    if der.kind == "ev_port":
        value |= _plug(reading.values, "connected", "")
    return value | {field.unified: n for field, n in _found(der.kind, reading.values) if field.unified}


def _watts(kind: str, watts: Decimal, *, flips_battery: bool) -> Decimal:
    if kind == "solar":  # what an inverter takes at night is no generation
        return -max(watts, Decimal(0))
    return -watts if kind == "battery" and flips_battery else watts


def _found(kind: str, values: dict[str, Decimal]) -> list[tuple[Field, int | float]]:
    found = []
    for field in FIELDS[kind]:
        point = next((name for name in field.points if name in values), None)
        if point is not None:
            found.append((field, _number(values[point] / field.divisor)))
    return found


def _plug(values: dict[str, Decimal], connected: str, status: str) -> dict[str, Any]:
    """Return what a charger tells of the car: whether it is there, and whether it charges."""
    told: dict[str, Any] = {}
    is_charging = bool(values["charging"]) if "charging" in values else None
    is_plugged = bool(values["plugged"]) if "plugged" in values else True if is_charging else None
    if is_plugged is not None:
        told[connected] = is_plugged
    if status and is_plugged is not None:
        told[status] = "charging" if is_charging else "connected" if is_plugged else "disconnected"
    elif not status and is_charging is not None:
        told["charging"] = is_charging
    return told


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
