"""Which column of a recorded file is what, by its heading, such as `Power [kW]`, `pv_kw` or `total_yield_kwh`."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from wattness.errors import ConfigError

ROLE_WORDS = {
    "pv": {"pv", "solar", "generation", "generated", "production", "produced", "yield", "inverter"},
    "battery": {"battery", "batt", "bat", "storage"},
    "grid": {"grid", "mains", "net"},
    "load": {"load", "consumption", "consumed", "house", "home", "demand"},
    "vehicle": {"vehicle", "car"},
    "charger": {"charger", "wallbox", "evse"},
}
ROLES = tuple(ROLE_WORDS)

_TIMES = {"time", "timestamp", "datetime", "date", "unix", "epoch", "ts", "utc", "measured", "at"}
_UNITS = {  # unit: (quantity, factor to working units)
    "w": ("power", 1e3), "kw": ("power", 1e6), "watt": ("power", 1e3), "watts": ("power", 1e3),
    "wh": ("energy", 1e3), "kwh": ("energy", 1e6), "mwh": ("energy", 1e9),
    "v": ("voltage", 1e3), "volt": ("voltage", 1e3), "volts": ("voltage", 1e3), "hz": ("frequency", 1e3),
    "km": ("odometer", 1e3), "kmh": ("speed", 1e3), "kph": ("speed", 1e3),
}  # fmt: skip
_WORDS = {  # word: (quantity, factor when no unit says otherwise)
    "power": ("power", 1e3), "pac": ("power", 1e3), "p": ("power", 1e3),
    "energy": ("energy", 1e3), "counter": ("energy", 1e3), "total": ("energy", 1e3), "yield": ("energy", 1e3),
    "voltage": ("voltage", 1e3), "u": ("voltage", 1e3), "frequency": ("frequency", 1e3), "freq": ("frequency", 1e3),
    "f": ("frequency", 1e3), "soc": ("soc", 1e3), "speed": ("speed", 1e3), "odometer": ("odometer", 1e3),
    "mileage": ("odometer", 1e3), "latitude": ("latitude", 1e6), "lat": ("latitude", 1e6),
    "longitude": ("longitude", 1e6), "lon": ("longitude", 1e6), "lng": ("longitude", 1e6), "long": ("longitude", 1e6),
}  # fmt: skip
_EXPORT = {"export", "exported", "generation", "generated", "produced", "production", "yield", "sold", "feedin",
           "delivered", "discharge", "discharged", "out", "reverse"}  # fmt: skip
_IMPORT = {"import", "imported", "consumed", "consumption", "bought", "charge", "charged", "in", "forward"}
_OTHERS = {"dc", "reactive", "apparent", "var", "va", "kva", "kvar", "l1", "l2", "l3", "rated", "limit", "nominal",
           "max", "min", "peak", "forecast", "setpoint", "aux", "range", "factor"}  # fmt: skip


class Heading(NamedTuple):
    """A column that is read: its point's name, its own name, where it is, and the factor to working units."""

    point: str
    name: str
    columns: tuple[int, ...]  # the time may be in two
    factor: float
    rank: int = 0


def find_columns(header: Sequence[str], role: str, file: str) -> list[Heading]:
    """Return the time's heading and then those of a role; raises ConfigError."""
    words = [_words(name) for name in header]
    times = [at for at, found in enumerate(words) if found and set(found) & _TIMES and not set(found) & set(_UNITS)]
    if not times:
        raise ConfigError(f"{file} has no column for the time; name it time or timestamp in the first row.")
    points: dict[str, Heading] = {}
    for at, name in enumerate(header):
        heading = None if at in times else _heading(name, words[at], at, role)
        if heading is None:
            continue
        other = points.get(heading.point)
        if other is not None and other.rank == heading.rank:
            text = f"{file}: {other.name!r} and {name!r} both look like {heading.point}; leave one of them out."
            raise ConfigError(text)
        if other is None or other.rank < heading.rank:
            points[heading.point] = heading
    if points.keys().isdisjoint({"power", "energy_import", "energy_export", "speed", "odometer"}):
        text = f"{file} has no column for the power or energy of a {role}; name it power_w, pv_kw or energy_kwh, say."
        raise ConfigError(text)
    columns = _time_columns(words, times)
    return [Heading("time", "utc" if "utc" in words[columns[0]] else "time", columns, 1), *points.values()]


def _time_columns(words: Sequence[Sequence[str]], times: Sequence[int]) -> tuple[int, ...]:
    """Return the column of the time; two where a date and a time of day stand apart."""
    names = {words[at][-1]: at for at in reversed(times)}
    if "date" in names and "time" in names and len(words[names["time"]]) == len(words[names["date"]]) == 1:
        return (names["date"], names["time"])
    return (max(times, key=lambda at: ("unix" in words[at] or "utc" in words[at], -at)),)


def _words(name: str) -> list[str]:
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])(?!W\b|Wh\b)", "_", name.strip()).lower()
    plain = plain.replace("km/h", "kmh").replace("state_of_charge", "soc").replace("state of charge", "soc")
    return [word for word in re.split(r"[^a-z0-9]+", plain) if word]


def _heading(name: str, words: Sequence[str], at: int, role: str) -> Heading | None:
    found = set(words)
    own = bool(found & ROLE_WORDS[role])
    others = any(found & ROLE_WORDS[other] for other in ROLES if other != role)
    if not words or found & _OTHERS or (others and not own):
        return None
    quantity = _UNITS.get(words[-1]) or next((_WORDS[word] for word in words if word in _WORDS), None)
    if quantity is None:
        return None
    point, factor = quantity
    if point == "energy":
        point = _energy(found, role)
    return Heading(point, name, (at,), factor, own * 2 + bool(found & {"ac", "active"}))


def _energy(found: set[str], role: str) -> str:
    """Return which way a counter counts."""
    if found & _EXPORT and not found & _IMPORT:
        return "energy_export"
    if found & _IMPORT and not found & _EXPORT:
        return "energy_import"
    return "energy_export" if role == "pv" else "energy_import"
