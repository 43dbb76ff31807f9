"""DIMO's default signals as data, what a signal must be to be taken, and our points as such signals."""

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from wattness.model import Reading

from .cloudevent import FUTURE_MS_MAX, stamp

FLAG, TEXT, PLACE = "0/1", "text", "place"  # the kinds that are not a number with a unit
VALUE_MAX = 10**12  # nothing on wheels reaches it; it keeps a number's text short
_NUMBER = re.compile(r"\A[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z")
_RFC3339 = re.compile(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")

_NAMES = {  # kind or unit: the names of all 116 default signals
    FLAG: """bodyLightsIsAirbagWarningOn bodyLockIsLocked bodyTrunkFrontIsOpen bodyTrunkRearIsOpen
        cabinDoorRow1DriverSideIsOpen cabinDoorRow1DriverSideWindowIsOpen cabinDoorRow1PassengerSideIsOpen
        cabinDoorRow1PassengerSideWindowIsOpen cabinDoorRow2DriverSideIsOpen cabinDoorRow2DriverSideWindowIsOpen
        cabinDoorRow2PassengerSideIsOpen cabinDoorRow2PassengerSideWindowIsOpen cabinSeatRow1DriverSideIsBelted
        cabinSeatRow1PassengerSideIsBelted cabinSeatRow2DriverSideIsBelted cabinSeatRow2MiddleIsBelted
        cabinSeatRow2PassengerSideIsBelted cabinSeatRow3DriverSideIsBelted cabinSeatRow3PassengerSideIsBelted
        chassisBrakeABSIsWarningOn chassisBrakeIsPedalPressed chassisParkingBrakeIsEngaged
        chassisTireSystemIsWarningOn connectivityCellularIsJammingDetected isIgnitionOn obdIsEngineBlocked
        obdIsPTOActive obdIsPluggedIn powertrainTractionBatteryChargingIsCharging
        powertrainTractionBatteryChargingIsChargingCableConnected powertrainTransmissionIsClutchSwitchOperated""",
    TEXT: """obdDTCList obdFuelTypeName powertrainCombustionEngineEngineOilLevel
        powertrainFuelSystemSupportedFuelTypes powertrainTransmissionRetarderTorqueMode powertrainType""",
    PLACE: "currentLocationCoordinates",
    "%": """chassisBrakePedalPosition obdCommandedEGR obdCommandedEVAP obdEngineLoad obdEthanolPercent
        obdLongTermFuelTrim1 obdLongTermFuelTrim2 obdShortTermFuelTrim1 obdThrottlePosition
        powertrainCombustionEngineDieselExhaustFluidLevel powertrainCombustionEngineEngineOilRelativeLevel
        powertrainCombustionEngineTPS powertrainCombustionEngineTorquePercent powertrainFuelSystemRelativeLevel
        powertrainTractionBatteryChargingChargeLimit powertrainTractionBatteryStateOfChargeCurrent
        powertrainTractionBatteryStateOfHealth powertrainTransmissionRetarderActualTorque""",
    "1": """obdStatusDTCCount obdWarmupsSinceDTCClear powertrainTransmissionActualGear
        powertrainTransmissionActualGearRatio powertrainTransmissionCurrentGear
        powertrainTransmissionSelectedGear""",
    "A": "powertrainTractionBatteryChargingChargeCurrentAC",
    "Cel": """exteriorAirTemperature obdIntakeTemp obdOilTemperature powertrainCombustionEngineECT
        powertrainCombustionEngineEOT powertrainTractionBatteryTemperatureAverage
        powertrainTransmissionTemperature""",
    "N.m": "powertrainCombustionEngineTorque",
    "V": """lowVoltageBatteryCurrentVoltage obdO2WRSensor1Voltage obdO2WRSensor2Voltage
        powertrainTractionBatteryChargingChargeVoltageUnknownType powertrainTractionBatteryCurrentVoltage""",
    "W": "powertrainTractionBatteryCurrentPower",
    "deg": "currentLocationHeading",
    "deg/s": "angularVelocityYaw",
    "g/s": "obdMaxMAF powertrainCombustionEngineMAF",
    "kPa": """chassisAxleRow1WheelLeftTirePressure chassisAxleRow1WheelRightTirePressure
        chassisAxleRow2WheelLeftTirePressure chassisAxleRow2WheelRightTirePressure
        chassisBrakeCircuit1PressurePrimary chassisBrakeCircuit2PressurePrimary obdBarometricPressure
        obdFuelPressure obdFuelRailPressure obdMAP powertrainCombustionEngineEOP""",
    "kW": "powertrainTractionBatteryChargingPower",
    "kWh": """powertrainTractionBatteryChargingAddedEnergy powertrainTractionBatteryGrossCapacity
        powertrainTractionBatteryStateOfChargeCurrentEnergy""",
    "kg": "chassisAxleRow3Weight chassisAxleRow4Weight chassisAxleRow5Weight",
    "km": """obdDistanceSinceDTCClear obdDistanceWithMIL powertrainRange powertrainTractionBatteryRange
        powertrainTransmissionTravelledDistance serviceDistanceToService""",
    "km/h": "chassisAxleRow1WheelLeftSpeed chassisAxleRow1WheelRightSpeed speed",
    "l": """powertrainCombustionEngineDieselExhaustFluidCapacity powertrainFuelSystemAbsoluteLevel
        powertrainFuelSystemAccumulatedConsumption""",
    "l/h": "obdFuelRate",
    "m": "currentLocationAltitude",
    "rpm": "powertrainCombustionEngineSpeed",
    "s": "obdRunTime serviceTimeToService",
}
SIGNALS = {name: unit for unit, names in _NAMES.items() for name in names.split()}


class Point(NamedTuple):
    """What a point of ours is to DIMO, and between which values it can be true."""

    signal: str
    low: int
    high: int
    exponent: int = 0  # DIMO's unit is 10^exponent of ours


CHARGING_POWER = Point("powertrainTractionBatteryChargingPower", 0, 2_000_000, 3)  # W, kW
ADDED_ENERGY = "powertrainTractionBatteryChargingAddedEnergy"
GROSS_CAPACITY = "powertrainTractionBatteryGrossCapacity"
POINTS = {  # wire.md §5, in the wire's units; battery power is + into the battery on both sides
    "speed": Point("speed", 0, 500),
    "odometer": Point("powertrainTransmissionTravelledDistance", 0, 10_000_000),
    "soc": Point("powertrainTractionBatteryStateOfChargeCurrent", 0, 100),
    "soh": Point("powertrainTractionBatteryStateOfHealth", 0, 110),
    "range": Point("powertrainTractionBatteryRange", 0, 3000),
    "battery_power": Point("powertrainTractionBatteryCurrentPower", -2_000_000, 2_000_000),
    "battery_voltage": Point("powertrainTractionBatteryCurrentVoltage", 0, 2000),
    "charging": Point("powertrainTractionBatteryChargingIsCharging", 0, 1),
    "plugged": Point("powertrainTractionBatteryChargingIsChargingCableConnected", 0, 1),
    "aux_voltage": Point("lowVoltageBatteryCurrentVoltage", 0, 100),
    "ambient_temperature": Point("exteriorAirTemperature", -90, 90),
    "engine_speed": Point("powertrainCombustionEngineSpeed", 0, 20_000),
    "fuel_level": Point("powertrainFuelSystemRelativeLevel", 0, 100),
    "run_time": Point("obdRunTime", 0, 1_000_000),
}


class Signal(msgspec.Struct, frozen=True):
    """One value at one instant, in DIMO's form."""

    name: str
    timestamp: str
    value: Any


def fault(signal: Signal, now_ms: int) -> str:
    """Return why DIMO would not take a signal, "" when it would: a single bad one costs its whole event."""
    kind = SIGNALS.get(signal.name)
    if kind is None:
        return "unknown_name"
    try:
        late = _unix_ms(signal.timestamp) > now_ms + FUTURE_MS_MAX
    except ValueError:
        return "bad_timestamp"
    if late:
        return "future"
    if kind == TEXT:
        return "" if isinstance(signal.value, str) else "not_a_text"
    if kind == PLACE:
        return "" if _is_place(signal.value) else "not_a_place"
    return "" if _is_number(signal.value) else "not_a_number"


def _unix_ms(text: Any) -> float:
    if not isinstance(text, str) or not _RFC3339.match(text):
        raise ValueError("no RFC 3339 stamp")
    return dt.datetime.fromisoformat(text).timestamp() * 1000


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):  # DIMO's flags are numbers: 1 and 0
        return False
    if isinstance(value, str):
        return bool(_NUMBER.match(value))
    if not isinstance(value, int | float | Decimal):
        return False
    exact = Decimal(value)
    return exact.is_finite() and abs(exact) < VALUE_MAX


