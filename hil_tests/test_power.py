"""A board whose power goes at any moment goes on with its log: nothing twice, nothing missing, the same key."""

import asyncio
import random
from itertools import pairwise, product
from pathlib import Path

import pytest

from emulator.flash import read_log
from emulator.metered import Metered
from emulator.target import EmulatedTarget, Target
from wattwire import cose, frame

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


async def test_cuts_inside_flash_operations(target: Target, tmp_path: Path) -> None:
    chance = random.Random(4)
    await _cut_inside(target, tmp_path, [(chance.randrange(1, 60), tear) for tear in ("none", "half", "all")])


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_cuts_inside_every_flash_operation(target: Target, tmp_path: Path) -> None:
    await _cut_inside(target, tmp_path, list(product(range(1, 75), ("none", "half", "all"))))


async def _cut_inside(target: Target, tmp_path: Path, cuts: list[tuple[int, str]]) -> None:
    """Let the power go in the n-th flash operation of a boot, for each of `cuts`; no frame may be lost of any."""
    if not isinstance(target, EmulatedTarget):
        pytest.skip("only an emulated board's power can go inside a flash operation")
    public_key = bytes.fromhex(await target.make_key())
    nowhere = {"host": "127.0.0.1", "port": 1, "user": "board", "password": "word"}
    await target.configure({"gateway": "00" * 32, "link_key": "11" * 32, "mqtt": nowhere}, tmp_path / "config.json")
    before: dict[tuple[int, int], bytes] = {}
    for operation, tear in cuts:
        await target.power_cut()
        target.board.cut = (operation, tear)
        await target.power_on()
        async with asyncio.timeout(60):
            await target.board.wait_off()
        after = read_log(target.board.flash_image)
        assert before.items() <= after.items(), (operation, tear)
        before = after
    numbers = sorted(before)
    assert numbers == [(1, seq) for seq in range(1, len(numbers) + 1)]
    payloads = [cose.verify(public_key, before[number]) for number in numbers]
    for one, other in pairwise(payloads):
        assert frame.decode(other).prev == frame.prev_of(one)
    assert len(payloads) > len(cuts) // 2
