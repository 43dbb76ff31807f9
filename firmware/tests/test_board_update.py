"""A board takes a new program by air: it is kept once the gateway has a frame of it, or it goes back by itself."""

import json
import runpy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from emulator.flash import read_files
from wattprogram.layout import FIRMWARE
from wattwire import frame

_harness = runpy.run_path(str(Path(__file__).with_name("board_world.py")))
_updates = runpy.run_path(str(Path(__file__).with_name("update_world.py")))
world, PV = _harness["world"], _harness["PV"]
bundle, program, Releases = _updates["bundle"], _updates["program"], _updates["Releases"]
GOOD = bundle(program())
FIRST = "class Rows:\n"
BAD = {
    "crash": ("rows", FIRST, f"raise ValueError('no rows today')\n{FIRST}"),
    "hang": ("rows", FIRST, f"while True:\n    pass\n{FIRST}"),
    "silence": ("uplink", "        await hal.join_wifi(self._wifi)\n", "        raise OSError('no way')\n"),
}

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


@pytest.mark.parametrize("fault", BAD)
async def test_an_update_that_is_no_good_leads_back(tmp_path, fault):
    module, old, new = BAD[fault]
    bad = bundle(program("0.3.0", **{module: (old, new)}), (0, 3, 0))
    async with board(tmp_path, files=_hasty()) as (its, releases):
        releases.offer(bad)
        await its.until(lambda: "trying" in releases.results)
        await its.board.wait_starts(2)
        await its.board.wait_starts(3)
        await its.until(lambda: about(its) == (3, "0.1.0") or about(its)[0] == 2)
        values = await its.until(lambda: rolled_back(its))
        assert values["slot"] == 0
        releases.offer(bad)
        await its.until(lambda: "rolled_back" in releases.results)
        assert len(its.board.causes) == 3


def _hasty() -> dict[str, bytes]:
    """Return the start with a watchdog that bites soon; on the file system it goes before the one in ROM."""
    files = {f"/wattboot/{path.name}": path.read_bytes() for path in (FIRMWARE / "wattboot").glob("*.py")}
    files["/wattboot/start.py"] = files["/wattboot/start.py"].replace(b"WATCHDOG_MS = 30000", b"WATCHDOG_MS = 6000")
    return files


def rolled_back(its: Any) -> Any:
    """Return the values of the newest health record if they tell of an update that was rolled back."""
    found = its.gateway.of_kind(frame.KIND_HEALTH)
    return found and found[-1].body.values.get("update_rolled_back") and found[-1].body.values


async def test_what_is_not_the_owners_or_not_whole_is_refused(tmp_path):
    async with board(tmp_path) as (its, releases):
        image = program("0.4.0")
        for refused, said in (
            (bundle(image, (0, 4, 0), secret=bytes(range(3, 35))), "bad_signature"),
            (bundle(image, (0, 4, 0), wire=2), "wire_too_new"),
            (bundle(image, (0, 1, 0)), "downgrade"),  # what it runs is as new
            (bundle(image[:20_000], (0, 4, 0), sha256=bytes(32)), "bad_hash"),
            (bundle(image[:9000], sha256=b"x" * 32), "bad_hash"),
        ):
            releases.offer(refused)
            await its.until(lambda said=said: said in releases.results)
            releases.results.clear()
        assert len(its.board.causes) == 1
        its.gateway.command("update", [b"junk"])
        its.gateway.command("update", ["text"])
        its.gateway.command("update", [1, 2, 3])
        last = its.gateway.last()
        await its.until(lambda: its.gateway.last() > last + 1)
        # By the owner's signed word an older one is taken.
        releases.offer(bundle(program("0.0.9"), (0, 0, 9), downgrade=True))
        await its.until(lambda: about(its) == (2, "0.0.9"))


async def test_a_download_goes_on_where_it_was_cut(tmp_path):
    async with board(tmp_path) as (its, releases):
        releases.answers = lambda offset: offset < 40_000
        releases.offer(GOOD)
        await its.until(lambda: releases.wants and releases.wants[-1][0] >= 40_000)
        await its.board.power_cut()
        await its.board.power_on()
        await its.until(lambda: about(its)[0] == 2)
        releases.answers = lambda _: True
        first = len(releases.wants)
        releases.offer(GOOD)
        await its.until(lambda: about(its) == (3, "0.2.0"))
        assert releases.wants[first][0] >= 40_000


async def test_a_configuration_that_leads_nowhere_is_taken_back(tmp_path):
    async with board(tmp_path) as (its, _):
        wrong = {**its.settings, "wifi": {"ssid": "nowhere"}}
        its.gateway.command("config", [json.dumps(wrong), 6])
        await its.board.wait_starts(3)
        found = await its.until(lambda: its.gateway.of_kind(frame.KIND_HEALTH)[-1].boot == 3 and its.gateway)
        assert found.of_kind(frame.KIND_HEALTH)[-1].body.values["config_rolled_back"] == 1
        right = {**its.settings, "frame_ms": 30000}
        its.gateway.command("config", [json.dumps(right), 30])
        await its.board.wait_starts(4)
        await its.until(lambda: '"prog": 0' in (its.board.folder / "nvs.json").read_text())
        await its.board.power_cut()
        assert json.loads(read_files(its.board.flash_image)["/config.json"])["frame_ms"] == 30000


async def test_five_bad_starts_are_safe_mode_and_an_update_leads_out(tmp_path):
    async with board(tmp_path) as (its, releases):
        await its.board.power_cut()
        module, old, new = BAD["crash"]
        its.board.provision({"/slot_a": bundle(program("0.3.0", **{module: (old, new)}), (0, 3, 0))})
        nvs = its.board.folder / "nvs.json"
        kept = json.loads(nvs.read_text())
        kept["wattness"]["prog"] = 1
        nvs.write_text(json.dumps(kept))
        await its.board.power_on()
        await its.board.wait_starts(7)
        found = await its.until(
            lambda: [each for each in its.gateway.of_kind(frame.KIND_HEALTH) if each.body.values.get("safe_mode")]
        )
        assert found[0].body.values["safe_mode"] == 5
        assert its.gateway.of_kind(frame.KIND_STREAMS)[-1].body.streams == ()
        releases.offer(GOOD)
        await its.until(lambda: "downgrade" in releases.results)  # than what crashed
        releases.offer(bundle(program("0.3.1"), (0, 3, 1)))
        await its.until(lambda: about(its)[1] == "0.3.1")
        await its.until(lambda: metered(its) == about(its)[0])


async def test_a_configuration_from_a_later_version_leaves_the_way_to_the_gateway(tmp_path):
    async with board(tmp_path) as (its, _):
        await its.board.power_cut()
        its.configure(shiny=[1, 2], mqtt={**its.settings["mqtt"], "later": True})
        await its.board.power_on()
        values = (await its.until(lambda: refused(its)))[-1].body.values
        assert "$.shiny: no such key" in values["config_refused"]
        del its.settings["shiny"], its.settings["mqtt"]["later"]
        its.gateway.command("config", json.dumps(its.settings))
        await its.until(lambda: metered(its) == 3)


def metered(its: Any) -> int:
    """Return the last start that metered anything."""
    return max([0, *[each.boot for each in its.gateway.of_kind(frame.KIND_ROWS)]])


def refused(its: Any) -> Any:
    """Return the health records of a board that does not know its configuration."""
    return [each for each in its.gateway.of_kind(frame.KIND_HEALTH) if each.body.values.get("config_refused")]
