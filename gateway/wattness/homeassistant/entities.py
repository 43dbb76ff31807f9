"""What Home Assistant is told of boards, streams and networks: its MQTT discovery, pure.

Source: Home Assistant, "MQTT" integration, device discovery (`<prefix>/device/<object id>/config`, since 2024.11), and
the device and state classes of sensors. An energy counter is `energy` + `total_increasing` in Wh, which is what the
Energy dashboard accepts.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from wattness.store.views import BoardView, PointView, StreamView

OBJECT_PREFIX = "wattness_"
ORIGIN_URL = "https://pypi.org/project/wattness/"

Json = dict[str, Any]


class Kind(NamedTuple):
    """How Home Assistant sees a unit."""

    device_class: str | None
    state_class: str | None
    unit: str | None
    digits: int | None


_UNITS = {
    "W": Kind("power", "measurement", "W", 0),
    "VA": Kind("apparent_power", "measurement", "VA", 0),
    "var": Kind("reactive_power", "measurement", "var", 0),
    "Wh": Kind("energy", "total_increasing", "Wh", 0),
    "V": Kind("voltage", "measurement", "V", 1),
    "A": Kind("current", "measurement", "A", 2),
    "Hz": Kind("frequency", "measurement", "Hz", 2),
    "Cel": Kind("temperature", "measurement", "°C", 1),
    "km/h": Kind("speed", "measurement", "km/h", 0),
    "km": Kind("distance", "measurement", "km", 0),
    "%": Kind(None, "measurement", "%", 0),
    "1": Kind(None, None, None, None),
}
_POINTS = {
    "soc": Kind("battery", "measurement", "%", 0),
    "odometer": Kind("distance", "total_increasing", "km", 0),
    "power_factor": Kind("power_factor", "measurement", None, 2),
}
_BINARY = {"charging": "battery_charging", "plugged": "plug"}  # of value 0 or 1
_ENERGY_NAMES = {
    "pv": ("Energy consumed", "Energy generated"),
    "battery": ("Energy charged", "Energy discharged"),
    "vehicle": ("Energy charged", "Energy returned"),
    "charger": ("Energy charged", "Energy returned"),
    "load": ("Energy consumed", "Energy returned"),
    "grid": ("Energy from the grid", "Energy to the grid"),
}
_HEALTH = {  # of a health record: what a person may want to watch
    "rssi_dbm": ("Wi-Fi signal", Kind("signal_strength", "measurement", "dBm", 0)),
    "heap_free_bytes": ("Free memory", Kind("data_size", "measurement", "B", 0)),
    "flash_free_bytes": ("Free flash", Kind("data_size", "measurement", "B", 0)),
    "bus_percent": ("Bus use", Kind(None, "measurement", "%", 0)),
    "polls": ("Polls", Kind(None, "total_increasing", None, 0)),
    "silent_polls": ("Polls without an answer", Kind(None, "total_increasing", None, 0)),
    "clock_offset_ms": ("Clock offset", Kind("duration", "measurement", "ms", 0)),
    "reset": ("Last reset", Kind(None, None, None, None)),
}


class Topics(NamedTuple):
    """Where the gateway of this hash publishes; `root` is ours, `discovery` Home Assistant's."""

    discovery: str  # homeassistant
    gateway: str  # hex

    @property
    def root(self) -> str:
        """Where all states of this gateway are."""
        return f"wattness/home/{self.gateway[:16]}"

    @property
    def status(self) -> str:
        """Online | offline, of the gateway itself."""
        return f"{self.root}/status"

    def config(self, name: str) -> str:
        """Where a device is described."""
        return f"{self.discovery}/device/{self.object_id(name)}/config"

    def object_id(self, name: str) -> str:
        """The device's id, unlike any other gateway's."""
        return f"{OBJECT_PREFIX}{self.gateway[:16]}_{name}"

    def state(self, name: str) -> str:
        """A device's values, a JSON object."""
        return f"{self.root}/{name}/state"

    def available(self, name: str) -> str:
        """Online | offline, of a device."""
        return f"{self.root}/{name}/available"


class Device(NamedTuple):
    """One device to publish: a short name, and what describes it."""

    name: str
    config: Json


def stream_name(stream: StreamView) -> str:
    """Return a stream's short name, the same for ever."""
    return f"s{stream.board_key[:16]}_{stream.device}"


def board_name(board: BoardView) -> str:
    """Return a board's short name, the same for ever."""
    return f"b{board.kid}"


def describe_stream(topics: Topics, stream: StreamView, version: str) -> Device:
    """Return the device of one stream: an entity per point."""
    name = stream_name(stream)
    entities = {point.name: _point_entity(topics, name, stream.role, point) for point in stream.points}
    device = {
        "identifiers": [topics.object_id(name)],
        "name": f"{stream.board} {stream.role}",
        "manufacturer": "Wattness",
        "model": stream.profile,
        "via_device": topics.object_id(f"b{stream.board_key[:16]}"),
    }
    return _device(topics, name, device, entities, version)


