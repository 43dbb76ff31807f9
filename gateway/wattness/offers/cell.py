"""The site as a coarse H3 cell: where it is, no closer than its owner wants to tell."""

from typing import Any

import h3

from wattness.errors import ConfigError
from wattness.site import Site


def cell(site: Site | None) -> dict[str, Any]:
    """Return the cell that the site lies in; raises ConfigError without a site."""
    if site is None:
        raise ConfigError("$.site: is missing; set latitude and longitude, of which only a coarse cell is told")
    found = h3.latlng_to_cell(site.latitude, site.longitude, site.h3_resolution)
    return {
        "h3_cell": found,
        "h3_resolution": site.h3_resolution,
        "area_km2": round(h3.cell_area(found, "km^2"), 3),
    }
