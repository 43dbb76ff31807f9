"""A week without the gateway: every row is kept on a 2 MB flash beside two programs; what comes later is counted."""

from itertools import pairwise
from pathlib import Path

import pytest

from bench import flash
from emulator.flash import read_files, read_log
from wattwire import cose, frame

LIMIT_BYTES = 1_500_000
SMALL_BLOCKS = 176  # two programs and a few days' room

pytestmark = pytest.mark.timeout(120)


def _records(image: Path) -> list[frame.Record]:
    """Everything in the log, in order; nothing may be missing."""
    frames = read_log(image)
    assert sorted(frames) == [(1, seq) for seq in range(1, len(frames) + 1)]
    return [frame.decode(cose.parse(frames[key])[1]) for key in sorted(frames)]


def _rows(records: list[frame.Record]) -> dict[int, tuple[int, ...]]:
    """Every row, by its uptime."""
    found: dict[int, tuple[int, ...]] = {}
    for record in records:
        if record.kind == frame.KIND_ROWS:
            for entry in record.body.entries:
                columns = [frame.undelta(column) for column in entry.columns]
                found.update(zip(frame.times(entry, record.up), zip(*columns, strict=True), strict=True))
    return found


async def test_seven_days_of_rows_fit_beside_two_programs(tmp_path: Path) -> None:
    week = await flash.offline(tmp_path, flash.DAYS)
    assert len(week.rows) == 60_480
    assert (week.figures["thinned_rows"], week.figures["unstored_rows"]) == (0, 0)
    assert (week.figures["log_bytes"] or 0) <= (week.figures["flash_bytes"] or 0) <= LIMIT_BYTES
    slots = [data for path, data in read_files(week.image).items() if path.startswith("/slot_")]
    assert [len(slot) >= 128 * 1024 for slot in slots] == [True, True]
    records = _records(week.image)
    rows = _rows(records)
    held = [rows.pop(flash.FIRST_MS + index * flash.PERIOD_MS, None) for index in range(len(week.rows))]
    late = next((index for index, row in enumerate(held) if row is None), len(held))
    assert held[:late] == week.rows[:late]
    assert len(held) - late < 30, "no more than the last five minutes wait in memory for their frame"
    assert not rows
    assert max(len(read_log(week.image)[key]) for key in ((1, 1), (1, 100))) <= cose.FRAME_SIZE_MAX


async def test_what_no_longer_fits_is_thinned_first_and_then_counted(tmp_path: Path) -> None:
    found = await flash.offline(tmp_path, 60, held=flash.grid_rows(8640), blocks=SMALL_BLOCKS)
    thinned_ms, lost_ms = found.figures["first_thinned_ms"] or 0, found.figures["first_lost_ms"] or 0
    assert 0 < thinned_ms < lost_ms
    assert lost_ms > 1.5 * thinned_ms
    assert (found.figures["thinned_rows"] or 0) > 0
    records = _records(found.image)
    spacing = [after - before for before, after in pairwise(sorted(_rows(records)))]
    assert {10_000, 30_000, 60_000, 120_000} <= set(spacing)
    assert max(spacing) == 120_000, "covered to the end: two rows so far apart still join"
    assert records[0].seq == 1, "nothing that waits was dropped"
    told = [record.body.values["thinned_rows"] for record in records if record.kind == frame.KIND_HEALTH]
    assert told[0] == 0
    assert told == sorted(told)
    assert told[-1] > 0
