"""Reports that one adapter signs and keeps, against bare signing and bare inserts; and what all adapters weigh."""

import asyncio
import os
import random
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import psutil

from civilclock import Clock as CivilClock
from demo.everybody import Everybody
from demo.home import Home
from emulator.author import Author, verified
from wattness import answers, forward
from wattness.clock import Clock
from wattness.config import Config, NetworkConfig
from wattness.keys.held import CURVES
from wattness.model import Receipt
from wattness.networks import open_network
from wattness.networks.ethereum import keccak256
from wattness.signing import key_hash
from wattness.store.registry import open_registry
from wattness.store.schema import connect
from wattness.store.sqlite import Settings, SqliteStore, open_store

START = 1_789_948_800_000
MINUTE = 60_000
REPORTS = 4000
KEPT_BYTES = 600  # about a signed report
BATCH = 32
SETTLE_S = 4.0


class _Path(NamedTuple):
    kind: str
    curve: str
    settings: dict[str, Any]


PATHS = (
    _Path("wattnet", "P-256", {}),
    _Path("iotex", "secp256k1", {"project_id": "923"}),
)


async def measure(*, quick: bool) -> dict[str, float]:
    """Return reports/s of a P-256 and of a secp256k1 adapter on one core, their ratios, and the memory of all."""
    found: dict[str, float] = {"wanted_reports_per_core_s": 1000}
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with tempfile.TemporaryDirectory() as folder:
            inserts = _bare_inserts(Path(folder, "bare.db"))
            found["bare_inserts_per_s"] = round(inserts)
            for path in PATHS:
                signs = await _bare_signs(path.curve)
                reports, of_core = await _reports(Path(folder), path, 1000 if quick else REPORTS)
                name = path.curve.replace("-", "").lower()
                found[f"{name}_bare_signs_per_s"] = round(signs)
                found[f"{name}_reports_per_s"] = round(reports)
                found[f"{name}_reports_per_core_s"] = round(of_core)
                found[f"{name}_share_of_bare"] = round(of_core * (1 / signs + 1 / inserts), 3)
    finally:
        os.sched_setaffinity(0, cores)
    alone, all_on = await _memory(every=False), await _memory(every=True)
    return found | {"all_adapters_rss_mb": round((all_on - alone) / 1e6, 1), "wanted_rss_mb": 25}


def _bare_inserts(file: Path) -> float:
    connection = connect(file)
    connection.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, body BLOB) STRICT")
    body, since = bytes(KEPT_BYTES), time.perf_counter()
    for _ in range(REPORTS // BATCH):
        with connection:
            for _ in range(BATCH):
                connection.execute("INSERT INTO kept (body) VALUES (?)", (body,))
    connection.close()
    return REPORTS // BATCH * BATCH / (time.perf_counter() - since)


async def _bare_signs(curve: str) -> float:
    signer: Any = CURVES[curve].signer(CURVES[curve].make())
    sign = signer.sign if curve == "P-256" else signer.sign_digest
    messages = [keccak256(number.to_bytes(4, "big")) for number in range(1000)]
    since = time.perf_counter()
    for message in messages:
        await sign(message)
    return len(messages) / (time.perf_counter() - since)


async def _reports(folder: Path, path: _Path, count: int) -> tuple[float, float]:
    """Return how many reports the real worker leases, validates, signs, keeps and completes in a second.

    The second is of the clock, the disk's time included, and of the processor. Sending takes no time.
    """
    now_ms = Clock().real_ms_now()
    clock = Clock(now_ms, START + 20 * MINUTE, 1)
    network = NetworkConfig(
        name=path.kind, kind=path.kind, url="http://127.0.0.1:9", settings=path.settings, window_s=0,
        per_minute=1_000_000, age_max_h=24 * 365,
    )  # fmt: skip
    signer = CURVES[path.curve].signer(CURVES[path.curve].make())
    gateway = CURVES["P-256"].signer(CURVES["P-256"].make())
    file = folder / f"{path.kind}.db"
    async with AsyncExitStack() as stack:
        settings = Settings(key_hash(gateway.public_key), (forward.wants(network, 300),), clock=clock, window_ms=1)
        store = await stack.enter_async_context(open_store(await _filled(file, settings, count), settings))
        sources = answers.of_store(store, clock, Config(home=str(folder)))
        adapter = await stack.enter_async_context(open_network(network, signer, sources))
        adapter.send = _taken  # type: ignore[assignment, method-assign]
        worker = forward.Forwarder(adapter, store.outbox, network, forward.World(clock, random.Random(1)), _no_epoch)
        worker.life.began_ms = float("-inf")  # sign without asking what an earlier life has sent
        since, used = time.perf_counter(), time.process_time()
        work = asyncio.create_task(worker.run())
        while await _waiting(store):
            await asyncio.sleep(0.02)
        took_s, used_s = time.perf_counter() - since, time.process_time() - used
        work.cancel()
        await asyncio.wait([work])
    return count / took_s, count / used_s


async def _filled(file: Path, settings: Settings, count: int) -> Path:
    """Return a database with `count` reports to make: one real interval, and copies of it at other times."""
    author = Author(1, settings.gateway, START - MINUTE)
    author.streams(START - 1)
    with open_registry(file, settings.clock) as registry:
        board = registry.enrol(author.public_key, "roof")
    frames = [author.frames[0], *(author.rows(START + minute * MINUTE) for minute in range(6))]
    async with open_store(file, settings) as store:
        await store.put([verified(board.id, raw) for raw in frames])
    with apsw.Connection(str(file)) as connection:
        columns = "role, profile, rated_w, figures, evidence, root, verdict, reasons, final_ms"
        connection.execute(
            f"WITH RECURSIVE n (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < {count - 1})"  # noqa: S608
            f" INSERT INTO interval (stream_id, a, b, {columns})"
            f" SELECT stream_id, a - k * 300000, b - k * 300000, {columns} FROM interval, n WHERE id = 1"
        )
        connection.execute("UPDATE interval SET verdict = 'accepted', reasons = '[]'")
        connection.execute("DELETE FROM job")
        connection.execute(
            "INSERT INTO job (network, key, interval_id, board_id, created_ms) SELECT ?, id, id, ?, 0 FROM interval",
            (settings.networks[0].network, board.id),
        )
    connection.close()
    return file


async def _taken(_: bytes) -> Receipt:
    return Receipt("taken", {})


async def _no_epoch() -> None:
    return None


async def _waiting(store: SqliteStore) -> int:
    depths = await store.read(lambda reader: reader.depths())
    return sum(one.count for one in depths if one.state in {"available", "running", "retryable"})


async def _memory(*, every: bool) -> int:
    """Return the resident bytes of a gateway that nobody speaks to, with or without every network."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder), CivilClock(), paid=False)
        try:
            await home.make_gateway()
            if every:
                await Everybody(home).configure({"pv": ["0/0", "0/1", "0/2"], "load": ["0/3"], "charger": ["0/4"]})
            process = psutil.Process((await home.start_gateway()).pid)
            await asyncio.sleep(SETTLE_S)
            return int(process.memory_info().rss)
        finally:
            await home.stop()
