"""A board takes a new program by air: it is kept once the gateway has a frame of it, or it goes back by itself."""

import runpy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from emulator.flash import read_files
from wattwire import frame

_harness = runpy.run_path(str(Path(__file__).with_name("board_world.py")))
_updates = runpy.run_path(str(Path(__file__).with_name("update_world.py")))
world, PV = _harness["world"], _harness["PV"]
bundle, program, Releases = _updates["bundle"], _updates["program"], _updates["Releases"]
GOOD = bundle(program())

pytestmark = pytest.mark.timeout(180)


@asynccontextmanager
async def board(folder: Path, **settings: Any) -> AsyncIterator[tuple[Any, Any]]:
    """Run a world whose gateway has releases."""
    async with world(folder, release_key=_updates["PUBLIC"].hex(), **settings) as its:
        releases = Releases(its.gateway)
        its.gateway.on_want = releases.take
        await its.until(lambda: its.gateway.last() >= 2)
        yield its, releases


def about(its: Any) -> tuple[int, str]:
    """Return the newest streams record's boot and what it says of the firmware."""
    newest = its.gateway.of_kind(frame.KIND_STREAMS)[-1]
    return newest.boot, newest.body.about["firmware"]


async def test_an_update_that_works_is_kept(tmp_path):
    async with board(tmp_path) as (its, releases):
        releases.offer(GOOD)
        await its.until(lambda: "trying" in releases.results)
        await its.until(lambda: about(its) == (2, "0.2.0"))
        await its.until(lambda: its.gateway.last() >= max(seq for _, seq in its.gateway.frames))
        releases.offer(GOOD)
        await its.until(lambda: "kept" in releases.results)
        await its.board.power_cut()
        await its.board.power_on()
        await its.until(lambda: about(its) == (3, "0.2.0"))
        assert read_files(its.board.flash_image)["/slot_a"] == GOOD
        assert [size for _, size in releases.wants[:-1]] == [2048] * (len(releases.wants) - 1)
        # The next one goes to the other slot, and must be a later one.
        releases.offer(bundle(program("0.1.9"), (0, 1, 9)))
        await its.until(lambda: "downgrade" in releases.results)
