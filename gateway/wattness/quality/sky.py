"""The child process that knows the sky: `python -m wattness.quality.sky` turns a place into a year's table.

It alone imports pvlib, which costs more memory than the whole gateway, and it ends as soon as the table is written.
Standard input is JSON `{"latitude", "longitude", "altitude_m", "planes": [[tilt, azimuth] …]}`. Standard output is,
each for every five minutes of a leap year in UTC: the sun's elevation in 0.01° (int16), then irradiance in W/m²
(uint16) under the clearest sky, first on a plane that follows the sun, then on each of the planes.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

YEAR = 2024  # a leap year; the others differ by less than the margins of the rules
STEP_MINUTES = 5
CLEAREST_TURBIDITY = 1.8  # Linke's; cleaner air is hardly ever seen
CLOUD_LIGHT = 0.7  # of a clear sky's light on flat ground: what bright clouds send to a plane that the sun is behind
ALTITUDE_M = 1000  # when nobody says: higher than most homes, so that the ceiling is not too low


def main() -> None:
    """Read a place, write its year."""
    place = json.load(sys.stdin)
    for column in _columns(place):
        sys.stdout.buffer.write(column.tobytes())


def _columns(place: dict[str, Any]) -> Iterator[Any]:
    """Yield the table's columns."""
    import pandas as pd  # noqa: PLC0415 - so that whoever looks at this module's constants does not pay for it
    from pvlib import irradiance  # noqa: PLC0415
    from pvlib.location import Location  # noqa: PLC0415

    altitude = ALTITUDE_M if place["altitude_m"] is None else place["altitude_m"]
    location = Location(place["latitude"], place["longitude"], "UTC", altitude)
    times = pd.date_range(f"{YEAR}-01-01", f"{YEAR + 1}-01-01", freq=f"{STEP_MINUTES}min", tz="UTC", inclusive="left")
    sun = location.get_solarposition(times)
    yield (sun["elevation"] * 100).round().to_numpy("<i2")
    sky = location.get_clearsky(times, solar_position=sun, linke_turbidity=CLEAREST_TURBIDITY)
    parts = (sky["dni"], sky["ghi"], sky["dhi"])
    for tilt, azimuth in [(sun["apparent_zenith"].clip(upper=90), sun["azimuth"]), *place["planes"]]:
        light = irradiance.get_total_irradiance(tilt, azimuth, sun["apparent_zenith"], sun["azimuth"], *parts)
        brightest = light["poa_global"].fillna(0).clip(lower=CLOUD_LIGHT * sky["ghi"].clip(lower=0))
        yield brightest.round().to_numpy("<u2")


if __name__ == "__main__":
    main()
