"""A year at a glance, old frames in few bytes, and a week's backlog beside live frames."""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw

from bench.backlog import LIVE_S
from bench.broker import gateway_with_boards, start
from bench.year import DEVICES, END_MS, POINTS, YEAR_MS, first_view, make_year
from emulator.fleet import POINTS as FLEET_POINTS
from emulator.fleet import FleetBoard
from emulator.site import GOLDEN_START_MS, HomeSite, PvSite
from wattness.clock import Clock
from wattness.model import Arrival
from wattness.store import chunks
from wattness.store.historian import Historian
from wattness.store.history_schema import connect_history, history_path
from wattness.store.reader import open_reader
from wattness.store.registry import open_registry
from wattness.store.schema import connect_to_read
from wattness.store.sqlite import Settings, open_store
from wattness.verify import Verifier
from wattwire import frame

WEEK_FRAMES = 7 * 1440
LIVE_BOARDS = 4
GATEWAY = bytes(range(32))


async def measure(*, quick: bool) -> dict[str, object]:
    """Return the figures of all parts."""
    with tempfile.TemporaryDirectory() as folder:
        queries = _queries(Path(folder), quick=quick)
    with tempfile.TemporaryDirectory() as folder:
        summing = await _summing(Path(folder), 300 if quick else 3000)
    with tempfile.TemporaryDirectory() as folder:
        backlog = await _backlog(Path(folder), 1000 if quick else WEEK_FRAMES)
    return {"queries": queries, "summing": summing, "compaction": _compaction(), "backlog": backlog}


def _queries(folder: Path, *, quick: bool) -> dict[str, object]:
    """A year of ten devices: plots, days and the page's first view, beside the bare query."""
    path = folder / "wattness.db"
    rows = make_year(path, minutes=not quick)
    with open_reader(path) as reader:
        reach = (END_MS - YEAR_MS, END_MS)
        year = _median_ms(lambda: reader.history(1, "power", *reach, "auto"))
        hours = _median_ms(lambda: reader.history(1, "power", *reach, "1h"))
        view = _median_ms(lambda: first_view(reader))
    bare = apsw.Connection(str(history_path(path)))
    query = "SELECT at, sum, n, low, high FROM bucket WHERE series = 1 AND step = ?"
    bare_hours = _median_ms(lambda: bare.execute(query, (3600,)).fetchall())
    size = history_path(path).stat().st_size
    return {
        "year_by_days_ms": round(year, 2),
        "year_by_hours_ms": round(hours, 2),
        "wanted_year_ms": 20,
        "bare_query_by_hours_ms": round(bare_hours, 2),
        "ratio_to_bare_query": round(bare_hours / hours, 3),
        "first_view_ms": round(view, 1),
        "wanted_first_view_ms": 300,
        "bytes_per_aggregate": round(size / rows, 1),
        "devices": DEVICES,
        "points": len(POINTS),
    }


async def _summing(folder: Path, count: int) -> dict[str, object]:
    """Frames from the store into the history, beside an insert of the same frames that does nothing else."""
    board = FleetBoard(1, GATEWAY)
    frames = list(board.frames(count))
    path = folder / "wattness.db"
    with open_registry(path, Clock()) as registry:
        verifier = Verifier([registry.enrol(board.public_key, "board")])
    verified, _ = verifier.verify_all([Arrival(board.kid, raw) for raw in frames])
    async with open_store(path, Settings(gateway=GATEWAY, clock=Clock())) as store:
        for at in range(0, count, 256):
            await store.put(verified[at : at + 256])
    bare = apsw.Connection(str(folder / "bare.db"))
    bare.pragma("journal_mode", "wal")
    bare.pragma("synchronous", "full")
    bare.execute("CREATE TABLE frame (seq INTEGER PRIMARY KEY, raw)")
    began = time.perf_counter()
    for at in range(0, count, 256):
        with bare:
            bare.executemany("INSERT INTO frame (raw) VALUES (?)", [(raw,) for raw in frames[at : at + 256]])
    bare_s = time.perf_counter() - began
    historian = Historian(connect_to_read(path), connect_history(history_path(path)), 120_000)
    began = time.perf_counter()
    while historian.step():
        pass
    seconds = time.perf_counter() - began
    return {
        "frames_per_s": round(count / seconds),
        "bare_insert_frames_per_s": round(count / bare_s),
        "ratio_to_bare_insert": round(bare_s / seconds, 4),
        "share_of_a_core_at_one_frame_a_minute_of_10_boards": round(10 / 60 * seconds / count, 6),
        "frames": count,
    }


