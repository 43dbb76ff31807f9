"""What the profiles tell a search: factory settings, makers, and which points prove something."""

import functools
import json
from typing import Any, NamedTuple

from wattness.devices import BAUDS
from wattness.profiles import bundled_profile, profile_ids, profiles_dir
from wattwire import modbus, reading

USUAL_UNITS = (1, 126, *range(240, 248), 200)  # where inverters and the meters behind them answer
SERIAL_BAUDS = (9600, 19200, 2400, 4800, 115200, 38400)
VOLTAGES = ("voltage", "voltage_l1", "voltage_l2", "voltage_l3")
METERED = ("grid", "load", "charger", "vehicle")  # what one meter may be used for
PROOF = (*VOLTAGES, "frequency")
# Where makers keep a number for the model, and which numbers the models of a profile have.
MODELS = {"carlo_gavazzi_em24_e1": (modbus.INPUT, 0x0B, range(1648, 1654))}


class Sketch(NamedTuple):
    """A profile as a search sees it."""

    id: str
    maker: str  # the first word of its title, in small letters
    unit: int | None
    over_tcp: bool
    over_serial: bool
    connect_ms: int
    texts: tuple[str, ...]  # of its identity
    walks: bool
    proves: bool  # it has a voltage and a frequency


@functools.cache
def sketches() -> tuple[Sketch, ...]:
    """Return all profiles that the gateway itself can read at a device's own registers, or by a walk."""
    return tuple(
        _sketch(name)
        for name in profile_ids()
        if bundled_profile(name).manner.width == 2 and not bundled_profile(name).models
    )


def _sketch(name: str) -> Sketch:
    form: dict[str, Any] = json.loads((profiles_dir() / f"{name}.json").read_bytes())
    loaded = bundled_profile(name)
    bus = form.get("bus", {})
    names = {point.name for point in loaded.points}
    return Sketch(
        name,
        first_word(form["title"]),
        bus.get("unit"),
        "port" in bus,
        "baud" in bus,
        form.get("pace", {}).get("connect_ms", 0),
        tuple(item.name for item in loaded.identity),
        bool(loaded.walk),
        "frequency" in names and bool(names & set(VOLTAGES)),
    )


def first_word(text: str) -> str:
    """Return what makers are told apart by."""
    return (text.split() or [""])[0].lower()


def usual_units() -> tuple[int, ...]:
    """Return where devices on TCP answer, the factory settings of profiles among them; the most usual first."""
    own = (sketch.unit for sketch in sketches() if sketch.over_tcp and sketch.unit is not None)
    return tuple(dict.fromkeys((*USUAL_UNITS, *own)))


def usual_bauds() -> tuple[int, ...]:
    """Return the speeds of serial lines, the most usual first."""
    return tuple(baud for baud in SERIAL_BAUDS if baud in BAUDS)


def of_maker(maker: str | None) -> Sketch | None:
    """Return the profile for SunSpec devices of that maker, if it has one of its own: it knows their peculiarities."""
    word = first_word(maker or "")
    for sketch in sketches():
        if word and sketch.maker == word and (sketch.walks or "manufacturer" in sketch.texts):
            return sketch
    return None


def roles_of(name: str) -> tuple[str, ...]:
    """Return what a device is: all that a hybrid is, or the one that suits the direction of its power.

    Roles with the same power are one thing that its owner uses as he likes: the first one is proposed.
    """
    loaded = bundled_profile(name)
    if not loaded.roles:
        return ("pv",) if loaded.positive == "export" else ("grid",)
    found: dict[object, str] = {}
    for role in loaded.roles:
        found.setdefault(part_of(name, role), role)
    return tuple(found.values())


def part_of(name: str, role: str) -> object:
    """Return something that is alike for roles which are the same part of a device, whatever its owner calls it."""
    loaded = bundled_profile(name) if name in profile_ids() else None
    if loaded is None or loaded.walk:
        return "meter" if role in METERED else role
    if role not in loaded.roles:
        return "all of it"
    points = {point.name: point for point in bundled_profile(name, role).points}
    power = points.get("power") or points.get("dc_power")
    return role if power is None else (reading.span(power), *reading.parts(power))
