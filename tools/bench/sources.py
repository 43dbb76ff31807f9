"""What the gateway needs to read devices itself, against pymodbus alone.

No profile has 40 points, so that 65 devices with the SDM630's 31 stand for 50 with 40: more devices, as many values.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from civilclock import Clock
from demo.home import Home
from demo.processes import run
from wattness.profiles import bundled_profile
from wattwire import profile

DEVICES, PROFILE = 65, "eastron_sdm630"
DEVICES_PER_LOG = 9  # whose points one streams record takes
SETTLE_S = 8.0
SAMPLE_S = 0.5
FRAME_S = 60.0


class _Load(NamedTuple):
    core_share: float
    rss_bytes_max: int


async def measure(*, quick: bool) -> dict[str, object]:
    """Return the shares of one core that the gateway and the bare reads take."""
    seconds = 20.0 if quick else 120.0
    points = [point.name for point in bundled_profile(PROFILE).points]
    async with fields(DEVICES) as ports:
        with tempfile.TemporaryDirectory() as folder:
            mine, rows_per_s = await _gateway(Path(folder), ports, points, seconds)
        with tempfile.TemporaryDirectory() as folder:
            bare = await _bare(Path(folder), ports, points, seconds)
    return {
        "values_per_s": round(rows_per_s * len(points)),
        "wanted_values_per_s": 50 * 40,
        "core_share": round(mine.core_share, 3),
        "wanted_core_share": 1.0,
        "core_share_of_bare_reads": round(bare.core_share, 3),
        "ratio_to_bare_reads": round(mine.core_share / bare.core_share, 2),
        "rss_mb": round(mine.rss_bytes_max / 1e6, 1),
    }


async def _gateway(folder: Path, ports: Sequence[int], points: Sequence[str], seconds: float) -> tuple[_Load, float]:
    home = Home(folder, Clock(), paid=False)
    try:
        await home.make_gateway()
        await give_devices(home, ports, points)
        gateway = psutil.Process((await home.start_gateway()).pid)
        await asyncio.sleep(SETTLE_S)
        load = await _watch(gateway, max(seconds, FRAME_S + SETTLE_S))
        return load, _rows_per_s(home)
    finally:
        await home.stop()


async def give_devices(home: Home, ports: Sequence[int], points: Sequence[str]) -> None:
    """Add the devices to the gateway's configuration, nine to a key."""
    lines = []
    for index, port in enumerate(ports):
        key = f"device{index // DEVICES_PER_LOG}.key"
        if index % DEVICES_PER_LOG == 0:
            await run(
                [sys.executable, "-m", "wattness", "--home", str(home.home), "device", "key", "new", key], "a key"
            )
        lines.append(
            f'[[device]]\nname = "meter {index}"\nurl = "tcp://127.0.0.1:{port}"\nprofile = "{PROFILE}"\n'
            f'role = "load"\nperiod_ms = 1000\nkey = "file:{key}"\npoints = {json.dumps(list(points))}\n'
        )
    with (home.home / "gateway.toml").open("a") as file:
        file.write("\n".join(["", *lines]))


def _rows_per_s(home: Home) -> float:
    """Return how many rows a second of all devices the gateway has on disk."""
    from wattness.store.reader import open_reader  # noqa: PLC0415 - the store's libraries are heavy

    with open_reader(home.home / "wattness.db") as reader:
        times = [
            [int(row[0] or 0) for row in reader.values(stream.id, "power", 0, 20_000)] for stream in reader.streams()
        ]
    return sum(1000 * (len(own) - 1) / (own[-1] - own[0]) for own in times if len(own) > 1)


async def _bare(folder: Path, ports: Sequence[int], points: Sequence[str], seconds: float) -> _Load:
    bound = profile.bind(bundled_profile(PROFILE))
    reads = [[read.address, read.count] for read in profile.plan(bound, list(points), 125)]
    plan = folder / "plan.json"
    plan.write_text(json.dumps({"ports": list(ports), "reads": reads, "period_s": 1.0}))
    async with _child("bench.bareread", str(plan)) as (process, _):
        await asyncio.sleep(2)
        return await _watch(psutil.Process(process.pid), seconds)


async def _watch(process: psutil.Process, seconds: float) -> _Load:
    """Return the share of one core that a process and its children take."""
    family = [process, *process.children(recursive=True)]
    began, before = time.perf_counter(), sum(_processor_s(one) for one in family)
    rss = 0
    while time.perf_counter() - began < seconds:
        rss = max(rss, process.memory_info().rss)
        await asyncio.sleep(SAMPLE_S)
    spent = sum(_processor_s(one) for one in family if one.is_running()) - before
    return _Load(spent / (time.perf_counter() - began), rss)


def _processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@asynccontextmanager
async def fields(count: int) -> AsyncIterator[list[int]]:
    """Run so many Modbus TCP devices in a process of their own; gives their ports."""
    async with _child("bench.fields", str(count)) as (_, first):
        yield json.loads(first)


@asynccontextmanager
async def _child(module: str, argument: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run one of our processes; gives it and the first line that it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, argument, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None  # noqa: S101  (a pipe was asked for)
    try:
        yield process, (await process.stdout.readline()).decode()
    finally:
        process.kill()
        await process.wait()