def _compaction() -> dict[str, object]:
    """Bytes per value, the time included, of recorded days with a row each second and each ten."""
    sizes = {}
    for name, site, begin in (("pv", PvSite(1), GOLDEN_START_MS - 36_000_000), ("home", HomeSite(1), GOLDEN_START_MS)):
        for seconds in (1, 10):
            times = range(begin, begin + 86_400_000, seconds * 1000)
            described, data = chunks.pack(_stream(), times, _columns(site, times))
            sizes[f"{name}_{seconds}_s"] = round((len(described) + len(data)) / len(times) / len(FLEET_POINTS), 3)
    return {"bytes_per_value": sizes, "wanted_bytes_per_value": 1.0}


def _columns(site: Any, times: range) -> list[list[int]]:
    values = [site.values(at) for at in times]
    return [[round(value[point.name] * 10**-point.exponent) for value in values] for point in FLEET_POINTS]


def _stream() -> Any:
    return frame.Stream("pv", "eastron_sdm120", bytes(16), 1, FLEET_POINTS, None, 6000, False)


async def _backlog(folder: Path, count: int) -> dict[str, object]:
    """A week's frames of one board through the whole gateway, beside boards that go on living."""
    home, enrolments = await gateway_with_boards(folder, 1 + LIVE_BOARDS)
    try:
        await home.start_gateway()
        plan = folder / "backlog.json"
        plan.write_text(json.dumps({"enrolments": enrolments, "frames": count}))
        load = await start("bench.backlog", plan, "made")
        output, _ = await load.communicate(b"go\n")
        found = json.loads(output)
        summed_s = await _until_summed(folder / "gateway" / "wattness.db")
    finally:
        await home.stop()
    waited = found["waited_s"]
    return {
        "seconds": round(found["seconds"], 1),
        "seconds_per_week": round(found["seconds"] * WEEK_FRAMES / count, 1),
        "wanted_seconds_per_week": 60,
        "frames_per_s": round(count / found["seconds"]),
        "live_p50_ms": round(1000 * statistics.median(waited), 1) if waited else None,
        "live_p99_ms": round(1000 * waited[int(0.99 * (len(waited) - 1))], 1) if waited else None,
        "wanted_live_p99_ms": 200,
        "live_frames": len(waited),
        "live_frames_per_s": LIVE_BOARDS / LIVE_S,
        "history_done_s_later": round(summed_s, 1),
    }


async def _until_summed(path: Path) -> float:
    """Return how long after the backlog the history was complete."""
    began = time.perf_counter()
    store, history = connect_to_read(path), connect_to_read(history_path(path))
    query = "SELECT frame, (SELECT count(*) FROM dirty) FROM source"
    (newest,) = store.execute("SELECT max(id) FROM frame").fetchall()[0]
    while history.execute(query).fetchall() != [(newest, 0)]:
        await asyncio.sleep(0.1)
        (newest,) = store.execute("SELECT max(id) FROM frame").fetchall()[0]
    return time.perf_counter() - began


def _median_ms(work: Callable[[], object], rounds: int = 15) -> float:
    return 1000 * statistics.median(_timed(work, rounds))


def _timed(work: Callable[[], object], rounds: int) -> Iterator[float]:
    work()
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        yield time.perf_counter() - began
