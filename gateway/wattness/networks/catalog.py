"""Every kind of network that the gateway knows, as data; its adapter is imported when it is opened."""

from .base import Kind

GENERATION, CARBON, METER_DATA, VEHICLE_DATA = "generation", "carbon", "meter_data", "vehicle_data"
ALL_ROLES = frozenset({"pv", "battery", "grid", "load", "vehicle", "charger"})

CATALOG: dict[str, Kind] = {
    "wattnet": Kind(
        title="Wattnet, the reference network",
        module="wattness.networks.wattnet",
        curve="",
        roles=ALL_ROLES,
        claims=frozenset(),
        unit="points",
        status="ready",
        gate="Whoever runs a wattnet sets its rules; it asks for no approval.",
    ),
}
