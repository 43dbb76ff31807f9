"""The recorded days in `data/`, whose README names their sources and licences."""

import csv
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data"


@cache
def golden_pv_mw() -> tuple[int, ...]:
    """AC power of the PV system near Golden, Colorado, each minute of 2022-03-19 from local midnight on."""
    with (DATA / "pv_serf_east_2022-03-19_1min.csv").open(newline="") as file:
        return tuple(round(float(row["ac_power_w"]) * 1000) for row in csv.DictReader(file))


@cache
def home_mw() -> tuple[tuple[tuple[int, int], ...], ...]:
    """(load, PV) means of the Sydney home: 31 days of January 2012, 48 half hours each."""
    with (DATA / "home_ausgrid12_2012-01_30min.csv").open(newline="") as file:
        rows = [(round(float(row["load_kw"]) * 1e6), round(float(row["pv_kw"]) * 1e6)) for row in csv.DictReader(file)]
    return tuple(tuple(rows[start : start + 48]) for start in range(0, len(rows), 48))
