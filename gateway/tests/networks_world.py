"""A gateway's store with days of every role on it, for any network; loaded by `runpy`."""

import asyncio
import random
import shutil
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from civilclock import Clock as NetworkClock
from emulator.author import Author, verified
from emulator.networks import SANDBOXES
from wattness import answers, forward
from wattness.clock import Clock
from wattness.config import Config, NetworkConfig
from wattness.keys.held import CURVES
from wattness.networks import open_network
from wattness.networks.catalog import CATALOG
from wattness.signing import key_hash
from wattness.store.registry import open_registry
from wattness.store.sqlite import Settings, open_store
from wattnet.faults import Faults
from wattwire import frame

DAY, HOUR, MINUTE = 86_400_000, 3_600_000, 60_000
START = 20_717 * DAY  # a midnight
FROM = 12 * HOUR  # of each day an hour is metered
SPACING = 30_000
ROWS = 20  # of a frame
LENGTH = 5 * MINUTE
TIMING = forward.Timing(backoff_s=(0.01, 0.05), send_s=1.5, lease_s=6.0, poll_s=0.05, reconcile_s=0.3)
OPEN = ("available", "running", "retryable")

POINTS = {
    "pv": (("power", "W"), ("energy_export", "Wh"), ("voltage", "V"), ("current", "A")),
    "grid": (("power", "W"), ("energy_import", "Wh"), ("energy_export", "Wh"), ("voltage_l1", "V")),
    "battery": (("power", "W"), ("energy_import", "Wh"), ("energy_export", "Wh"), ("soc", "%")),
    "load": (("power", "W"), ("energy_import", "Wh")),
    "charger": (("power", "W"), ("energy_import", "Wh")),
    "vehicle": (
        ("power", "W"),
        ("battery_power", "W"),
        ("soc", "%"),
        ("odometer", "km"),
        ("charging", "1"),
        ("plugged", "1"),
    ),
}


def secret_of(curve: str):
    """Return a key that is the same in every test; secp256k1's has an even Y, as every network takes it."""
    if curve == "Ed25519":
        return ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    number, group = int.from_bytes(bytes(range(1, 33)), "big"), ec.SECP256R1() if curve == "P-256" else ec.SECP256K1()
    while True:
        secret = ec.derive_private_key(number, group)
        if curve == "P-256" or secret.public_key().public_numbers().y % 2 == 0:
            return secret
        number += 1


def signer_of(kind: str):
    curve = CATALOG[kind].curve or "P-256"
    return CURVES[curve].signer(secret_of(curve))


GATEWAY = CURVES["P-256"].signer(secret_of("P-256"))


def value_of(name: str, hours_ms: int, at_ms: int) -> int:
    """Return a point's figure: everything runs at a kilowatt, and its counters stand still between the days."""
    return {
        "power": 1000,
        "energy_import": hours_ms // 3600,
        "energy_export": 0,
        "voltage": 230,
        "voltage_l1": 230,
        "current": 4,
        "battery_power": 1000,
        "soc": 40 + hours_ms // 600_000 % 10,
        "odometer": 12_000 + at_ms // DAY % 1000,
    }.get(name, 1)


