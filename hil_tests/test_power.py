"""A board whose power goes at any moment goes on with its log: nothing twice, nothing missing, the same key."""

import asyncio
import random
from itertools import pairwise

import pytest

from emulator.metered import Metered
from wattwire import frame

CUTS = 4

pytestmark = pytest.mark.timeout(180)


async def test_the_log_goes_on_after_power_cuts(metered: Metered) -> None:
    chance = random.Random(2)
    records = await metered.wait(lambda records: len(records) >= 3)
    for _ in range(CUTS):
        await asyncio.sleep(chance.uniform(0.3, 1.5))
        await metered.target.power_cut()
        await metered.target.power_on()
    boots = {record.boot for record in records}
    records = await metered.wait(
        lambda records: max(record.boot for record in records) >= max(boots) + CUTS and records[-1].unix is not None
    )
    assert {record.log for record in records} == {1}
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert [(r.boot, r.up) for r in records] == sorted({(r.boot, r.up) for r in records})
    for before, after in pairwise(records):
        assert after.prev == frame.prev_of(frame.encode(before))
    opening = {min((r.boot, r.seq, r.kind) for r in records if r.boot == boot)[2] for boot in {r.boot for r in records}}
    assert opening == {frame.KIND_STREAMS}


async def test_a_reset_is_a_new_boot_of_the_same_log(metered: Metered) -> None:
    before = await metered.wait(lambda records: len(records) >= 2)
    await metered.target.mpremote("reset")
    records = await metered.wait(lambda records: records[-1].boot > before[-1].boot)
    assert {record.log for record in records} == {1}
    assert records[: len(before)] == before
