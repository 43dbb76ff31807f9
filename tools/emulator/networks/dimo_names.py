"""The 116 default signals as DIMO's server knows them, in the short form that lists them by their stems."""

import re

TEXT = """
speed km/h
isIgnitionOn
lowVoltageBatteryCurrentVoltage V
powertrain{Type string, Range km}
powertrainTransmissionTravelledDistance km
powertrainTractionBattery{StateOfChargeCurrent %, StateOfChargeCurrentEnergy kWh, CurrentPower W, CurrentVoltage V}
powertrainTractionBattery{GrossCapacity kWh, Range km, StateOfHealth %, TemperatureAverage Cel}
powertrainTractionBatteryCharging{Power kW, AddedEnergy kWh, ChargeLimit %, IsCharging, IsChargingCableConnected}
powertrainTractionBatteryCharging{ChargeCurrentAC A, ChargeVoltageUnknownType V}
exteriorAirTemperature Cel
currentLocation{Coordinates object, Altitude m, Heading deg}
obd{BarometricPressure kPa, CommandedEGR %, CommandedEVAP %, DTCList string, DistanceSinceDTCClear km}
obd{DistanceWithMIL km, EngineLoad %, EthanolPercent %, FuelPressure kPa, FuelRailPressure kPa, FuelRate l/h}
obd{FuelTypeName string, IntakeTemp Cel, IsEngineBlocked, IsPTOActive, IsPluggedIn, LongTermFuelTrim1 %}
obd{LongTermFuelTrim2 %, MAP kPa, MaxMAF g/s, O2WRSensor1Voltage V, O2WRSensor2Voltage V, OilTemperature Cel}
obd{RunTime s, ShortTermFuelTrim1 %, StatusDTCCount 1, ThrottlePosition %, WarmupsSinceDTCClear 1}
powertrainCombustionEngineECT Cel
powertrainCombustionEngine{EOP kPa, EOT Cel, EngineOilLevel string, EngineOilRelativeLevel %, MAF g/s}
powertrainCombustionEngine{Speed rpm, TPS %, Torque N.m, TorquePercent %, DieselExhaustFluidCapacity l}
powertrainCombustionEngine{DieselExhaustFluidLevel %}
powertrainFuelSystem{AbsoluteLevel l, RelativeLevel %, AccumulatedConsumption l, SupportedFuelTypes string}
powertrainTransmission{ActualGear 1, ActualGearRatio 1, CurrentGear 1, SelectedGear 1, IsClutchSwitchOperated}
powertrainTransmission{Temperature Cel, RetarderActualTorque %, RetarderTorqueMode string}
service{DistanceToService km, TimeToService s}
body{LightsIsAirbagWarningOn, LockIsLocked, TrunkFrontIsOpen, TrunkRearIsOpen}
cabinDoorRow1{DriverSideIsOpen, DriverSideWindowIsOpen, PassengerSideIsOpen, PassengerSideWindowIsOpen}
cabinDoorRow2{DriverSideIsOpen, DriverSideWindowIsOpen, PassengerSideIsOpen, PassengerSideWindowIsOpen}
cabinSeatRow1{DriverSideIsBelted, PassengerSideIsBelted}
cabinSeatRow2{DriverSideIsBelted, MiddleIsBelted, PassengerSideIsBelted}
cabinSeatRow3{DriverSideIsBelted, PassengerSideIsBelted}
chassisAxleRow1Wheel{LeftSpeed km/h, RightSpeed km/h, LeftTirePressure kPa, RightTirePressure kPa}
chassisAxleRow2Wheel{LeftTirePressure kPa, RightTirePressure kPa}
chassisAxleRow{3Weight kg, 4Weight kg, 5Weight kg}
chassisBrake{ABSIsWarningOn, IsPedalPressed, PedalPosition %, Circuit1PressurePrimary kPa}
chassisBrakeCircuit2PressurePrimary kPa
chassisParkingBrakeIsEngaged
chassisTireSystemIsWarningOn
connectivityCellularIsJammingDetected
angularVelocityYaw deg/s
"""


def _expanded(text: str) -> dict[str, str]:
    """Return name: unit; a flag, which the server reads as a number, has "0/1"."""
    found = {}
    for line in text.strip().splitlines():
        stem, _, parts = line.partition("{")
        for part in parts.rstrip("}").split(", ") if parts else [stem]:
            name, *unit = re.split(" ", part)
            found[stem + name if parts else name] = unit[0] if unit else "0/1"
    return found


KINDS = _expanded(TEXT)
