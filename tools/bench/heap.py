"""Whether a board's live heap fits and stays flat: two meters polled every second in a fixed heap, delivering frames.

The VM's objects are twice as wide as a chip's, and the emulated chip's own modules are in the same heap; what they
take is printed apart. `parts` counts the program as a chip does.
"""

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from bench import names
from civilclock import Clock
from demo.field import Site, SitePlan
from demo.home import Home
from emulator import memory
from emulator.meters import Sdm120, Sdm630
from emulator.site import HomeSite, PvSite
from wattprogram import software
from wattwire import cose, frame

HEAP_BYTES = 160 * 1024
SECONDS, QUICK_SECONDS = 330, 80  # the first figure comes after a period, the last one has to arrive
PERIOD_MS, QUICK_PERIOD_MS = (
    60_000,
    10_000,
)  # of frames and figures: each is taken with a whole frame's rows in the heap
ARRIVAL_S = 10
SHIM_NAMES = 250  # that the emulated chip's modules have interned; a chip knows them by itself
TABLE_BYTES = 1280 * 11  # the part of the table of names that comes when it doubles, in this VM
STARTS = 2  # to be given its configuration, and to run


async def measure(*, quick: bool) -> dict[str, object]:
    """Return the live heap after collection at the start and at the end, and its slope between."""
    seconds, period_ms = (QUICK_SECONDS, QUICK_PERIOD_MS) if quick else (SECONDS, PERIOD_MS)
    live, emulator_bytes, elapsed_s = await soak(seconds, period_ms)
    live = live[1:]  # the first period is not a whole one
    third = max(1, len(live) // 3)
    begin, end = statistics.median(live[:third]), statistics.median(live[-third:])
    image_bytes = len(software().rom)
    table_bytes = await _doubled_table_bytes()
    return {
        "minutes": round(elapsed_s / 60, 1),
        "heap_bytes": HEAP_BYTES,
        "live_bytes": live,
        "live_bytes_first_third": round(begin),
        "live_bytes_last_third": round(end),
        "growth_bytes_per_minute": round((end - begin) / ((len(live) - third) * period_ms / 60_000), 1),
        "of_it_emulated_chip_bytes": emulator_bytes,
        "of_it_doubled_table_bytes": table_bytes,
        "image_bytes": image_bytes,
        "image_is": "outside the heap, as mapped flash" if memory.is_mappable() else "in the heap, which grew by it",
        "chip_estimate_bytes": round((end - emulator_bytes - table_bytes) / 2),
    }


async def _doubled_table_bytes() -> int:
    """What the table of names takes more here than on a chip, where the program's own names do not fill it."""
    found = (await names.measure(quick=True))["names_metering"]
    return TABLE_BYTES if found <= names.DOUBLES_AT < found + SHIM_NAMES else 0


async def soak(seconds: float, period_ms: int) -> tuple[list[int], int, float]:
    """Meter for so long; return the live bytes that the board told, the emulated chip's share, and the time it took."""
    now = Clock().now_ms
    meters = [Sdm120(1, PvSite().pv, now), Sdm630(2, HomeSite().grid, now)]
    streams = [
        {"role": role, "profile": profile, "unit": unit, "period_ms": 1000}
        for unit, (role, profile) in enumerate((("pv", "eastron_sdm120"), ("grid", "eastron_sdm630")), 1)
    ]
    settings = {"frame_ms": period_ms, "health_ms": period_ms, "clock_step_ms": 1000}
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder), Clock())
        site = Site(SitePlan("soak", meters, streams, heap=str(HEAP_BYTES), settings=settings), Path(folder), 1)
        try:
            await home.start()
            await site.start(home)
            started = time.monotonic()
            await asyncio.sleep(seconds + ARRIVAL_S)
            frames = await home.wattness("export", "frames")
        finally:
            await site.stop()
            await home.stop()
    free = [values["heap_free_bytes"] for values in _health(frames)]
    if len(free) < 3 or len(site.board.causes) != STARTS:
        raise RuntimeError(
            f"The board started {len(site.board.causes)} times; it said: {site.board.console.text()[-800:]}"
        )
    return [HEAP_BYTES - bytes_ for bytes_ in free], site.board.chip_bytes, time.monotonic() - started


def _health(export: str) -> list[dict[str, int]]:
    found = []
    for line in export.splitlines():
        raw = bytes.fromhex(json.loads(line)["raw"]) if line.startswith("{") else bytes.fromhex(line)
        record = frame.decode(cose.parse(raw)[1])
        if record.kind == frame.KIND_HEALTH:
            found.append(record.body.values)
    return found
