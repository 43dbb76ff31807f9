"""Whether a board's live heap stays flat: two meters polled every second in a fixed heap, delivering to a gateway."""

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from civilclock import Clock
from demo.field import Site, SitePlan
from demo.home import Home
from emulator.meters import Sdm120, Sdm630
from emulator.site import HomeSite, PvSite
from wattwire import cose, frame

HEAP_KB = 240  # the VM's, with 64-bit objects and the emulated chip's own modules in it
HEAP_BYTES = HEAP_KB * 1024
SETTINGS = {"frame_ms": 10_000, "health_ms": 5_000, "clock_step_ms": 1000}


async def measure(*, quick: bool) -> dict[str, float]:
    """Return the live heap after collection at the start and at the end, and its slope between."""
    seconds = 45 if quick else 300
    now = Clock().now_ms
    meters = [Sdm120(1, PvSite().pv, now), Sdm630(2, HomeSite().grid, now)]
    streams = [
        {"role": role, "profile": profile, "unit": unit, "period_ms": 1000}
        for unit, (role, profile) in enumerate((("pv", "eastron_sdm120"), ("grid", "eastron_sdm630")), 1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder), Clock())
        site = Site(SitePlan("soak", meters, streams, heap=f"{HEAP_KB}k", settings=SETTINGS), Path(folder), 1)
        try:
            await home.start()
            await site.start(home)
            started = time.monotonic()
            await asyncio.sleep(seconds)
            frames = await home.wattness("export", "frames")
        finally:
            await site.stop()
            await home.stop()
    live = [HEAP_BYTES - values["heap_free_bytes"] for values in _health(frames)]
    third = max(1, len(live) // 3)
    begin, end = statistics.median(live[:third]), statistics.median(live[-third:])
    return {
        "minutes": round((time.monotonic() - started) / 60, 1),
        "heap_bytes": HEAP_BYTES,
        "live_bytes_first_third": round(begin),
        "live_bytes_last_third": round(end),
        "growth_bytes_per_minute": round((end - begin) / (seconds / 60 * 2 / 3), 1),
        "samples": len(live),
        "chip_estimate_bytes": round(end / 2),
    }


def _health(export: str) -> list[dict[str, int]]:
    found = []
    for line in export.splitlines():
        raw = bytes.fromhex(json.loads(line)["raw"]) if line.startswith("{") else bytes.fromhex(line)
        record = frame.decode(cose.parse(raw)[1])
        if record.kind == frame.KIND_HEALTH:
            found.append(record.body.values)
    return found
