"""Which meters hang on a bus, written as `unit:kind:place`, e.g. `1:sdm120:golden.pv`."""

from collections.abc import Iterable

from civilclock import Clock
from emulator.errors import EmulatorError
from emulator.meters import KINDS, Meter
from emulator.site import HomeSite, MeteringPoint, PvSite

PLACES = ("golden.pv", "home.grid", "home.load", "home.pv")


def metering_point(place: str, seed: int = 0) -> MeteringPoint:
    """The metering point of that name."""
    if place == "golden.pv":
        return PvSite(seed).pv
    home = HomeSite(seed)
    points = {"home.grid": home.grid, "home.load": home.load, "home.pv": home.pv}
    if place not in points:
        raise EmulatorError(f"no place {place!r}: there are {', '.join(PLACES)}")
    return points[place]


def wire(texts: Iterable[str], clock: Clock, seed: int = 0) -> list[Meter]:
    """The meters that `texts` describe; raises EmulatorError."""
    meters = []
    for text in texts:
        unit, _, rest = text.partition(":")
        kind, _, place = rest.partition(":")
        if not unit.isdigit() or not 1 <= int(unit) <= 247:
            raise EmulatorError(f"{text!r}: the unit must be 1 to 247")
        if kind not in KINDS:
            raise EmulatorError(f"{text!r}: no kind {kind!r}: there are {', '.join(KINDS)}")
        meters.append(KINDS[kind](int(unit), metering_point(place, seed), clock.now_ms))
    if len({meter.unit for meter in meters}) < len(meters):
        raise EmulatorError("two meters have the same unit")
    return meters
