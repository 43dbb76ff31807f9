"""A board is set up by the gateway's own commands over its serial port: install, enrol, doctor, log."""

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from demo.home import Home
from demo.processes import DemoError
from emulator.metered import Metered
from emulator.target import EmulatedTarget, Target

pytestmark = pytest.mark.timeout(240)

PASSWORD = "not to be seen anywhere"
LOG_S = 60.0


def wishes(target: Target, folder: Path) -> list[str]:
    """The target's surroundings as options of `board enrol`."""
    wifi = folder / "wifi.json"
    wifi.touch(mode=0o600)
    wifi.write_text(json.dumps({"password": PASSWORD} | target.settings["wifi"]))
    bus = target.settings["bus"]
    return ["--wifi", str(wifi), "--bus", ",".join(str(bus[key]) for key in ("uart", "baud", "tx", "rx"))]


def streams(target: Target) -> list[str]:
    """The target's devices as options of `board enrol`."""
    texts = [f"{each['role']}:{each['profile']}:{each['unit']}" for each in target.settings["streams"]]
    return [word for text in texts for word in ("--stream", text)]


async def prepared(target: Target, folder: Path) -> None:
    """Give an emulated board what its fast clock needs; `board enrol` keeps such settings."""
    file = folder / "config.json"
    file.write_text(
        json.dumps({key: target.settings[key] for key in ("frame_ms", "clock_step_ms") if key in target.settings})
    )
    await target.mpremote("resume", "fs", "cp", str(file), ":config.json")


async def test_install_enrol_and_look(target: Target, home: Home, tmp_path: Path) -> None:
    port = str(target.port)
    assert "The program is on the board" in await home.wattness("board", "install", port)
    assert "it was all there" in await home.wattness("board", "install", port)
    await prepared(target, tmp_path)
    said = await home.wattness("board", "enrol", port, "--name", "roof", *wishes(target, tmp_path), *streams(target))
    assert "roof (" in said
    assert PASSWORD not in said
    (board,) = json.loads(await home.wattness("board", "list", "--json"))
    metered = Metered(target, home, bytes.fromhex(board["public_key"]))
    await metered.wait(lambda records: len(records) >= 3)
    found = json.loads(await home.wattness("board", "doctor", port, "--json", "--last-unit", "3"))
    assert found["config"] == "good"
    assert found["public_key"] == board["public_key"]
    assert found["wifi_joined"]
    assert found["heap_free_bytes"] > 10_000
    profiles = {each["unit"]: each["profiles"][0]["profile"] for each in found["units"]}
    assert profiles == {each["unit"]: each["profile"] for each in target.settings["streams"] if each["unit"] <= 3}
    for _ in range(5):  # as many starts that were bad would lead to safe mode
        await home.wattness("board", "doctor", port, "--json", "--last-unit", "0")
    count = len(await metered.records())
    await metered.wait(lambda records: len(records) > count)  # the doctor's patient goes on
    if isinstance(target, EmulatedTarget):
        assert PASSWORD not in target.board.console.text()


async def test_what_the_board_knows_is_not_asked_again(target: Target, home: Home, tmp_path: Path) -> None:
    port = str(target.port)
    await home.wattness("board", "enrol", port, *wishes(target, tmp_path), *streams(target))
    first = await home.wattness("board", "list", "--json")
    await home.wattness("board", "enrol", port)
    assert await home.wattness("board", "list", "--json") == first


async def test_without_a_word_on_its_devices_the_bus_is_scanned(target: Target, home: Home, tmp_path: Path) -> None:
    if not isinstance(target, EmulatedTarget):
        pytest.skip("a real board's bus holds who knows what")
    with pytest.raises(DemoError) as refused:
        await home.wattness("board", "enrol", str(target.port), *wishes(target, tmp_path), "--last-unit", "3")
    for each in target.settings["streams"]:
        assert f":{each['profile']}:{each['unit']}" in str(refused.value)
    assert json.loads(await home.wattness("board", "list", "--json")) == []


async def test_its_output_can_be_followed(target: Target, home: Home) -> None:
    command = [sys.executable, "-m", "wattness", "--home", str(home.home), "board", "log", str(target.port)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        await asyncio.sleep(2)  # it opens the port; then the board is started anew from outside
        if not isinstance(target, EmulatedTarget):
            pytest.skip("nobody can press a real board's RESET button here")
        await target.board.reset()
        async with asyncio.timeout(LOG_S):
            assert "wattness: no key" in await read_until(process, "no key")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def read_until(process: Any, text: str) -> str:
    """Read a process's output until `text` is in it."""
    seen = ""
    while text not in seen:
        data = await process.stdout.read(4096)
        assert data, seen
        seen += data.decode(errors="replace")
    return seen
