"""The gateway's process with every network on: what it has loaded, and that it is ready."""

import re
from pathlib import Path

from civilclock import Clock
from demo.everybody import NETWORKS, Everybody
from demo.home import Home

HEAVY = {"eth_account", "eth_keys", "nacl", "pvlib", "duckdb", "pandas", "numpy", "pyarrow", "web3"}


async def test_no_heavy_library_is_loaded_for_networks(tmp_path: Path, monkeypatch) -> None:
    home = Home(tmp_path, Clock(), paid=False)
    try:
        await home.make_gateway()
        await Everybody(home).configure({"pv": ["0/0", "0/1", "0/2"], "load": ["0/3"], "charger": ["0/4"]})
        monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
        await home.start_gateway()
        monkeypatch.delenv("PYTHONPROFILEIMPORTTIME")
        assert {one["kind"] for one in await home.get("networks")} == set(NETWORKS)
        log = (tmp_path / "gateway.log").read_text()
    finally:
        await home.stop()
    loaded = set(re.findall(r"^import time:[^|]*\|[^|]*\|\s*(\S+)$", log, re.MULTILINE))
    # what is opened by name is not listed itself, but all that it imports is
    assert {"aiohttp", "wattness.networks.glow_wire", "wattness.networks.chain", "wattness.networks.mqtt"} <= loaded
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
