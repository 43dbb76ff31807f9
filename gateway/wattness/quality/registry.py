"""Every reason a verdict can have: its level, and what it means to a person and what they can do about it."""

from typing import NamedTuple

ACCEPTED = "accepted"
FLAGGED = "flagged"
QUARANTINED = "quarantined"
LEVELS = (ACCEPTED, FLAGGED, QUARANTINED)  # from good to bad


class Rule(NamedTuple):
    """One reason; `counter` is (name, reason) of the store's counter that says how often it was found."""

    code: str
    level: str
    title: str
    text: str

    @property
    def counter(self) -> tuple[str, str]:
        """Return the store's counter of this rule."""
        return ("verdict", self.code)


_RULES = (
    # What frames say of themselves.
    Rule("future_time", QUARANTINED, "Rows from the future",
         "The rows are dated later than the gateway's own clock. Check the clocks of the gateway and the board."),
    Rule("impossible_time", QUARANTINED, "Rows from before 1970",
         "The board dated its rows before any possible time. Restart the board, so that it takes the time anew."),
    Rule("frame_too_long", QUARANTINED, "A frame longer than a day",
         "One frame claims to hold rows that are more than a day apart. Update the board's firmware."),
    Rule("impossible_value", QUARANTINED, "An impossible value",
         "A value is outside of what can be at all, such as a negative counter, 15 % more than the rated power, or"
         " 70 Hz. Check the device's profile and its rated power."),
    Rule("clock_step", FLAGGED, "The board's clock jumped",
         "Two times of the board differ by more than the time that passed between them. Once, after the clock was set,"
         " is harmless; if it comes again, check the board's network time."),
    Rule("unknown_streams", FLAGGED, "Rows without a description",
         "The record that says what these rows mean is missing, so they are not claimed. Send the board `resync`."),
    Rule("unknown_stream", FLAGGED, "Rows of an undescribed device",
         "Some rows do not fit any device that the board has described. Send the board `resync`."),
    Rule("other_gateway", FLAGGED, "Metered for another gateway",
         "The board says that it meters for another gateway, so this one does not claim. Enrol the board here again."),
    Rule("too_many_streams", QUARANTINED, "Too many devices on one board",
         "The board has described more devices than a board can have. Reset it and enrol it anew."),
    Rule("hole", FLAGGED, "Frames are missing",
         "Some frames between the first and the last of this interval never came. Check the board's flash and signal."),
    Rule("board_quarantined", QUARANTINED, "The board is quarantined",
         "The board has signed two different frames for one place in its log. Find out why, then release it with"
         " `wattness board release`."),
    Rule("unsettled_point", QUARANTINED, "A register whose meaning is open",
         "The sources of the device's profile contradict each other about its power or energy. Compare with the"
         " device's own display; if it is right, name the point in the stream's `confirmed` in the board's"
         " configuration."),
    # Power.
    Rule("power_above_rated", QUARANTINED, "More power than the device can give",
         "The power is more than 15 % above what the device is rated for. Check the rated power and the profile's"
         " scale."),
    Rule("night_production", QUARANTINED, "Solar power at night",
         "The sun is far below the horizon, and yet the device says that it generates. Check the clock, the site's"
         " position and whether this meter also sees a battery."),
    Rule("night_draw", FLAGGED, "Much own use at night",
         "At night an inverter uses a few watts; this one uses more. Check whether a load is wired behind the meter, or"
         " the meter the wrong way round."),
    Rule("above_clear_sky", QUARANTINED, "More than a clear sky gives",
         "The power is more than these panels can give under the clearest sky. Check the site's position, the panels'"
         " tilt, azimuth and peak power, the clock, and the profile's scale."),
    Rule("power_spike", FLAGGED, "A single value far above the others",
         "For a moment the power was many times what it was before and after. Check the wiring of the data line and the"
         " profile's word order."),
    Rule("frozen_values", FLAGGED, "The values stand still",
         "The power has been exactly the same for an hour, and no counter moves with it. Restart the device or its data"
         " logger."),
    # Counters.
    Rule("counter_rollback", QUARANTINED, "The energy counter was turned back",
         "The counter fell, neither to zero nor by a roll-over, and no restart of the device explains it. Check whether"
         " the device was exchanged; give a new one its own serial."),
    Rule("counter_jump", QUARANTINED, "The energy counter jumped",
         "The counter rose by more than the rated power can deliver in that time. Check the rated power, the profile's"
         " scale, and whether the device was exchanged."),
    Rule("counter_resets", FLAGGED, "The energy counter often starts anew",
         "The counter fell to zero more than four times within a day. Check the device's power supply, and use its"
         " lifetime counter instead of the daily one."),
    Rule("power_against_counter", QUARANTINED, "Power and counter contradict each other",
         "The power over time and the counter's rise differ by far more than meters do. Check that both registers are"
         " of the same circuit, and the profile's scales."),
    # The same thing twice.
    Rule("repeated_day", QUARANTINED, "A repetition of earlier values",
         "An hour's values are, to the last digit, those of an earlier hour of the same device. Find out what feeds old"
         " values to the board."),
    Rule("duplicate_serial", QUARANTINED, "The same device on two boards",
         "Another board meters a device of the same serial and role at the same time. Remove one of the two."),
    Rule("duplicate_series", QUARANTINED, "The same values on two devices",
         "Another device shows exactly the same values at the same time. Remove one of the two."),
    # Scales.
    Rule("frequency_scale", QUARANTINED, "No mains frequency",
         "The frequency is not between 45 and 65 Hz, so the values are not what they are taken for. Check the profile's"
         " scale and word order."),
    Rule("voltage_scale", FLAGGED, "No usual voltage",
         "While power flows the voltage is far from any that such a device has. Check the profile's scale and word"
         " order."),
    # Batteries and vehicles.
    Rule("battery_balance", FLAGGED, "The battery gave more than it got",
         "Over a full cycle the battery delivered clearly more energy than it was charged with. Check the scales and"
         " signs of its two counters."),
    Rule("soc_against_energy", FLAGGED, "State of charge and energy disagree",
         "The state of charge moved against the flow of energy, or by more than the battery can hold. Check the sign of"
         " the battery's power and the scale of its state of charge."),
    Rule("odometer_rollback", QUARANTINED, "The odometer ran backwards",
         "The odometer fell. Check whether the dongle is in another car; each car is a device of its own."),
    Rule("odometer_jump", QUARANTINED, "The odometer jumped",
         "The odometer rose by more than a car can drive in that time. Check the profile's scale."),
    Rule("speed_impossible", QUARANTINED, "An impossible speed",
         "No car is that fast. Check the vehicle profile's scale."),
    Rule("speed_against_odometer", FLAGGED, "Speed and odometer disagree",
         "The speed over time and the odometer's rise differ by far more than instruments do. Check the vehicle"
         " profile's scales."),
    Rule("position_jump", FLAGGED, "Position and odometer disagree",
         "The position moved further than the car has driven or could drive. Check the positioning, or whether the"
         " dongle and the car are one."),
    # Recorded files only.
    Rule("rows_not_rising", FLAGGED, "Rows out of order",
         "Rows are dated at or before the row above them; they are left out. Check the clock and the export."),
)  # fmt: skip

RULES = {rule.code: rule for rule in _RULES}


def rules() -> tuple[Rule, ...]:
    """Return every rule there is, in the order in which people should read them."""
    return _RULES


def worst(codes: "frozenset[str] | set[str]") -> str:
    """Return the verdict that follows from these reasons."""
    levels = {RULES[code].level for code in codes}
    return next((level for level in (QUARANTINED, FLAGGED) if level in levels), ACCEPTED)
