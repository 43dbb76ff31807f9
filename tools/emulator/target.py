"""A board under test, emulated or at a serial port, behind one set of handles for the scenarios."""

import asyncio
import json
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from civilclock import Clock
from emulator.accesspoint import AccessPoint
from emulator.board import SILENCE, Board
from emulator.bus import Bus
from emulator.errors import EmulatorError
from emulator.wiring import wire

PATIENCE_S = 300.0  # a whole program over a slow line
PERIOD_MS = 15_000
HEAP = "320k"  # what a chip has, twice: the VM's objects are 64 bits wide
EMULATED_BAUD = 38_400
EMULATED_METERS = ("1:sdm120:golden.pv", "2:sdm630:home.grid")
EMULATED_STREAMS = (
    {"role": "pv", "profile": "eastron_sdm120", "unit": 1, "period_ms": PERIOD_MS, "rated_w": 7000},
    {"role": "grid", "profile": "eastron_sdm630", "unit": 2, "period_ms": PERIOD_MS},
)


class UnableError(Exception):
    """This target has no means for what the scenario asks; the scenario does not apply to it."""


class Target(ABC):
    """A board that is switched on; `settings` is its part of the configuration, without the gateway's."""

    settings: dict[str, Any]

    @property
    @abstractmethod
    def port(self) -> Path:
        """The serial port of its REPL."""

    @abstractmethod
    async def start(self) -> None:
        """Make it ready."""

    @abstractmethod
    async def stop(self) -> None:
        """Leave nothing running."""

    async def power_cut(self) -> None:
        """Take the power away."""
        raise UnableError("this target has no switchable supply")

    async def power_on(self) -> None:
        """Give it back."""
        raise UnableError("this target has no switchable supply")

    async def wifi(self, *, on: bool) -> None:  # noqa: ARG002  (no target but the emulated one can)
        """Switch the access point that it uses on or off."""
        raise UnableError("this target's access point cannot be switched")

    @property
    def bus(self) -> Bus:
        """The emulated bus that its UART is wired to, for faults."""
        raise UnableError("this target's meters are real")

    async def mpremote(self, *words: str) -> str:
        """Run the real mpremote on it; returns what it printed, raises EmulatorError when it fails."""
        return await self._run("mpremote", "connect", str(self.port), *words)

    async def _run(self, program: str, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", program, *words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(PATIENCE_S):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        text = output.decode(errors="replace").replace("\r", "")
        if process.returncode:
            raise EmulatorError(f"{program} {' '.join(words)}: {text.strip()[-500:]}")
        return text

    async def make_key(self) -> str:
        """Make the board's key, on the board; returns its public half in hex."""
        output = await self.mpremote("resume", "exec", "import wattboard.keys; wattboard.keys.make()")
        return str(json.loads(output.splitlines()[-1])["public_key"])

    async def configure(self, enrolment: dict[str, Any], file: Path) -> None:
        """Put the configuration on the board by way of `file`, and reset it."""
        file.write_text(json.dumps(enrolment | self.settings))
        try:
            await self.mpremote("resume", "fs", "cp", str(file), ":config.json", "+", "reset")
        finally:
            file.unlink()


class EmulatedTarget(Target):
    """A board in a real MicroPython, with an emulated bus."""

    def __init__(self, folder: Path, clock: Clock, seed: int = 0) -> None:
        self.board = Board(folder, rate=clock.rate, heap=HEAP)
        self._access_point = AccessPoint(self.board.folder / SILENCE)
        self._bus = Bus(wire(EMULATED_METERS, clock, seed), baud=EMULATED_BAUD, seed=seed)
        self.settings = {
            "wifi": {"ssid": "emulated"},
            "bus": {"uart": 1, "baud": EMULATED_BAUD, "tx": 17, "rx": 16},
            "streams": list(EMULATED_STREAMS),
            "frame_ms": 60_000,
            "clock_step_ms": 1000 * clock.rate,
        }

    @property
    def port(self) -> Path:
        """The pseudo-terminal."""
        return self.board.repl_path

    @property
    def bus(self) -> Bus:
        """The emulated bus."""
        return self._bus

    async def start(self) -> None:
        """Start bus and board."""
        await self._bus.start()
        self.board.bus = self._bus.address
        await self.board.start()

    async def stop(self) -> None:
        """Stop both."""
        await self.board.stop()
        await self._access_point.stop()
        await self._bus.stop()

    async def power_cut(self) -> None:
        """Kill the VM."""
        await self.board.power_cut()

    async def configure(self, enrolment: dict[str, Any], file: Path) -> None:
        """Put the configuration on the board; its way to the broker is the access point's."""
        mqtt = dict(enrolment["mqtt"])
        mqtt["host"], mqtt["port"] = await self._access_point.relay(mqtt["host"], mqtt["port"])
        await super().configure(enrolment | {"mqtt": mqtt}, file)

    async def wifi(self, *, on: bool) -> None:
        """Switch the access point."""
        await self._access_point.switch(on=on)

    async def power_on(self) -> None:
        """Start it again."""
        await self.board.power_on()


class SerialTarget(Target):
    """A real board at a serial port, flashed and wired by its owner; `settings` is a file of wifi, bus and streams."""

    def __init__(self, port: Path, settings: dict[str, Any]) -> None:
        self._port, self.settings = port, settings

    @property
    def port(self) -> Path:
        """The device file."""
        return self._port

    async def start(self) -> None:
        """Install the program of this tree, and forget key, log and configuration of earlier runs."""
        await self._run("wattness", "board", "install", str(self.port))
        await self.mpremote("exec", FORGET)

    async def stop(self) -> None:
        """Leave the board running what it runs."""


FORGET = """
import esp32, os
nvs = esp32.NVS("wattness")
for key in ("key", "boot", "log", "cmd", "gw", "prog", "rel"):
    try: nvs.erase_key(key)
    except OSError: pass
nvs.commit()
def remove(path):
    for name, kind in [each[:2] for each in os.ilistdir(path)]:
        remove(path + "/" + name) if kind == 0x4000 else os.remove(path + "/" + name)
    os.rmdir(path)
try: remove("/log")
except OSError: pass
try: os.remove("/config.json")
except OSError: pass
"""
