"""What each part of the board's program takes of the heap: counted in the 64-bit VM, and in one of 32 bits.

The 32-bit one counts as a chip does: MicroPython for WebAssembly, if `MICROPYTHON_WASM` names its micropython.mjs and
`node` is there (npm pack @micropython/micropython-webassembly-pyscript). Without it, half of the 64-bit figure stands
in. What needs a running board (sockets, tasks under way) is in neither; `heap` measures that.
"""

import asyncio
import json
import os
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

from emulator.vm import find_micropython
from wattprogram import Layout, software
from wattprogram.layout import write_files

HARNESS = Path(__file__).with_suffix(".mjs")
WASM = "MICROPYTHON_WASM"
HEAP = "4m"  # the image, too, is in it here: figures are differences
STEPS = Path(__file__).with_suffix(".upy")
PART = "# part: "
MOUNT = """
import sys, vfs
class Disk:
    data = bytearray(65536)
    def readblocks(self, block, buffer, offset=0):
        buffer[:] = self.data[block * 4096 + offset : block * 4096 + offset + len(buffer)]
    def writeblocks(self, block, buffer, offset=0):
        self.data[block * 4096 + offset : block * 4096 + offset + len(buffer)] = buffer
    def ioctl(self, operation, _):
        return {4: 16, 5: 4096}.get(operation, 0)
disk = Disk()
vfs.VfsLfs2.mkfs(disk)
vfs.mount(PROGRAM, "/rom")
sys.path.append("/rom")
vfs.umount("/")
vfs.mount(vfs.VfsLfs2(disk), "/")
"""
MEASURE = "gc.collect()\nprint(gc.mem_alloc())"


async def measure(*, quick: bool) -> dict[str, object]:
    """Return the parts and their sums, in bytes, for a program in ROM and for one in files; nothing to shorten."""
    del quick
    return {layout.value: await count(layout) for layout in (Layout.ROM, Layout.MPY)}


async def count(layout: Layout) -> dict[str, object]:
    """Return the figures of one layout; `chip_bytes` is their sum as a chip counts them."""
    made = software(layout)
    with tempfile.TemporaryDirectory() as folder:
        rom = Path(folder) / "rom"
        if layout is Layout.ROM:
            rom.write_bytes(made.rom)
        else:
            write_files(rom, made.files)
        wide = await _wide(rom)
        narrow = await _narrow(rom) if os.environ.get(WASM) else {}
    # The 32-bit VM's asyncio is another one, for the browser.
    chip = {name: bytes_ // 2 if name == "asyncio" else narrow.get(name, bytes_ // 2) for name, bytes_ in wide.items()}
    return {
        "bytes_64_bit": wide,
        "bytes_32_bit": narrow or f"not measured: {WASM} does not name a 32-bit VM",
        "total_64_bit": sum(wide.values()),
        "chip_bytes": sum(chip.values()),
    }


async def _wide(rom: Path) -> dict[str, int]:
    """Count in the VM of the emulated boards."""
    how = f"vfs.VfsPosix({str(rom)!r})" if rom.is_dir() else f"vfs.VfsRom(open({str(rom)!r}, 'rb').read())"
    texts = [MOUNT.replace("PROGRAM", how)] + [f"{code}\n{MEASURE}" for _, code in steps()]
    script = rom.with_name("parts.py")
    script.write_text("\n".join(texts))
    return _differences(await _run(find_micropython(), "-X", f"heapsize={HEAP}", str(script)))


async def _narrow(rom: Path) -> dict[str, int]:
    """Count in the 32-bit VM."""
    node = shutil.which("node")
    if node is None:
        raise FileNotFoundError(f"{WASM} is set, but there is no `node` to run it with")
    listed = rom.with_name("parts.json")
    listed.write_text(json.dumps([code for _, code in steps()]))
    return _differences(await _run(node, str(HARNESS), os.environ[WASM], str(rom), str(listed)))


async def _run(*command: str) -> list[int]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{command[0]}: {output.decode()[-1000:]}")
    return [int(line) for line in output.split()]


def _differences(counted: list[int]) -> dict[str, int]:
    names = [name for name, _ in steps()]
    return {name: after - before for name, (before, after) in zip(names[1:], pairwise(counted), strict=True)}


def steps() -> list[tuple[str, str]]:
    """Name and text of each part; what comes before all of them has no name."""
    found = [("", "")]
    for line in STEPS.read_text().splitlines():
        if line.startswith(PART):
            found.append((line.removeprefix(PART), ""))
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found
