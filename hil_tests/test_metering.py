"""A board meters what its meters show, and nothing else, whatever happens on its bus."""

import pytest

from emulator.line import Fault, FaultKind
from emulator.metered import Metered, Row
from emulator.site import HomeSite, PvSite
from wattwire import frame

SLACK_MS = 300_000  # civil time by which a value may be younger than its row at 60×: five real seconds on a busy host
STEP_MS = 3000
WITHIN = {"power": 1.0, "energy_import": 2.0, "energy_export": 2.0, "frequency": 0.02}  # a meter's resolution

pytestmark = pytest.mark.timeout(180)


def _check(rows: list[Row]) -> None:
    """Every value lies within what the meter showed around the row's time."""
    pv, home = PvSite(), HomeSite()
    for row in rows:
        times = range(row.unix_ms - SLACK_MS, row.unix_ms + SLACK_MS + 1, STEP_MS)
        shown = [pv.values(ms) if row.role == "pv" else home.values(ms) for ms in times]
        for name, within in WITHIN.items():
            if name in row.values:
                values = [each[name] for each in shown]
                assert min(values) - within <= row.values[name] <= max(values) + within, (row, name)


def _rows_frames(records: list[frame.Record]) -> int:
    return sum(record.kind == frame.KIND_ROWS for record in records)


async def test_rows_are_what_the_meters_showed(metered: Metered) -> None:
    assert metered.target.bus.counts is not None  # the true values are known for an emulated bus alone
    await metered.wait(lambda records: _rows_frames(records) >= 4)
    rows = await metered.rows()
    assert {row.role for row in rows} == {"pv", "grid"}
    assert all(row.values["power"] > 3000 for row in rows if row.role == "pv")
    _check(rows)


async def test_a_noisy_bus_costs_rows_but_never_gives_a_wrong_value(metered: Metered) -> None:
    for unit in metered.target.bus.meters:
        metered.target.bus.fault(unit, Fault(FaultKind.ANY, share=0.4, late_ms=400))
    await metered.wait(lambda records: _rows_frames(records) >= 4)
    metered.target.bus.heal()
    before = len(await metered.rows())
    await metered.wait(lambda records: _rows_frames(records) >= 6)
    rows = await metered.rows()
    assert len(rows) > before
    assert sum(metered.target.bus.counts[kind.value] for kind in FaultKind) >= 4
    _check(rows)


async def test_a_dead_meter_does_not_stop_the_other(metered: Metered) -> None:
    await metered.wait(lambda records: _rows_frames(records) >= 1)
    metered.target.bus.fault(1, Fault(FaultKind.SILENCE))
    seen = len([row for row in await metered.rows() if row.role == "grid"])
    await metered.wait(lambda records: _rows_frames(records) >= 5)
    rows = await metered.rows()
    assert len([row for row in rows if row.role == "grid"]) > seen
    assert all(row.values for row in rows)  # a poll without an answer is no row, and no zero
    _check(rows)
