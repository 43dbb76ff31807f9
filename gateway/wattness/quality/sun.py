"""The sun over a site: a year's table, made once by a child process and kept in a file."""

import hashlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from wattness.errors import ConfigError
from wattness.site import Plane, Site

BIN_MS = 300_000
BINS_PER_DAY = 288
BINS = 366 * BINS_PER_DAY
CHILD_S = 300
_FORM = "3"  # of the table; another one makes files of another name

log = logging.getLogger(__name__)


class Sun:
    """Elevation and clear-sky irradiance at any time; times are UTC unix ms."""

    def __init__(self, site: Site, table: bytes) -> None:
        """`table` is what the child wrote for this site."""
        planes = len(site.pv)
        if len(table) != 2 * BINS * (2 + planes):
            raise ValueError("not a table of this site")
        self._elevation = memoryview(table[: 2 * BINS]).cast("h")
        light = memoryview(table[2 * BINS :]).cast("H")
        self._light = [light[at * BINS : (at + 1) * BINS] for at in range(1 + planes)]
        self._planes = site.pv

    def elevation(self, a: int, b: int) -> float | None:
        """Return the sun's greatest height in [a, b), in degrees; None when the time is none."""
        found = _highest(self._elevation, a, b)
        return None if found is None else found / 100

    def planes(self, device: str) -> list[tuple[int, Plane]]:
        """Return (number, plane) of the panels of a device; empty when nobody said how they stand."""
        own = [found for found in enumerate(self._planes) if found[1].device == device]
        return own or [found for found in enumerate(self._planes) if not found[1].device]

    def light(self, number: int | None, a: int, b: int) -> int | None:
        """Return the greatest irradiance in [a, b) on a plane, or (None) on one that follows the sun, in W/m²."""
        return _highest(self._light[0 if number is None else number + 1], a, b)


def load(site: Site, folder: Path | None) -> Sun:
    """Return the sun over a site, from the table in `folder` or, where there is none yet, from a new one.

    Takes seconds the first time. Raises ConfigError when the table cannot be made.
    """
    place = _place(site)
    path = None if folder is None else folder / f"{hashlib.sha256(f'{_FORM}{place}'.encode()).hexdigest()[:16]}.sun"
    if path is not None:
        try:
            return Sun(site, path.read_bytes())
        except (OSError, ValueError):
            log.info("a new sun table is made path=%s", path)
    table = _make(place)
    if path is not None:
        _keep(path, table)
    return Sun(site, table)


def _place(site: Site) -> str:
    planes = [[plane.tilt_deg, plane.azimuth_deg] for plane in site.pv]
    fields = {"latitude": site.latitude, "longitude": site.longitude, "altitude_m": site.altitude_m, "planes": planes}
    return json.dumps(fields)


def _make(place: str) -> bytes:
    command = [sys.executable, "-W", "ignore", "-m", "wattness.quality.sky"]
    try:
        done = subprocess.run(command, input=place.encode(), capture_output=True, timeout=CHILD_S, check=True)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines() or ["no reason"]
        raise ConfigError(f"The sun's table cannot be computed ({lines[-1]}); is pvlib installed?") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"The sun's table cannot be computed: {error}.") from None
    return done.stdout


def _keep(path: Path, table: bytes) -> None:
    """Write the table for the next time; without it the next start takes longer, and nothing else."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_bytes(table)
        new.replace(path)
    except OSError as error:
        log.warning("the sun's table cannot be kept path=%s error=%s", path, error)


def _highest(column: Sequence[int], a: int, b: int) -> int | None:
    """Return the greatest value of a column within [a, b), with a bin to spare on both sides."""
    try:
        moment = time.gmtime(a // 1000)
    except (OverflowError, ValueError, OSError):
        return None
    day = moment.tm_yday - 1
    if day > 58 and (moment.tm_year % 4 or (moment.tm_year % 100 == 0 and moment.tm_year % 400)):
        day += 1  # the table's year is a leap year
    first = day * BINS_PER_DAY + (moment.tm_hour * 60 + moment.tm_min) // 5 - 1
    count = min(-(-(b - a) // BIN_MS) + 3, BINS_PER_DAY)
    if first >= 0 and first + count <= BINS:
        return max(column[first : first + count])
    return max(column[at % BINS] for at in range(first, first + count))
