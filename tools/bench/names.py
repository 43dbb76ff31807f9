"""How many names the board's program has interned, for ever, and how many are left before their table doubles.

MicroPython keeps the names of points, keys, functions and attributes in a table that only grows; a module on loan
leaves its names behind. Counted in the 64-bit VM, after everything that a board with two meters may come to load; what
a chip's MicroPython knows by itself is more, so there it should be less.
"""

import ast
import asyncio
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import parts
from emulator.vm import find_micropython
from wattprogram import software
from wattprogram.layout import sources

DOUBLES_AT = 1260
DOUBLING_BYTES = 9000  # that it costs a chip, at once
LAMP = "wattboard.lamp"
START = "import wattboot.start"  # is forgotten, but for its names
COUNT = re.compile(r"n_qstr=(\d+)")
INFO = "import micropython\nmicropython.qstr_info()"


async def measure(*, quick: bool) -> dict[str, int]:
    """Return the names while the board meters, and after each rare thing was done once; nothing to shorten."""
    del quick
    mount = parts.MOUNT.replace("PROGRAM", "vfs.VfsRom(open(ROM, 'rb').read())")
    lent = [f"with loan.Loan({name!r}) as module: pass\ndel module" for name in on_loan()]
    texts = [text for _, text in parts.steps()]
    with tempfile.TemporaryDirectory() as folder:
        rom, script = Path(folder) / "rom", Path(folder) / "names.py"
        rom.write_bytes(software().rom)
        harness = f"ROM = {str(rom)!r}\n{mount}{texts[0]}"
        steps = [harness, "\n".join((START, *texts[1:])), *lent, f"import {LAMP}"]
        script.write_text("\n".join(f"{step}\n{INFO}" for step in steps))
        own, running, *_, after = await _count(script)
    return {
        "names_metering": running - own,
        "names_after_all_loans": after - own,
        "doubles_at": DOUBLES_AT,
        "left": DOUBLES_AT - (after - own),
    }


def on_loan() -> list[str]:
    """Every module that the program takes on loan."""
    return sorted({name for source in sources().values() for name in _loans(ast.parse(source))})


def _loans(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Loan":
            name = node.args[0]
            if isinstance(name, ast.Constant) and name.value != "wattboard.radio_catalog":  # of boards with a radio
                yield str(name.value)


async def _count(script: Path) -> list[int]:
    process = await asyncio.create_subprocess_exec(
        find_micropython(), "-X", f"heapsize={parts.HEAP}", str(script),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the program could not be loaded: {output.decode()[-1000:]}")
    return [int(count) for count in COUNT.findall(output.decode())]
