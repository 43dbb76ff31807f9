"""What a week without the gateway takes of a board's flash: bytes per row, and days that fit beside two programs.

The real recorder and log write to a real LittleFS of 2 MB in the real MicroPython; nothing waits, because the time is
given. The rows are those of the recorded home's grid meter. Its recording holds each power for a minute, so each row
gets an unrest of its own: what a meter shows is never the same twice.
"""

import asyncio
import json
import os
import random
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from emulator.flash import BLOCKS
from emulator.site import GOLDEN_START_MS, HomeSite
from emulator.vm import find_micropython
from wattprogram import software
from wattprogram.layout import FIRMWARE

SCRIPT = Path(__file__).with_suffix(".upy")
HEAP = "16m"  # the flash is in it
PERIOD_MS = 10_000
HEALTH_MS = 600_000  # what the board's configuration has by itself
DAYS, QUICK_DAYS = 7, 1
ENDLESS_DAYS = 120  # a row is lost long before
DAY_MS = 86_400_000
PROFILE = "eastron_sdm120"  # its six points, at its resolutions
POINTS = (
    ("power", "W", -1), ("energy_import", "Wh", 0), ("energy_export", "Wh", 0), ("voltage", "V", -1),
    ("current", "A", -3), ("frequency", "Hz", -2),
)  # fmt: skip
COUNTERS = [1, 2]
UNREST = {"power": 0.01, "current": 0.01, "voltage": 0.0005, "frequency": 0.0002}  # of the value, from row to row
FIRST_MS = 5000


@dataclass(frozen=True)
class Week:
    """What was put in and what came of it."""

    rows: list[tuple[int, ...]]
    figures: dict[str, int | None]
    image: Path  # the flash, as the board left it


async def measure(*, quick: bool) -> dict[str, object]:
    """Return bytes per row, the days that fit before a row is thinned and before one is lost, and the ratio to raw."""
    with tempfile.TemporaryDirectory() as folder:
        week = await offline(Path(folder), QUICK_DAYS if quick else DAYS)
        endless = await offline(Path(folder), ENDLESS_DAYS, held=week.rows)
    figures = week.figures
    log_bytes, erased = figures["log_bytes"] or 0, figures["erased_blocks"] or 0
    count = len(week.rows)
    days = count * PERIOD_MS / DAY_MS
    raw = count * 8 * (1 + len(POINTS))
    return {
        "days": days,
        "log_bytes_per_row": round(log_bytes / count, 2),
        "flash_bytes_per_row": round((figures["flash_bytes"] or 0) / count, 2),
        "ratio_to_64_bit_columns": round(log_bytes / raw, 3),
        "thinned_rows": figures["thinned_rows"],
        "log_room_bytes": figures["log_room_bytes"],
        "log_bytes": log_bytes,
        "frames": figures["frames"],
        "erased_blocks_per_day": round(erased / days),
        "days_at_full_resolution": round((endless.figures["first_thinned_ms"] or 0) / DAY_MS, 1),
        "days_before_a_row_is_lost": round((endless.figures["first_lost_ms"] or 0) / DAY_MS, 1),
    }


async def offline(folder: Path, days: float, held: list[tuple[int, ...]] | None = None, blocks: int = BLOCKS) -> Week:
    """Let a board meter for so long, without a gateway; `held` rows are repeated, their counters going on."""
    count = round(days * DAY_MS / PERIOD_MS)
    rows = held or grid_rows(count)
    file, image = folder / "rows", folder / "flash.img"
    shape = f"<{len(POINTS)}i"
    file.write_bytes(b"".join(struct.pack(shape, *row) for row in rows))
    job = {
        "blocks": blocks, "rows": str(file), "image": str(image), "held": len(rows), "count": count,
        "slot_bytes": len(software().rom), "period_ms": PERIOD_MS, "health_ms": HEALTH_MS, "profile": PROFILE,
        "points": [[*point, None] for point in POINTS], "counters": COUNTERS, "first_ms": FIRST_MS,
        "counted": rows[-1][COUNTERS[0]] - rows[0][COUNTERS[0]], "unix_ms": GOLDEN_START_MS,
    }  # fmt: skip
    script = folder / "flash.py"
    script.write_text(f"JOB = {json.dumps(job).replace('null', 'None')}\n{SCRIPT.read_text()}")
    return Week(rows, await _run(script), image)


def grid_rows(count: int) -> list[tuple[int, ...]]:
    """Return rows of the home's grid meter as the wire's integers, each with its own unrest, from the same seed."""
    site, draw = HomeSite(), random.Random(7)
    found = []
    for index in range(count):
        values = site.values(GOLDEN_START_MS + FIRST_MS + index * PERIOD_MS)
        row = [values[name] * (1 + draw.gauss(0, UNREST.get(name, 0))) for name, _, _ in POINTS]
        found.append(tuple(round(value / 10**exponent) for value, (_, _, exponent) in zip(row, POINTS, strict=True)))
    return found


async def _run(script: Path) -> dict[str, int | None]:
    process = await asyncio.create_subprocess_exec(
        find_micropython(), "-X", f"heapsize={HEAP}", str(script),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "MICROPYPATH": f"{FIRMWARE}:.frozen"},
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the board's log failed: {output.decode()[-2000:]}")
    return dict(json.loads(output.splitlines()[-1]))
