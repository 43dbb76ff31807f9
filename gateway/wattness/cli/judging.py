"""`quality`: judges recorded days with the rules that the gateway itself uses."""

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wattness.config import CONFIG_NAME
from wattness.errors import ConfigError

from .operating import echo_json

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from wattness.quality.recording import Recording
    from wattness.site import Site


_Panels = tuple[float | None, float | None, int | None]  # tilt, azimuth, peak power


class Role(StrEnum):
    """What a device is."""

    PV = "pv"
    BATTERY = "battery"
    GRID = "grid"
    LOAD = "load"
    VEHICLE = "vehicle"
    CHARGER = "charger"


def quality(  # noqa: PLR0913, PLR0917 - a command's options
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="CSV files with a time and power, energy …")],
    role: Annotated[Role, typer.Option(help="What was metered.")],
    rated_w: Annotated[int | None, typer.Option(min=1, help="What the device is rated for, in watts.")] = None,
    lat: Annotated[float | None, typer.Option(min=-90, max=90, help="Latitude in degrees, north positive.")] = None,
    lon: Annotated[float | None, typer.Option(min=-180, max=180, help="Longitude in degrees, east positive.")] = None,
    tilt: Annotated[float | None, typer.Option(min=0, max=90, help="Of the panels; 0 is flat.")] = None,
    azimuth: Annotated[float | None, typer.Option(min=0, max=360, help="90 east, 180 south, 270 west.")] = None,
    peak_w: Annotated[int | None, typer.Option(min=1, help="Peak power of the panels.")] = None,
    altitude_m: Annotated[float | None, typer.Option(min=-500, max=9000, help="Above the sea.")] = None,
    timezone: Annotated[str, typer.Option(help="Of times without one, such as Australia/Sydney; and of days.")] = "",
    modulus_wh: Annotated[int | None, typer.Option(min=1, help="Where the counters start again.")] = None,
) -> None:
    """Judge recorded days: one JSON object a day, with verdict and reasons."""
    from wattness.quality import sun
    from wattness.quality.days import Court, Device
    from wattness.quality.judge import Judge, unapplied
    from wattness.site import check_timezone

    zone = check_timezone(timezone, "--timezone") if timezone else None
    site = _site(lat, lon, altitude_m, (tilt, azimuth, peak_w))
    recordings = [(file, _read(file, role, zone)) for file in files]
    zoned = all(recording.zoned for _, recording in recordings)
    is_sunny = role == Role.PV and zoned and site is not None
    folder = context.obj / "sun" if (context.obj / CONFIG_NAME).exists() else Path("~/.cache/wattness").expanduser()
    court = Court(Judge(sun.load(site, folder) if is_sunny and site is not None else None), time.time_ns() // 1_000_000)
    device = Device(role, rated_w, modulus=None if modulus_wh is None else modulus_wh * 1000)
    left_out = unapplied(site, role, rated=rated_w is not None, zoned=zoned)
    for file, recording in recordings:
        for day in court.days(recording, device):
            named = {"file": str(file)} if len(files) > 1 else {}
            echo_json({**named, **day.to_json(), "not_applied": left_out})


def _site(
    lat: float | None,
    lon: float | None,
    altitude_m: float | None,
    panels: tuple[float | None, float | None, int | None],
) -> "Site | None":
    from wattness.site import Plane, Site

    tilt, azimuth, peak_w = panels
    if (tilt is None) != (azimuth is None):
        raise ConfigError("--tilt and --azimuth belong together: give both or none.")
    if peak_w is not None and tilt is None:
        raise ConfigError("--peak-w needs --tilt and --azimuth.")
    if lat is None or lon is None:
        if (lat, lon, tilt) != (None, None, None):
            raise ConfigError("--lat and --lon belong together, and --tilt needs them: give both.")
        return None
    planes = [] if tilt is None or azimuth is None else [Plane(tilt, azimuth, peak_w)]
    return Site(lat, lon, altitude_m=altitude_m, pv=planes)


def _read(file: Path, role: str, zone: "ZoneInfo | None") -> "Recording":
    from wattness.quality import recording

    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return recording.read(stream, str(file), role, zone)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
