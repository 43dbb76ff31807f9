"""Which profile a unit's registers fit best: by its SunSpec map, else by values that only the right map shows."""

import functools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from wattness.profiles import bundled_profile, model_profile, profile_ids, profiles_dir
from wattwire import profile, reading, sunspec
from wattwire.errors import WireError
from wattwire.modbus import ILLEGAL_DATA_ADDRESS, ModbusError
from wattwire.plan import Read

SUNSPEC = "sunspec"
ROLES = ("grid", "pv", "load", "battery", "charger")
# What a device on the mains shows and hardly any other register does.
BANDS = {"frequency": (45, 65), "voltage": (80, 290), "battery_voltage": (10, 900), "soc": (0, 100)}
TELLING = ("frequency", "voltage", "battery_voltage")
POWER_FACTOR = (-1.01, 1.01)
SCORE_LEAST = 1

Ask = Callable[[Read, int], bytes | None]  # a read and the bytes of a register → what came


class Guess(NamedTuple):
    """A profile that fits, with the roles it can have and what it reads just now."""

    profile: str
    title: str
    roles: tuple[str, ...]
    score: int  # how many telling values it shows
    blanks: int  # and how many it should show and does not
    shown: dict[str, str]


def guess(ask: Ask) -> list[Guess]:
    """Return the profiles that fit a unit, the best first; none if nothing does."""
    cached = functools.cache(ask)
    models = _models(cached)
    if models:
        roles = tuple(role for role in ROLES if model_profile(models, role) is not None)
        if roles:
            names = ", ".join(str(model.id) for model in models)
            return [Guess(SUNSPEC, f"SunSpec models {names}", roles, len(models), 0, {})]
    found = [each for name in serial_profiles() if (each := _fit(name, cached)) is not None]
    return sorted(found, key=lambda each: (-each.score, each.blanks, each.profile))


@functools.cache
def serial_profiles() -> tuple[str, ...]:
    """Return the profiles of devices that are read over a serial line, and not by a SunSpec walk."""
    found = []
    for name in profile_ids():
        form = json.loads((profiles_dir() / f"{name}.json").read_bytes())
        if "baud" in form.get("bus", {}) and not form.get("walk"):
            found.append(name)
    return tuple(found)


def _models(ask: Ask) -> list[sunspec.Model]:
    walker = sunspec.Walker()
    while (read := walker.next()) is not None:
        data = ask(read, 2)
        if data is not None:
            walker.take(data)
        else:
            walker.fail(ModbusError(ILLEGAL_DATA_ADDRESS))  # nothing there, as far as can be told
    return list(walker.models)


def _fit(name: str, ask: Ask) -> Guess | None:
    loaded = bundled_profile(name)
    bound = profile.bind(loaded)
    width = bound.manner.width
    wanted = [(read, ask(read, width)) for read in profile.plan(bound, bound.default)]
    if any(data is None for _, data in wanted):
        return None
    telling = [point for point in bound.points if _kind(point.name) in TELLING]
    # One by one: a meter with one phase may refuse a read that goes over two.
    more = [(read, ask(read, width)) for point in telling for read in profile.plan(bound, (point.name,))]
    answers = wanted + [each for each in more if each[1] is not None]
    try:
        values = reading.decode(bound, [*bound.default, *(point.name for point in telling)], answers)
    except WireError:
        return None
    if any(_is_odd(point, value) for point, value in values.items()):
        return None
    shows = {(point.fc, point.address): bool((values[point.name] or (0, 0))[0]) for point in telling}
    score = sum(shows.values())
    if score < SCORE_LEAST:
        return None
    units = {point.name: point.unit for point in bound.points}
    read = {point: value for point in bound.default if (value := values[point]) is not None}
    shown = {point: f"{_number(value):g} {units[point]}" for point, value in read.items()}
    return Guess(name, loaded.title, loaded.roles or _roles(loaded.positive), score, len(shows) - score, shown)


def _roles(positive: str) -> tuple[str, ...]:
    return ("pv",) if positive == "export" else ROLES


def _kind(point: str) -> str:
    return point.partition("_l")[0]


def _is_odd(point: str, value: Any) -> bool:
    """Whether no device of that kind can show this."""
    if value is None or value[0] == 0:
        return False
    low, high = POWER_FACTOR if _kind(point) == "power_factor" else BANDS.get(_kind(point), (None, None))
    return low is not None and high is not None and not low <= _number(value) <= high


def _number(value: tuple[int, int]) -> float:
    return float(value[0] * 10.0 ** value[1])