def describe_board(topics: Topics, board: BoardView, version: str) -> Device:
    """Return the device of one board: diagnostics only. Its kid begins its board key."""
    name = board_name(board)
    entities = {
        "log_head": _sensor(topics, name, "log_head", "Frames kept", Kind(None, "total_increasing", None, 0)),
        "missing": _sensor(topics, name, "missing", "Frames missing", Kind(None, "measurement", None, 0)),
        "newest": _sensor(topics, name, "newest", "Newest frame", Kind("timestamp", None, None, None)),
    }
    for key, (title, kind) in _HEALTH.items():
        if board.health is not None and key in board.health:
            entities[key] = _sensor(topics, name, key, title, kind)
    for entity in entities.values():
        entity["entity_category"] = "diagnostic"
    what = "board" if board.provenance == "board" else "read by the gateway itself"
    device = {
        "identifiers": [topics.object_id(name)],
        "name": board.name,
        "manufacturer": "Wattness",
        "model": what,
        "via_device": topics.object_id("gateway"),
    }
    return _device(topics, name, device, entities, version)


def describe_gateway(topics: Topics, networks: Iterable[tuple[str, str]], version: str) -> Device:
    """Return the gateway's own device: outbox and pay of each (network, unit of pay)."""
    entities = {}
    for network, unit in networks:
        key = f"paid_{network}"
        entities[key] = _sensor(topics, "gateway", key, f"{network} rewards", Kind(None, "total", unit, None))
        key = f"waiting_{network}"
        kind = Kind(None, "measurement", None, 0)
        entities[key] = _sensor(topics, "gateway", key, f"{network} reports waiting", kind)
        entities[key]["entity_category"] = "diagnostic"
    device = {
        "identifiers": [topics.object_id("gateway")],
        "name": "Wattness gateway",
        "manufacturer": "Wattness",
        "sw_version": version,
    }
    return _device(topics, "gateway", device, entities, version)


def board_state(board: BoardView) -> Json:
    """Return the values of a board's entities."""
    log = board.log
    values: Json = {
        "log_head": None if log is None else log.head,
        "missing": None if log is None else log.top - log.head,
        "newest": None if board.last_unix_ms is None else _iso(board.last_unix_ms),
    }
    health: Mapping[str, Any] = board.health or {}
    return values | {key: health.get(key) for key in _HEALTH if key in health}


def _device(topics: Topics, name: str, device: Json, entities: Mapping[str, Json], version: str) -> Device:
    availability = [{"topic": topics.status}]
    if name != "gateway":
        availability.append({"topic": topics.available(name)})
    config = {
        "device": device,
        "origin": {"name": "wattness", "sw_version": version, "support_url": ORIGIN_URL},
        "components": entities,
        "availability": availability,
        "availability_mode": "all",
        "state_topic": topics.state(name),
        "qos": 1,
    }
    return Device(name, config)


def _point_entity(topics: Topics, name: str, role: str, point: PointView) -> Json:
    if point.name in _BINARY:
        return {
            "platform": "binary_sensor",
            "name": title(role, point.name),
            "unique_id": f"{topics.object_id(name)}_{point.name}",
            "device_class": _BINARY[point.name],
            "value_template": f"{{{{ none if value_json['{point.name}'] is none"
            f" else ('ON' if value_json['{point.name}'] else 'OFF') }}}}",
        }
    kind = _POINTS.get(point.name) or _UNITS.get(point.unit) or Kind(None, "measurement", point.unit, None)
    return _sensor(topics, name, point.name, title(role, point.name), kind)


def title(role: str, point: str) -> str:
    """Return what a person calls a point of a stream of this role."""
    stem, _, phase = point.partition("_l") if point[-3:-1] == "_l" else (point, "", "")
    suffix = f" L{phase}" if phase else ""
    if stem in {"energy_import", "energy_export"}:
        return _ENERGY_NAMES[role][stem == "energy_export"] + suffix
    if stem in {"soc", "soh"}:
        return {"soc": "State of charge", "soh": "State of health"}[stem]
    return stem.replace("_", " ").capitalize() + suffix


def _sensor(topics: Topics, name: str, key: str, label: str, kind: Kind) -> Json:
    entity: Json = {
        "platform": "sensor",
        "name": label,
        "unique_id": f"{topics.object_id(name)}_{key}",
        "value_template": f"{{{{ value_json['{key}'] }}}}",
    }
    for field, value in (
        ("device_class", kind.device_class),
        ("state_class", kind.state_class),
        ("unit_of_measurement", kind.unit),
        ("suggested_display_precision", kind.digits),
    ):
        if value is not None:
            entity[field] = value
    return entity


def _iso(unix_ms: int) -> str:
    return dt.datetime.fromtimestamp(unix_ms / 1000, dt.UTC).isoformat(timespec="seconds")


def stale(found: Sequence[str], topics: Topics, current: Iterable[str]) -> list[str]:
    """Return those retained discovery topics of this gateway that describe nothing any more."""
    ours = f"{topics.discovery}/device/{OBJECT_PREFIX}{topics.gateway[:16]}_"
    kept = {topics.config(name) for name in current}
    return [topic for topic in found if topic.startswith(ours) and topic not in kept]
