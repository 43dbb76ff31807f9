"""Where the devices stand: the part of the configuration that the sun's rules need."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from .errors import ConfigError

Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)]
Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180)]


class Plane(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One plane of panels. Without `device` it is for every pv stream that no other plane names."""

    tilt_deg: Annotated[float, msgspec.Meta(ge=0, le=90)]
    azimuth_deg: Annotated[float, msgspec.Meta(ge=0, le=360)]  # 90 east, 180 south, 270 west
    peak_w: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None  # of the panels; else from rated power
    device: str = ""  # a stream's device, as `wattness status` and the page show it


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The site. Without planes the panels may point anywhere, even follow the sun."""

    latitude: Latitude
    longitude: Longitude
    timezone: str = "UTC"  # whose days the history shows
    altitude_m: Annotated[float, msgspec.Meta(ge=-500, le=9000)] | None = None
    h3_resolution: Annotated[int, msgspec.Meta(ge=0, le=9)] = 5  # of what others may be told: 5 is about 250 km²
    pv: list[Plane] = []


def check_timezone(name: str, path: str) -> ZoneInfo:
    """Return the time zone; raises ConfigError naming the key's `path`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"{path}: {name!r} is no time zone; write one such as Europe/Berlin") from None
