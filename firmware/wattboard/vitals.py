"""What a health record says; on loan whenever one is due."""

from wattboard import hal
from wattboard.loan import Loan


def gather(health, meter, log, clock, state):
    """Return the values of a health record."""
    size, free = hal.flash_bytes()
    recorder = meter.recorder
    values = {
        "reset": hal.reset_cause(),
        "heap_free_bytes": health.heap_free_bytes,
        "heap_low_bytes": health.heap_low_bytes,
        "flash_bytes": size,
        "flash_free_bytes": free,
        "log_bytes": log.used_bytes(),
        "log_percent": 100 * log.waiting_bytes() // max(1, log.limit_bytes),
        "acked_seq": log.acked,
        "clock_offset_ms": clock.offset_ms,
        "clock_error_ms": clock.error_ms,
        "clock_steps": clock.steps,
        "rssi_dbm": hal.rssi_dbm(),
        "command": state.command(),
        "polls": meter.polls,
        "silent_polls": meter.silent_polls,
        "silent_units": meter.silent_units(),
        "empty_polls": meter.empty_polls,
        "thinned_rows": recorder.thinned_rows,
        "unstored_rows": recorder.unstored_rows,
    }
    regions = hal.idf_heap()
    if regions is not None:
        values["idf_free_bytes"] = sum([region[0] for region in regions])
        values["idf_largest_bytes"] = max([region[1] for region in regions])
        values["idf_low_bytes"] = sum([region[2] for region in regions])
    for device in meter.devices:
        values.update(_unit(device))
    values.update(_bus_use(health, meter))
    if not recorder.is_offline():
        with Loan("wattboard.boots") as boots:
            values["boots"] = boots.told()
    return values


def _unit(device):
    """Return how a device on the bus, or by radio, is heard."""
    unit = device.unit
    values = {"errors_unit_%d" % unit: device.errors}
    if device.pace.answers:
        values["turnaround_us_unit_%d" % unit] = device.pace.turnaround_us
    if hasattr(device, "ble"):
        values["rssi_dbm_unit_%d" % unit] = device.rssi_dbm
        values["links_unit_%d" % unit] = device.links
    return values


def _bus_use(health, meter):
    """Return how busy the bus was since the last health record, and how many more reads a minute it could take."""
    now_ms = hal.real_ms()
    used = meter.devices[0].bus.use.take(1000 * (now_ms - health.bus_since_ms)) if meter.devices else None
    health.bus_since_ms = now_ms
    return {} if used is None else {"bus_percent": (used[0] + 5) // 10, "bus_headroom_per_min": used[1]}
