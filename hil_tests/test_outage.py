"""A week without Wi-Fi: the board keeps every frame, and every one is acknowledged afterwards."""

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import pytest

from civilclock import Clock
from demo.home import Home
from emulator.flash import read_log
from emulator.metered import Metered
from emulator.site import GOLDEN_START_MS
from emulator.target import EmulatedTarget, Target, UnableError
from wattwire import cose, frame

WEEK_S = 7 * 86_400
BRISK_RATE, FULL_RATE = 60_000, 600  # how fast the week goes by; the slower, the more rows it has
FRAMES = 20  # of a week, at least
SETTINGS = {"frame_ms": 300_000, "health_ms": 600_000, "clock_step_ms": 3_600_000}


RATES = (
    pytest.param(BRISK_RATE, marks=pytest.mark.timeout(240)),
    pytest.param(FULL_RATE, marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
)


@pytest.fixture(params=RATES)
def clock(request: pytest.FixtureRequest) -> Clock:
    """A clock by which the week is short."""
    if request.config.getoption("--target") != "emulated":
        pytest.skip("only an emulated board's week can be short")
    return Clock(time.time_ns() // 1_000_000, GOLDEN_START_MS, request.param)


async def test_a_week_without_wifi_loses_nothing(target: Target, home: Home, clock: Clock, tmp_path: Path) -> None:
    if not isinstance(target, EmulatedTarget):
        raise UnableError("a real board's week is a week")
    target.settings.update(SETTINGS)
    public_key = await target.make_key()
    file = tmp_path / "enrolment.json"
    await target.configure(await home.enrol(public_key, "under test", file), file)
    metered = Metered(target, home, bytes.fromhex(public_key))
    before = await metered.wait(lambda records: any(record.kind == frame.KIND_ROWS for record in records))
    await target.wifi(on=False)
    kept = await _week(target.board.flash_image, clock)
    while_away = await metered.records()
    await target.wifi(on=True)
    records = await metered.wait(lambda records: _is_delivered(records, max(kept)[1]))
    assert len(while_away) <= len(kept) - FRAMES, "nothing came while there was no Wi-Fi"
    assert [(record.log, record.seq) for record in records] == [(1, seq) for seq in range(1, len(records) + 1)]
    assert not [record.lost for record in records if record.lost]
    for one, other in pairwise(records):
        assert other.prev == frame.prev_of(frame.encode(one))
    for (_, seq), data in kept.items():
        assert frame.decode(cose.verify(metered.public_key, data)) == records[seq - 1]
    rows_ms = [record.up for record in records if record.kind == frame.KIND_ROWS]
    assert rows_ms[-1] - rows_ms[0] >= 1000 * WEEK_S
    health = [record.body.values for record in records if record.kind == frame.KIND_HEALTH]
    assert {(values["thinned_rows"], values["unstored_rows"]) for values in health} == {(0, 0)}
    assert {record.boot for record in records} == {before[0].boot}, "the board did not start anew"


async def _week(flash_image: Path, clock: Clock) -> dict[tuple[int, int], bytes]:
    """Let a week go by, and more where the board is too slow for it to be one; return the frames on its flash."""
    before = len(read_log(flash_image))
    await asyncio.sleep(WEEK_S / clock.rate)
    while len(kept := read_log(flash_image)) < before + FRAMES:
        await asyncio.sleep(0.2)
    return kept


def _is_delivered(records: list[frame.Record], last: int) -> bool:
    """Whether the board knows that the gateway has everything that was on its flash."""
    health = [record.body.values for record in records if record.kind == frame.KIND_HEALTH]
    return bool(health) and health[-1]["acked_seq"] >= last
