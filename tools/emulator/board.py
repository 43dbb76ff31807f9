"""An emulated board: the unmodified firmware in a real MicroPython, and the supervisor that is its chip."""

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Self

from emulator.console import Console
from emulator.errors import EmulatorError
from emulator.flash import make_image, make_rom, write_files
from emulator.pins import Pins
from emulator.repl import ReplPort
from emulator.vm import Vm
from wattprogram import Software, software

RAW_BANNER, FRIENDLY_BANNER = b"raw REPL; CTRL-B to exit", b'Type "help()"'
RAW_REPL_S = 5.0
BOOT_S = 20.0
SILENCE = "no_wifi"  # a file in the board's folder: while it is there, the radio finds no access point
HEAP = "256k"  # words are twice as wide as on the chip: about what 128 KB are there, less than it has with Wi-Fi up


class Cause(IntEnum):
    """Why a board started, as `machine.reset_cause()` has it."""

    POWER_ON = 1
    HARD = 2
    WATCHDOG = 3
    DEEP_SLEEP = 4
    SOFT = 5


@dataclass(eq=False)
class Board:
    """A board that lives in `folder` (flash.img, rom.img, nvs.json, console.log); `async with` starts and stops it."""

    folder: Path
    bus: tuple[str, int] | None = None
    ble: tuple[str, int] | None = None  # a bridge to the air; without one it has no Bluetooth
    rate: int = 1
    heap: str = HEAP
    repl: Path | None = None  # a link to the serial port, made at start
    wrap_in_ms: int | None = None  # how soon after each start `ticks_ms` wraps
    software: Callable[[], Software] = software  # what a new board holds
    cut: tuple[int, str] | None = None  # power cut at the n-th flash operation of the next start, and its tear

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        self.causes: list[Cause] = []  # one for each start so far
        self._console: Console | None = None
        self._repl: ReplPort | None = None
        self._server: asyncio.Server | None = None
        self._vm: Vm | None = None
        self._life: asyncio.Task[None] | None = None
        self._ending: asyncio.Future[Cause | None] | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._watchdog_s = self._sleep_s = 0.0
        self._rtc_start_ns = self._rtc_moved_ns = 0
        self._raw = self._muted = self._came_up = False
        self._recent = b""
        self._off = asyncio.Event()  # the power was taken away; no start may follow
        self._start: dict[str, object] = {}
        self.chip_bytes = 0  # of the heap, what stands for the chip itself: its modules and wires
        self.pins = Pins()
        self._booted = asyncio.Event()

    @property
    def flash_image(self) -> Path:
        """The file that is the board's flash."""
        return self.folder / "flash.img"

    @property
    def repl_path(self) -> Path:
        """The serial port: `mpremote connect <this>`."""
        if self._repl is None:
            raise RuntimeError("the board was never started")
        return self._repl.path

    @property
    def console(self) -> Console:
        """What the board printed."""
        if self._console is None:
            raise RuntimeError("the board was never started")
        return self._console

    @property
    def pid(self) -> int | None:
        """The VM's process id, or None while the power is off."""
        return self._vm.pid if self._vm else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def provision(self, files: dict[str, bytes]) -> None:
        """Put files on the flash of a board that is off, as a factory would; a first call makes the flash."""
        self._make()
        write_files(self.flash_image, files)

    async def start(self) -> None:
        """Open the ports and switch the power on; returns when the chip is up."""
        self._make()
        self._console = self._console or Console(self.folder / "console.log")
        self._repl = self._repl or ReplPort(self._typed, self.repl)
        self._server = self._server or await asyncio.start_server(self._control, "127.0.0.1", 0)
        await self.power_on()

    async def stop(self) -> None:
        """Switch off and close the ports; leaves no process."""
        await self.power_cut()
        if self._server:
            self._server.close()
            self._server = None
        if self._repl:
            self._repl.close()
            self._repl = None
        if self._console:
            self._console.close()

    async def power_on(self) -> None:
        """Start from cold; nothing happens when the power is on already."""
        if self._life is None or self._life.done():
            self._rtc_start_ns, self._rtc_moved_ns = time.monotonic_ns(), 0
            self._booted.clear()
            self._off.clear()
            self._life = asyncio.create_task(self._live(), name=f"board {self.folder.name}")
            await self._up()

    async def power_cut(self) -> None:
        """Take the power away at this very instant."""
        self._off.set()
        self._end(None)
        if self._life:
            await self._life
            self._life = None

    async def reset(self, cause: Cause = Cause.HARD) -> None:
        """Reset the chip; returns when it is up again."""
        self._booted.clear()
        self._end(cause)
        await self._up()

    async def wait_off(self) -> None:
        """Return when the power is off (after an ordered power cut)."""
        if self._life:
            await asyncio.shield(self._life)

    async def wait_starts(self, count: int) -> None:
        """Return when the board has started `count` times."""
        while len(self.causes) < count:
            self._booted.clear()
            await self._booted.wait()

    def _make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.flash_image.exists():
            new = self.software()
            if new.rom:
                make_rom(self.folder / "rom.img", new.rom)
            make_image(self.flash_image, new.files)

    async def _up(self) -> None:
        up = asyncio.create_task(self._booted.wait())
        assert self._life is not None  # noqa: S101  (set by the callers)
        done, _ = await asyncio.wait((up, self._life), timeout=BOOT_S, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if not done:
            await self.stop()
            raise EmulatorError(f"the VM did not come up; it said: {self.console.text()[-500:]}")
        if up not in done:
            self._life.result()

    async def _live(self) -> None:
        """One turn for each start, until the power goes."""
        cause: Cause | None = Cause.POWER_ON
        while cause is not None and not self._off.is_set():
            cause = await self._one_start(cause)

    async def _one_start(self, cause: Cause) -> Cause | None:
        loop = asyncio.get_running_loop()
        resumes_raw = cause is Cause.SOFT and self._raw
        self._raw, self._muted, self._recent = False, resumes_raw, b""
        self._ending = loop.create_future()
        self._sleep_s, self._came_up = 0.0, False
        vm = self._vm = Vm(self._printed)
        try:
            self._start = self._settings(cause, run_main=not resumes_raw)
            await vm.start(self._server_port(), self.heap, self.folder)
            self.causes.append(cause)
            if resumes_raw:
                vm.hold(RAW_REPL_S)
                vm.type(b"\x01")
            await asyncio.wait((self._ending, vm.exited), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stop_watchdog()
            self._vm = None
            await vm.kill()
        return await self._next_cause(vm.exited.result())

    async def _next_cause(self, code: int) -> Cause | None:
        assert self._ending is not None  # noqa: S101  (set by _one_start)
        if not self._ending.done():
            if not self._came_up:
                raise EmulatorError(f"the VM did not come up; it said: {self.console.text()[-500:]}")
            # The VM ended by itself: Ctrl-D or SystemExit, or it crashed, which the chip's panic handler resets.
            self._ending.set_result(Cause.SOFT if code >= 0 else Cause.HARD)
        cause = self._ending.result()
        if cause is Cause.SOFT:
            self._printed(b"MPY: soft reboot\r\n", mute=False)
        if self._sleep_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._off.wait(), self._sleep_s)
        return cause

    def _settings(self, cause: Cause, *, run_main: bool) -> dict[str, object]:
        cut, self.cut = self.cut, None
        elapsed_ns = 0 if cause is Cause.POWER_ON else time.monotonic_ns() - self._rtc_start_ns
        return {
            "folder": str(self.folder), "cause": int(cause),
            "uid": hashlib.sha256(str(self.folder).encode()).hexdigest()[:12], "bus": self.bus, "ble": self.ble,
            "rate": self.rate, "rtc_ns": elapsed_ns * self.rate + self._rtc_moved_ns, "wrap_in_ms": self.wrap_in_ms,
            "cut": cut, "run_main": run_main,
        }  # fmt: skip

    def _server_port(self) -> int:
        assert self._server is not None  # noqa: S101  (set by start)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def _end(self, cause: Cause | None) -> None:
        if self._ending and not self._ending.done():
            self._ending.set_result(cause)

    def _typed(self, data: bytes) -> None:
        if self._vm:
            self._vm.type(data)

    def _printed(self, data: bytes, *, mute: bool = True) -> None:
        self.console.write(data)
        self._recent = (self._recent + data)[-4096:]
        raw, friendly = self._recent.rfind(RAW_BANNER), self._recent.rfind(FRIENDLY_BANNER)
        self._raw = raw > friendly if max(raw, friendly) >= 0 else self._raw
        if self._muted and mute:
            # A soft reset out of the raw REPL comes back to the raw REPL; the way there through the prompt is ours.
            if raw < 0:
                return
            self._muted, data = False, b"\r\n" + self._recent[raw:]
        if self._repl:
            self._repl.send(data)

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the chip's wire: its settings first, then what it says, for as long as it is the one that runs."""
        vm = self._vm
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps(self._start).encode() + b"\n")
            while (line := await reader.readline()) and vm is self._vm:
                word, *values = line.decode().split()
                self._told(word, [int(value) for value in values])
        writer.close()

    def _told(self, word: str, values: list[int]) -> None:
        if word == "up":
            self._came_up = True
            if self._vm and not self._muted:
                self._vm.release()
            self._booted.set()
        elif word == "wdt":
            self._watchdog_s = values[0] / 1000
            self._feed()
        elif word == "feed":
            self._feed()
        elif word == "heap":
            self.chip_bytes = values[0]
        elif word == "pin":
            self.pins.told(*values)
        elif word == "rtc":
            self._rtc_moved_ns += values[0]
        elif word == "sleep":
            self._sleep_s = values[0] / 1000 / self.rate
            self._end(Cause.DEEP_SLEEP)
        elif word in ("reset", "cut"):
            self._end(Cause(values[0]) if values else None)

    def _feed(self) -> None:
        self._stop_watchdog()
        self._watchdog = asyncio.get_running_loop().call_later(self._watchdog_s, self._end, Cause.WATCHDOG)

    def _stop_watchdog(self) -> None:
        if self._watchdog:
            self._watchdog.cancel()
            self._watchdog = None
