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
BRISK_RATE, FULL_RATE = 60_000, 3_000  # how fast the week goes by; the slower, the more rows it has
FRAMES = 20  # of a week, at least
PATIENCE_S = 600  # a board that was away for long tries once a minute, and has two thousand frames to deliver
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
    await _delivered(home, max(kept)[1])
    records = await metered.records()
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


async def _delivered(home: Home, last: int) -> None:
    """Return when the board says that the gateway has everything that was on its flash."""
    async with asyncio.timeout(PATIENCE_S):
        while ((await home.get("boards"))[0]["health"] or {}).get("acked_seq", 0) < last:
            await asyncio.sleep(1)