def entry_of(number: int, role: str, first_ms: int, rows: int):
    columns = []
    for name, _ in POINTS[role]:
        asked = "energy_import" if (role, name) == ("pv", "energy_export") else name
        times = [first_ms + row * SPACING for row in range(rows)]
        worked = [(at // DAY - START // DAY) * HOUR + min(HOUR, max(0, at % DAY - FROM)) for at in times]
        columns.append(frame.delta([value_of(asked, *pair) for pair in zip(worked, times, strict=True)]))
    return frame.Entry(number, 0, SPACING, columns)


def end_of(kind: str, days: int) -> int:
    """Return when the first row comes that makes the last window final."""
    day = START + (days - 1) * DAY
    return day + DAY + SPACING if CATALOG[kind].window_s > HOUR // 1000 else day + FROM + HOUR + SPACING


def roles_of(kind: str) -> tuple[str, ...]:
    """Return the streams that are metered for a network: of a home, or of a car when it takes nothing else."""
    taken = CATALOG[kind].roles
    return tuple(role for role in POINTS if role in (taken - {"vehicle"} or taken))


@cache
def logs(roles: tuple[str, ...], days: int, end_ms: int):
    """Return (public key, frames) of the home's board and of the car's, as far as they have such streams."""
    found = []
    for seed, mine in ((1, [role for role in roles if role != "vehicle"]), (2, [r for r in roles if r == "vehicle"])):
        if not mine:
            continue
        author = Author(seed, key_hash(GATEWAY.public_key), START + FROM - 2 * MINUTE)
        streams = [
            frame.Stream(role, "recorded", bytes(16), 1, [frame.Point(n, u, 0, None) for n, u in POINTS[role]], None,
                         6000, False)
            for role in mine
        ]  # fmt: skip
        author.streams(START + FROM - MINUTE, *streams)
        for day in range(days):
            for part in range(HOUR // (ROWS * SPACING)):
                at = START + day * DAY + FROM + part * ROWS * SPACING
                author.entries(at, [entry_of(number, role, at, ROWS) for number, role in enumerate(mine)])
        author.entries(end_ms, [entry_of(number, role, end_ms, 1) for number, role in enumerate(mine)])
        found.append((author.public_key, tuple(author.frames)))
    return found


class World:
    """One life after another of a gateway with one network, its store, and the network's sandbox."""

    def __init__(self, stack: AsyncExitStack, folder: Path, kind: str, days: int) -> None:
        self.stack, self.folder, self.kind, self.days = stack, folder, kind, days
        now_ms = Clock().real_ms_now()
        self.clock = Clock(now_ms, end_of(kind, days) + 1000, 1)
        self.sent: list[bytes] = []
        self.served = self.store = None
        self.others: tuple[forward.Wants, ...] = ()

    async def start(self, *script: str, **shares: float) -> None:
        """Serve the sandbox with these faults, and open a store that holds the days."""
        clock = NetworkClock(self.clock.real_ms, self.clock.civil_ms, 1)
        sandbox = SANDBOXES[self.kind](signer_of(self.kind).public_key, clock, Faults(script=list(script), **shares))
        self.served = await self.stack.enter_async_context(sandbox)
        await self.open_store(self.folder / "wattness.db")

    async def open_store(self, path: Path) -> None:
        wants = (self.wants, *self.others)
        shutil.copyfile(await filled(self.kind, wants, self.days, self.clock), path)
        settings = Settings(key_hash(GATEWAY.public_key), wants, clock=self.clock, window_ms=1)
        self.store = await self.stack.enter_async_context(open_store(path, settings))

    @property
    def config(self) -> NetworkConfig:
        kind, served = CATALOG[self.kind], self.served
        return NetworkConfig(
            name="tested", kind=self.kind, url=served.url if served else "", settings=served.settings if served else {},
            window_s=kind.window_s, age_max_h=kind.age_max_h, in_flight=2,
        )  # fmt: skip

    @property
    def wants(self):
        return forward.wants(self.config, LENGTH // 1000)

    @asynccontextmanager
    async def adapter(self):
        """Open the adapter, and note what it sends."""
        sources = answers.of_store(self.store, self.clock, Config(home=str(self.folder)))
        async with open_network(self.config, signer_of(self.kind), sources) as network:
            send = network.send

            async def noting(signed):
                self.sent.append(signed)
                return await send(signed)

            network.send = noting
            yield network

    def forwarding(self, network, seed: int = 1):
        world = forward.World(self.clock, random.Random(seed), TIMING)
        return forward.forward(network, self.store, self.config, world)

    async def deliver(self, within_s: float = 15) -> None:
        """Live until nothing waits any more."""
        async with self.adapter() as network, asyncio.timeout(within_s), Running(self.forwarding(network)):
            while await self.waiting():
                await asyncio.sleep(0.02)

    async def counts(self, network: str = "tested") -> dict[str, int]:
        depths = await self.store.read(lambda reader: reader.depths())
        return {one.state: one.count for one in depths if one.network == network}

    async def waiting(self) -> int:
        counts = await self.counts()
        return sum(counts.get(state, 0) for state in OPEN)

    async def jobs(self):
        """Return every job as (id, state, reason, turn, begin, body), in the order in which it was made."""
        query = "SELECT id, state, reason, turn, begin_ms, body FROM job WHERE network = 'tested' ORDER BY id"
        return await self.store.read(lambda reader: reader._rows(query))

    async def given_up(self) -> dict[str, int]:
        """Return how many jobs were discarded, by reason."""
        return dict(Counter(reason for _, state, reason, *_ in await self.jobs() if state == "discarded"))

    def secrets(self) -> list[bytes]:
        """Return what must not be written down: the key, and what is in the private files that the settings name."""
        number = secret_of(CATALOG[self.kind].curve or "P-256")
        raw = number.private_bytes_raw() if hasattr(number, "private_bytes_raw") else None
        key = raw or number.private_numbers().private_value.to_bytes(32, "big")
        files = [Path(value) for value in self.served.settings.values() if isinstance(value, str) and "/" in value]
        private = [file.read_bytes().strip() for file in files if file.is_file() and not file.stat().st_mode & 0o077]
        return [key, key.hex().encode(), *(line for text in private for line in text.splitlines() if len(line) > 30)]

    @property
    def taken(self) -> int:
        return len(self.served.ledger.taken)


_TEMPLATES = TemporaryDirectory()
_FILLED: dict[object, Path] = {}


async def filled(kind: str, wants: tuple, days: int, clock: Clock) -> Path:
    """Return a database that holds the days, with the jobs that follow; it is made once."""
    name = (wants, days)
    if name not in _FILLED:
        path = Path(_TEMPLATES.name, f"{len(_FILLED)}.db")
        found = logs(roles_of(kind), days, end_of(kind, days))
        with open_registry(path, clock) as registry:
            boards = [(registry.enrol(key, f"board {n}"), frames) for n, (key, frames) in enumerate(found)]
        async with open_store(path, Settings(key_hash(GATEWAY.public_key), wants, clock=clock, window_ms=1)) as store:
            for board, frames in boards:
                await store.put([verified(board.id, raw) for raw in frames])
        _FILLED[name] = path
    return _FILLED[name]


class Running:
    """A task that lives inside `async with`, and whose failure is ours."""

    def __init__(self, work) -> None:
        self.work = work

    async def __aenter__(self):
        self.task = asyncio.create_task(self.work)
        return self.task

    async def __aexit__(self, *_):
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
