"""Strict verification, decoding and durable commit from memory, against bare P-256 verification on the same cores."""

import asyncio
import gc
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from emulator.fleet import FleetBoard
from wattness.clock import Clock
from wattness.intake import Intake
from wattness.model import Ack, Arrival, Board
from wattness.store.registry import open_registry
from wattness.store.settings import Wants
from wattness.store.sqlite import Settings, open_store
from wattness.verifiers import LOT_FRAMES, Verifiers, open_verifiers
from wattness.verify import Verifier, der
from wattwire import cose

BOARDS = 20
THREADS = 2
GATEWAY = hashlib.sha256(b"bench gateway").digest()
_ES256 = ec.ECDSA(hashes.SHA256())


async def measure(*, quick: bool) -> dict[str, object]:
    """Return frames per second of each stage and their ratios, medians over interleaved rounds."""
    gc.freeze()  # as `wattness run` does
    gc.set_threshold(20_000, 50, 100)
    count, rounds = (40, 3) if quick else (800, 5)  # the begin and the end, where only one stage works, hardly count
    fleet = [FleetBoard(seed, GATEWAY) for seed in range(BOARDS)]
    dated = _interleave([list(board.frames(count)) for board in fleet], fleet)
    undated = _interleave([list(board.frames(count, dated=False)) for board in fleet], fleet)
    figures: dict[str, list[float]] = {"bare_verify": [], "strict_verify": [], "commit": [], "intervals": []}
    for _ in range(rounds):
        figures["bare_verify"].append(_bare_verify(fleet, undated))
        figures["strict_verify"].append(_strict_verify(fleet, undated))
        figures["commit"].append(await _pipeline(fleet, undated))
        figures["intervals"].append(await _pipeline(fleet, dated))
    rates = {name: statistics.median(values) for name, values in figures.items()}
    ratios = {
        name: statistics.median(a / b for a, b in zip(figures[name], figures["bare_verify"], strict=True))
        for name in ("strict_verify", "commit", "intervals")
    }
    micros = {name: 1e6 / rate for name, rate in rates.items()}
    return {
        "frames_per_s": {name: round(rate) for name, rate in rates.items()},
        "ratio_to_bare_verify": {name: round(ratio, 3) for name, ratio in ratios.items()},
        "wanted_ratio": {"commit": 0.5, "intervals": 0.4},
        "share_of_intervals_run": {
            "verify": round(micros["bare_verify"] / micros["intervals"], 3),
            "parse_and_decode": round((micros["strict_verify"] - micros["bare_verify"]) / micros["intervals"], 3),
            "commit": round((micros["commit"] - micros["strict_verify"]) / micros["intervals"], 3),
            "interval_updates": round((micros["intervals"] - micros["commit"]) / micros["intervals"], 3),
        },
        "frames": len(dated),
    }


def _interleave(per_board: Sequence[Sequence[bytes]], fleet: Sequence[FleetBoard]) -> list[Arrival]:
    minutes = zip(*per_board, strict=True)
    return [Arrival(board.kid, raw) for minute in minutes for board, raw in zip(fleet, minute, strict=True)]


def _bare_verify(fleet: Sequence[FleetBoard], arrivals: Sequence[Arrival]) -> float:
    keys = {board.kid: board.key.public_key() for board in fleet}
    work = []
    for kid, raw in arrivals:
        _, payload, signature = cose.parse(raw)
        work.append((keys[kid], der(signature), cose.to_be_signed(kid, payload)))

    def verify(part: int) -> None:
        for key, signature, message in work[part::THREADS]:
            key.verify(signature, message, _ES256)

    return _rate(len(work), lambda: _in_threads(verify))


def _strict_verify(fleet: Sequence[FleetBoard], arrivals: Sequence[Arrival]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        verifier = Verifier(_enrol(fleet, Path(folder)))

    def verify(part: int) -> None:
        _good, rejected = verifier.verify_all(arrivals[part::THREADS])
        if rejected:
            raise RuntimeError(str(rejected))

    return _rate(len(arrivals), lambda: _in_threads(verify))


async def _pipeline(fleet: Sequence[FleetBoard], arrivals: Sequence[Arrival]) -> float:
    """Offer every frame to the gateway's own intake; the time runs until the last one is committed."""
    with tempfile.TemporaryDirectory() as folder:
        boards = _enrol(fleet, Path(folder))
        heads = dict.fromkeys((board.id for board in boards), 0)
        done = asyncio.Event()
        last = len(arrivals) // len(fleet)

        async def acknowledge(acks: Sequence[Ack]) -> None:
            heads.update({ack.board_id: ack.seq for ack in acks})
            if min(heads.values()) == last:
                done.set()

        settings = Settings(gateway=GATEWAY, networks=(Wants("bench"),), clock=Clock())
        database = Path(folder) / "wattness.db"
        async with open_store(database, settings) as store, open_verifiers(boards) as verifiers:
            intake = Intake(store, verifiers, acknowledge)
            await _warm(verifiers)
            task = asyncio.create_task(intake.run())
            start = time.perf_counter()
            for arrival in arrivals:
                while not intake.offer(arrival):
                    await asyncio.sleep(0.005)
            await done.wait()
            elapsed = time.perf_counter() - start
            task.cancel()
            await asyncio.wait([task])
    return len(arrivals) / elapsed


async def _warm(verifiers: Verifiers) -> None:
    """Start the processes, as a gateway under load has."""
    await asyncio.gather(*(verifiers.check([Arrival(b"", b"")] * LOT_FRAMES) for _ in range(THREADS)))


def _enrol(fleet: Sequence[FleetBoard], folder: Path) -> list[Board]:
    with open_registry(folder / "wattness.db", Clock()) as registry:
        return [registry.enrol(board.public_key, f"board {board.seed}") for board in fleet]


def _in_threads(work: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


def _rate(count: int, work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)
