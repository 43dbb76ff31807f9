"""The program onto a board that runs MicroPython: into its ROM partition, or as files; what is there already stays."""

from typing import NamedTuple

from wattness.errors import WattnessError
from wattprogram import Layout, Software, software
from wattprogram.mpy import CompileError

from .facts import Facts, look
from .port import BoardError
from .repl import Repl
from .transfer import ROOM_HINT, Progress, digest, listed, put, put_rom, remove

MAIN = "/main.py"
PACKAGES = ("/wattboard/", "/wattwire/", "/wattboot/")
PROFILES = "/profiles/"
FOLDERS = (*(each.rstrip("/") for each in PACKAGES), PROFILES.rstrip("/"))
SLOTS = ("/slot_a", "/slot_b")  # where updates by air are; they would run in the place of what is installed
BLOCK_BYTES = 4096
ROM_DIGEST = """
import vfs, hashlib
h = hashlib.sha256()
d = vfs.rom_ioctl(2, 0)
if not hasattr(d, "ioctl"):
    for at in range(0, %(size)d, 1024): h.update(bytes(d[at : min(at + 1024, %(size)d)]))
print(h.digest().hex()[:32])
"""
FORGET_SLOTS = """
import esp32
n = esp32.NVS("wattness")
try:
    n.erase_key("prog")
    n.commit()
except OSError: pass
"""

HAS_KEY = """
import esp32
try: print(esp32.NVS("wattness").get_blob("key", bytearray(32)))
except OSError: print(0)
"""


class Installed(NamedTuple):
    """What an installation did."""

    facts: Facts
    layout: Layout
    written_bytes: int
    removed: int  # old copies
    note: str  # why it is not in ROM, where one might think so
    has_key: bool


def install(repl: Repl, progress: Progress) -> Installed:
    """Put the program on the board. Raises BoardError; tried again it goes on where it ended."""
    facts = look(repl)
    layout, new, note = _chosen(facts)
    progress("looking", 0, 1)
    held = listed(repl, (*FOLDERS, MAIN))
    old = _old(held, new)
    wanted = {path: data for path, data in new.files.items() if held.get(path) != digest(data)}
    _check_room(facts, wanted, held)
    empty = [package.rstrip("/") for package in PACKAGES if not any(path.startswith(package) for path in new.files)]
    remove(repl, (*old, *empty, *SLOTS, MAIN + ".new"))  # even an empty folder would go before the one in ROM
    repl.run(FORGET_SLOTS)
    written = 0
    if new.rom and repl.run(ROM_DIGEST % {"size": len(new.rom)}, 60).strip() != digest(new.rom):
        put_rom(repl, new.rom, progress)
        written += len(new.rom)
    main = {path: data for path, data in wanted.items() if path == MAIN}
    rest = {path: data for path, data in wanted.items() if path != MAIN}
    put(repl, {**rest, **main}, progress)  # what starts the program comes last
    _check(repl, new)
    written += sum(map(len, wanted.values()))
    return Installed(facts, layout, written, len(old), note, bool(repl.ask(HAS_KEY)))


def built(layout: Layout) -> Software:
    """Return the program in that layout; raises WattnessError."""
    try:
        return software(layout)
    except (CompileError, OSError) as error:
        raise WattnessError(f"The board's program cannot be built here: {error}; install Wattness again.") from None


def _chosen(facts: Facts) -> tuple[Layout, Software, str]:
    if facts.rom_bytes:
        new = built(Layout.ROM)
        if len(new.rom) <= facts.rom_bytes:
            return Layout.ROM, new, ""
        note = f"its ROM partition ({facts.rom_bytes} bytes) is too small for the image ({len(new.rom)} bytes)"
        return Layout.MPY, built(Layout.MPY), note
    return Layout.MPY, built(Layout.MPY), ""


def _old(held: dict[str, str], new: Software) -> list[str]:
    """Return the files of earlier installations; profiles with names of their own are the owner's and stay."""
    bundled = {path for path in built(Layout.SOURCE).files if path.startswith(PROFILES)}
    return sorted(
        path
        for path in held
        if path not in new.files and path != MAIN and (path.startswith(PACKAGES) or path in bundled)
    )


def _check_room(facts: Facts, wanted: dict[str, bytes], held: dict[str, str]) -> None:
    need = sum(-(-len(data) // BLOCK_BYTES) * BLOCK_BYTES for path, data in wanted.items() if path not in held)
    if need > facts.flash_free_bytes and not any(path.startswith(PACKAGES) for path in held):
        raise BoardError(
            f"The board's flash is too full: {need} bytes are needed and {facts.flash_free_bytes} are free; {ROOM_HINT}"
        )


def _check(repl: Repl, new: Software) -> None:
    held = listed(repl, (*FOLDERS, MAIN))
    wrong = [path for path, data in new.files.items() if held.get(path) != digest(data)]
    if wrong:
        raise BoardError(f"On the board {wrong[0]} is not what was written: try again; else its flash is worn out.")