def _is_place(value: Any) -> bool:
    return (
        isinstance(value, dict) and {"latitude", "longitude"} <= value.keys() and all(map(_is_number, value.values()))
    )


def spaced(readings: Sequence[Reading], every_ms: int) -> list[Reading]:
    """Return the first reading of each `every_ms` of UTC."""
    found: dict[int, Reading] = {}
    for reading in readings:
        found.setdefault(reading.unix_ms // every_ms, reading)
    return list(found.values())


def signals(readings: Iterable[Reading]) -> tuple[list[Signal], Counter[str]]:
    """Return vehicle rows as signals, and how many values were left out, by reason: they never cost the rest."""
    found: list[Signal] = []
    left_out: Counter[str] = Counter()
    for reading in readings:
        values = {name: value for name, value in reading.values.items() if value.is_finite()}
        left_out["not_a_number"] += len(POINTS.keys() & reading.values.keys() - values.keys())
        for name, point in POINTS.items():  # in one order, whatever the row's
            if name in values:
                _add(point, reading.unix_ms, values[name], found, left_out)
        power = values.get("battery_power", values.get("power"))
        if values.get("charging") == 1 and power is not None and power >= 0:
            _add(CHARGING_POWER, reading.unix_ms, power, found, left_out)
    return found, +left_out


def _add(point: Point, unix_ms: int, value: Decimal, found: list[Signal], left_out: Counter[str]) -> None:
    if not point.low <= value <= point.high or (SIGNALS[point.signal] == FLAG and value != value.to_integral_value()):
        left_out["out_of_range"] += 1
    else:
        found.append(Signal(point.signal, stamp(unix_ms), value.scaleb(-point.exponent)))


def checked(found: Iterable[Signal], now_ms: int, left_out: Counter[str]) -> list[Signal]:
    """Return the signals that DIMO takes, once per name and instant; the others are counted in `left_out`."""
    good: dict[tuple[str, str], Signal] = {}
    for signal in found:
        reason = fault(signal, now_ms) or ("twice" if (signal.name, signal.timestamp) in good else "")
        if reason:
            left_out[reason] += 1
        else:
            good[signal.name, signal.timestamp] = signal
    return list(good.values())


def fed_from_outside(readings: Sequence[Reading]) -> bool:
    """Tell whether what went into the battery then came through a cable and not from braking: the car stood."""
    speeds = [reading.values["speed"] for reading in readings if "speed" in reading.values]
    flags = [
        reading.values.get("charging") == 1 or reading.values.get("plugged") == 1
        for reading in readings
        if {"charging", "plugged"} & reading.values.keys()
    ]
    if speeds:
        return max(speeds) <= 0
    return bool(flags) and all(flags)


def as_json(signal: Signal) -> dict[str, Any]:
    """Return a signal for the JSON encoder; numbers keep their digits."""
    value = signal.value
    if isinstance(value, Decimal):
        value = msgspec.Raw(number_text(value).encode())
    return {"name": signal.name, "value": value, "timestamp": signal.timestamp}


def number_text(value: Decimal) -> str:
    """Return a finite number as the shortest JSON with all its digits and no exponent."""
    return format(value.normalize(), "f") if value else "0"
