"""End to end: boards → broker → durable and acknowledged, the gateway against a bare loop over the same frames."""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from civilclock import Clock
from demo.home import Home
from demo.processes import DemoError
from emulator.fleet import FleetBoard
from emulator.site import GOLDEN_START_MS
from wattness.broker import Broker
from wattness.model import Login

BOARDS = 24
LATER_MS = 30 * 86_400_000  # the gateway's civil time is after every frame


async def measure(*, quick: bool) -> dict[str, object]:
    """Return frames per second of both and their ratio, medians over interleaved rounds."""
    frames, rounds = (60, 1) if quick else (250, 3)
    rates: dict[str, list[float]] = {"gateway": [], "bare": []}
    for _ in range(rounds):
        rates["bare"].append(await _in_folder(_bare, frames))
        rates["gateway"].append(await _in_folder(_gateway, frames))
    ratios = [mine / bare for mine, bare in zip(rates["gateway"], rates["bare"], strict=True)]
    return {
        "frames_per_s": {name: round(statistics.median(values)) for name, values in rates.items()},
        "ratio_to_bare_loop": round(statistics.median(ratios), 3),
        "wanted_ratio": 0.9,
        "boards": BOARDS,
        "frames": BOARDS * frames,
    }


async def _in_folder(run: Callable[[Path, int], Awaitable[float]], frames: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return await run(Path(folder), frames)


async def _gateway(folder: Path, frames: int) -> float:
    home, enrolments = await gateway_with_boards(folder, BOARDS)
    try:
        await home.start_gateway()
        return await deliver(folder, enrolments, frames)
    finally:
        await home.stop()


async def _bare(folder: Path, frames: int) -> float:
    home, enrolments = await gateway_with_boards(folder, BOARDS)
    await home.stop()
    logins = [Login(board["mqtt"]["user"], board["mqtt"]["password"]) for board in enrolments]
    keys = [FleetBoard(seed, bytes(32)).public_key.hex() for seed in range(BOARDS)]
    async with Broker(folder / "broker", f"127.0.0.1:{home.mqtt_port}", logins) as broker:
        plan = {
            **broker.endpoint._asdict(),
            "folder": str(folder),
            "boards": [board | {"key": key} for board, key in zip(enrolments, keys, strict=True)],
        }
        (folder / "bare.json").write_text(json.dumps(plan))
        loop = await start("bench.bare", folder / "bare.json", "ready")
        try:
            return await deliver(folder, enrolments, frames)
        finally:
            loop.kill()
            await loop.wait()


async def gateway_with_boards(folder: Path, count: int) -> tuple[Home, list[dict[str, Any]]]:
    """Make a gateway, not started, that reports to nobody, and enrol boards."""
    home = Home(folder, Clock(time.time_ns() // 1_000_000, GOLDEN_START_MS + LATER_MS, 1), paid=False)
    await home.make_gateway()
    enrolments = [
        await home.enrol(FleetBoard(seed, bytes(32)).public_key.hex(), f"board {seed}", folder / f"{seed}.json")
        for seed in range(count)
    ]
    return home, enrolments


async def deliver(folder: Path, enrolments: list[dict[str, Any]], frames: int) -> float:
    """Let the load process deliver as fast as acknowledgements come; returns acknowledged frames per second."""
    return await unleash(await prepare(folder, enrolments, frames, None))


async def prepare(
    folder: Path, enrolments: list[dict[str, Any]], frames: int, per_s: int | None
) -> asyncio.subprocess.Process:
    """Start the load process; returns when it has made its frames."""
    plan = folder / "load.json"
    plan.write_text(json.dumps({"enrolments": enrolments, "frames": frames, "per_s": per_s}))
    return await start("bench.load", plan, "made")


async def unleash(load: asyncio.subprocess.Process) -> float:
    """Let it deliver; returns acknowledged frames per second."""
    output, _ = await load.communicate(b"go\n")
    if load.returncode:
        raise DemoError("The load ended early.")
    result = json.loads(output)
    return float(result["frames"] / result["seconds"])


async def start(module: str, plan: Path, word: str) -> asyncio.subprocess.Process:
    """Start one of our processes and return when it has said `word`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, str(plan), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None  # noqa: S101  (a pipe was asked for)
    if (await process.stdout.readline()).decode().strip() != word:
        raise DemoError(f"{module} did not start.")
    return process
