"""Archives as the ecosystems' own JavaScript reads them: @ipld/car, @ipld/dag-cbor and @dha-team/arbundles."""

import json
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

import nodepackages

HERE = Path(__file__).parent
WORLD = runpy.run_path(str(HERE / "archive_world.py"))
Day, opened, made = WORLD["Day"], WORLD["opened"], WORLD["made"]

pytestmark = [pytest.mark.xdist_group("npm"), pytest.mark.timeout(360)]


@pytest.fixture(scope="module")
def javascript():
    """Return what runs the check with node; where it cannot be had, the test says so."""
    try:
        place = nodepackages.installed(HERE / "archive_js")
    except nodepackages.MissingError as error:
        pytest.skip(f"NOT TESTED with IPFS's and Arweave's own libraries: {error}")
    shutil.copy(HERE / "archive_js" / "check.mjs", place)

    def run(kind: str, file: Path) -> dict:
        command = ["node", "check.mjs", kind, str(file)]
        ended = subprocess.run(command, cwd=place, capture_output=True, timeout=60, check=False, text=True)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return run


async def kept(kind: str, home: Path, **settings):
    """Return what a kind of network kept of a day in its folder, the receipt, and the day."""
    day = Day(minutes=60)
    async with opened(kind, day, home, **settings) as network:
        receipt = await network.send(await made(network, day.reports))
    return Path(receipt.detail["where"]), receipt, day


async def test_ipfs_reads_a_day(javascript, tmp_path):
    file, receipt, day = await kept("filecoin", tmp_path)
    found = javascript("car", file)
    assert found == {
        "version": 1,
        "root": receipt.id,
        "blocks": receipt.detail["blocks"],
        "indexed": receipt.detail["blocks"],
        "day": "2026-09-22",
        "frames": [raw.hex() for raw in day.board.frames],
    }


@pytest.mark.parametrize("content", ["root", "frames"])
async def test_arweave_takes_a_day(javascript, tmp_path, content):
    file, receipt, _ = await kept("arweave", tmp_path, content=content)
    found = javascript("item", file)
    assert (found["valid"], found["spoiled"], found["type"]) == (True, False, 3)
    assert (found["id"], found["target"], found["anchor"]) == (receipt.id, "", "")
    tags = {tag["name"]: tag["value"] for tag in found["tags"]}
    assert tags["Root-CID"] == receipt.detail["root"]
    inner = tmp_path / "inner"
    inner.write_bytes(bytes.fromhex(found["data"]))
    if content == "frames":
        assert javascript("car", inner)["root"] == receipt.detail["root"]
