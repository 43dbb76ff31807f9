"""A board takes a new program by air from a real gateway, keeps what works, and goes back from what does not."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from demo.home import Home
from emulator.metered import PATIENCE_S, Metered
from emulator.target import EmulatedTarget, Target
from wattprogram.layout import FIRMWARE
from wattwire import frame

BOARD = "under test"
HEALTH_S = "20"

pytestmark = pytest.mark.timeout(240)


async def test_update_and_rollback(target: Target, home: Home, tmp_path: Path) -> None:
    if not isinstance(target, EmulatedTarget):
        pytest.skip("a real board has pinned its owner's release key, which this scenario does not have")
    await home.wattness("release", "key", "new")
    public_key = await target.make_key()
    file = tmp_path / "enrolment.json"
    await target.configure(await home.enrol(public_key, BOARD, file), file)
    metered = Metered(target, home, bytes.fromhex(public_key))
    await metered.wait(lambda records: len(records) >= 2)
    await _release(home, tmp_path, "0.2.0", FIRMWARE)
    assert await _fate(home, "0.2.0") == "kept"
    await metered.wait(lambda records: _firmware(records) == "0.2.0")
    # The next one is signed and sound, and never gets as far as a frame.
    broken = tmp_path / "firmware"
    shutil.copytree(FIRMWARE, broken, ignore=shutil.ignore_patterns("tests"))
    (broken / "wattboard" / "rows.py").write_text("raise ValueError('no rows today')\n")
    await _release(home, tmp_path, "0.3.0", broken)
    assert await _fate(home, "0.3.0") == "rolled_back"
    boots = max(record.boot for record in await metered.records())
    records = await metered.wait(lambda records: records[-1].kind == frame.KIND_ROWS and records[-1].boot >= boots)
    assert _firmware(records) == "0.2.0"
    assert [record.seq for record in records] == list(range(1, len(records) + 1))


async def _release(home: Home, folder: Path, version: str, firmware: Path) -> None:
    out = folder / f"{version}.wnr"
    await home.wattness(
        "release", "build", "--version", version, "--out", str(out), "--health-s", HEALTH_S, "--firmware", str(firmware)
    )
    await home.wattness("board", "update", BOARD, str(out))


async def _fate(home: Home, version: str) -> str:
    """Return what became of a release in the end."""
    async with asyncio.timeout(2 * PATIENCE_S):
        while True:
            told = json.loads(await home.wattness("board", "update", BOARD))
            if told["version"] == version and told["state"] not in ("queued", "trying"):
                return str(told["state"])
            await asyncio.sleep(1)


def _firmware(records: list[Any]) -> str:
    """Return what the newest streams record says of the program."""
    return str([record.body.about for record in records if record.kind == frame.KIND_STREAMS][-1]["firmware"])
