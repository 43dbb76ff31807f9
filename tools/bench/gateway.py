"""The whole gateway as a process: how soon it is ready, and what memory and processor it needs."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.broker import gateway_with_boards, prepare, unleash

BUSY_PER_S, IDLE_PER_S = 500, 10
BOARDS = 20
SAMPLE_S = 0.2


async def measure(*, quick: bool) -> dict[str, float]:
    """Return seconds to ready, peak memory at 500 frames/s and processor use at 10 frames/s (its broker apart)."""
    seconds = 10 if quick else 30
    idle, busy = await _run(IDLE_PER_S, seconds), await _run(BUSY_PER_S, seconds)
    return {
        "ready_s": round(max(idle.ready_s, busy.ready_s), 2),
        "wanted_ready_s": 2.0,
        "core_share_at_10_per_s": round(idle.core_share, 4),
        "wanted_core_share": 0.05,
        "frames_per_s": round(busy.frames_per_s),
        "core_share_at_500_per_s": round(busy.core_share, 4),
        "rss_mb_at_500_per_s": round(busy.rss_bytes_max / 1e6, 1),  # what its processes share is in each of them
        "pss_mb_at_500_per_s": round(busy.pss_bytes_max / 1e6, 1),  # and here once
        "wanted_rss_mb": 150,
    }


class _Run(NamedTuple):
    ready_s: float
    frames_per_s: float
    core_share: float
    rss_bytes_max: int
    pss_bytes_max: int


async def _run(per_s: int, seconds: int) -> _Run:
    with tempfile.TemporaryDirectory() as folder:
        home, enrolments = await gateway_with_boards(Path(folder), BOARDS)
        try:
            began = time.perf_counter()
            gateway = psutil.Process((await home.start_gateway()).pid)
            ready_s = time.perf_counter() - began
            prepared = await prepare(Path(folder), enrolments, per_s * seconds // BOARDS, per_s)
            load = asyncio.create_task(unleash(prepared))
            before, since = _processor_s(gateway), time.perf_counter()
            rss = pss = 0
            while not load.done():
                memory = [process.memory_full_info() for process in _ours(gateway)]
                rss, pss = max(rss, sum(one.rss for one in memory)), max(pss, sum(one.pss for one in memory))
                await asyncio.sleep(SAMPLE_S)
            share = (_processor_s(gateway) - before) / (time.perf_counter() - since)
            return _Run(ready_s, await load, share, rss, pss)
        finally:
            await home.stop()


def _processor_s(gateway: psutil.Process) -> float:
    times = [process.cpu_times() for process in _ours(gateway)]
    return float(sum(one.user + one.system for one in times))


def _ours(gateway: psutil.Process) -> list[psutil.Process]:
    """Return the gateway's process and its verifiers, without the broker."""
    return [gateway, *(child for child in gateway.children() if "wattness.verifier" in child.cmdline())]
