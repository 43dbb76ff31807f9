"""The field of the demo: sites with their meters, and a car, each metered by one emulated board."""

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from civilclock import Clock
from demo.home import Home
from demo.processes import DemoError, run
from emulator.board import Board
from emulator.bus import Bus
from emulator.flash import read_log
from emulator.line import Fault, FaultKind
from emulator.meters import Meter, Sdm120, Sdm630, SunSpecInverter
from emulator.radio.air import Air
from emulator.radio.bridge import Bridge
from emulator.radio.car import Car
from emulator.radio.dongle import dongle, electric_car
from emulator.radio.elm import Elm327
from emulator.site import HomeSite, PvSite

PERIOD_MS = 15_000
CAR_PERIOD_MS = 60_000  # a second, in which a dongle answers a few questions
BAUD = 38_400
SETTINGS = {
    "frame_ms": 60_000,
    "health_ms": 600_000,
    "clock_step_ms": 60_000,  # one real second at 60×: what a scheduler's pause may cost is no step of the clock
}


@dataclass(frozen=True)
class SitePlan:
    """One site: its meters, or the car that its board is in, and the streams that the board is told to meter."""

    name: str
    meters: list[Meter]
    streams: list[dict[str, Any]]
    baud: int = BAUD
    heap: str = "320k"  # what a chip has, twice: the VM's objects are 64 bits wide
    settings: Mapping[str, int] = field(default_factory=lambda: SETTINGS)  # the rest of the board's configuration
    car: Car | None = None  # with a dongle on the air


def plans(clock: Clock, seed: int) -> list[SitePlan]:
    """Return the two sites: the recorded roof at Golden, and the recorded home with a roof of its own."""
    roof, home = PvSite(seed), HomeSite(seed)
    return [
        SitePlan(
            "golden",
            [Sdm120(1, roof.pv, clock.now_ms)],
            [_stream("pv", "eastron_sdm120", 1, rated_w=7000)],
        ),
        SitePlan(
            "home",
            [Sdm630(1, home.grid, clock.now_ms), SunSpecInverter(2, home.pv, clock.now_ms)],
            [_stream("grid", "eastron_sdm630", 1), _stream("pv", "sunspec", 2, rated_w=3000)],
        ),
    ]


def plans_for_all(clock: Clock, seed: int) -> list[SitePlan]:
    """Return the sites with meters for every network: two more roofs, what the home uses, a charger, and a car."""
    golden, home = plans(clock, seed)
    west, east, used = PvSite(seed + 1, 600_000), PvSite(seed + 2, 400_000), HomeSite(seed).load
    golden.meters.extend([Sdm120(2, west.pv, clock.now_ms), Sdm120(3, east.pv, clock.now_ms)])
    golden.streams.extend(_stream("pv", "eastron_sdm120", unit, rated_w=7000) for unit in (2, 3))
    home.meters.extend([Sdm120(3, used, clock.now_ms), Sdm120(4, HomeSite(seed + 1).load, clock.now_ms)])
    home.streams.extend([_stream("load", "eastron_sdm120", 3), _stream("charger", "eastron_sdm120", 4)])
    car = {"role": "vehicle", "profile": "hyundai_kia_egmp", "unit": 1, "period_ms": CAR_PERIOD_MS}
    seen = {"ble": {"name": "OBDII"}, "confirmed": ["power", "battery_power", "battery_voltage", "battery_current"]}
    return [golden, home, SitePlan("car", [], [car | seen], car=electric_car())]


def _stream(role: str, profile: str, unit: int, **more: int) -> dict[str, Any]:
    return {"role": role, "profile": profile, "unit": unit, "period_ms": PERIOD_MS, **more}


class Site:
    """One running site: bus, board, and what the gateway knows the board by."""

    def __init__(self, plan: SitePlan, folder: Path, rate: int) -> None:
        self.plan, self.folder, self.rate = plan, folder / plan.name, rate
        self.bus = Bus(plan.meters, baud=plan.baud)
        self.kid = ""
        self._board: Board | None = None
        self._radio = AsyncExitStack()

    @property
    def board(self) -> Board:
        """The board; raises RuntimeError before `start`."""
        if self._board is None:
            raise RuntimeError("the site was not started")
        return self._board

    async def start(self, home: Home) -> None:
        """Switch on bus and board, make the key on the board, enrol it, and give it its configuration."""
        self.folder.mkdir(parents=True)
        await self.bus.start()
        ble = None if self.plan.car is None else await self._switch_on(self.plan.car)
        self._board = Board(self.folder, bus=self.bus.address, ble=ble, rate=self.rate, heap=self.plan.heap)
        await self.board.start()
        made = json.loads(
            (await self.mpremote("exec", "import wattboard.keys; wattboard.keys.make()")).splitlines()[-1]
        )
        secret = self.folder / "enrolment.json"
        enrolment = await home.enrol(made["public_key"], self.plan.name, secret)
        self.kid = enrolment["mqtt"]["user"]
        config = enrolment | {
            "wifi": {"ssid": "emulated"},
            "bus": {"uart": 1, "baud": self.plan.baud, "tx": 17, "rx": 16},
            "streams": self.plan.streams,
            **self.plan.settings,
        }
        secret.write_text(json.dumps(config))
        await self.mpremote("fs", "cp", str(secret), ":/config.json")
        secret.unlink()
        await self.board.reset()

    async def stop(self) -> None:
        """Switch everything off."""
        if self._board:
            await self._board.stop()
        await self._radio.aclose()
        await self.bus.stop()

    async def mpremote(self, *arguments: str) -> str:
        """Talk to the board over its REPL with the real tool."""
        command = [sys.executable, "-m", "mpremote", "connect", str(self.board.repl_path), "resume", *arguments]
        return await run(command, f"mpremote {arguments[0]} on the board {self.plan.name!r}")

    async def _switch_on(self, car: Car) -> tuple[str, int]:
        """Plug a dongle into the car; returns where a board hears its air."""
        air = Air()
        self._radio.push_async_callback(air.close)
        address = await self._radio.enter_async_context(Bridge(air))
        await self._radio.enter_async_context(dongle(air, Elm327(car)))
        return address

    async def unplug(self) -> None:
        """From now on no meter answers, nor the dongle."""
        await self._radio.aclose()
        for unit in self.bus.meters:
            self.bus.fault(unit, Fault(FaultKind.SILENCE))

    def made(self) -> dict[int, int]:
        """Return the highest seq of each log on the flash of the board, which must be off."""
        heads: dict[int, int] = {}
        for log, seq in read_log(self.board.flash_image):
            heads[log] = max(heads.get(log, 0), seq)
        if not heads:
            raise DemoError(f"The board {self.plan.name!r} has no frame on its flash; see {self.folder}/console.log.")
        return heads


async def start_all(sites: list[Site], home: Home) -> None:
    """Start the sites side by side."""
    async with asyncio.TaskGroup() as tasks:
        for site in sites:
            tasks.create_task(site.start(home))
