"""Memory beside the VM's heap, as a chip has flash that is mapped for reading; the chip's own modules run from it."""

import asyncio  # noqa: F401  (the program's, and needed here before `time` is replaced: not to be counted as ours)
import gc
import os
import sys

import uctypes
import vfs

PLACE = "/chip"
FIRST = b"CHIP_MEMORY_0="
rom = None  # the ROM partition as the processor sees it, or None on a chip without one
bare_bytes = 0  # what was taken before anything that stands for the chip
_kept = []  # memory that is part of the heap after all


def begin():
    """Bring the image of the chip's modules into memory, and make it importable."""
    global rom, bare_bytes
    gc.collect()
    bare_bytes = gc.mem_alloc()
    chip_bytes, rom_bytes = int(os.getenv("CHIP_MODULES_BYTES")), int(os.getenv("CHIP_ROM_BYTES"))
    at = _find(chip_bytes + rom_bytes)
    chip = uctypes.bytearray_at(at, chip_bytes)
    with open(os.getenv("CHIP_MODULES"), "rb") as file:
        file.readinto(chip)
    if rom_bytes:
        rom = uctypes.bytearray_at(at + chip_bytes, rom_bytes)
    vfs.mount(vfs.VfsRom(chip), PLACE)
    sys.path.insert(0, PLACE)


def end():
    """Hide the chip's modules from the program: on a chip they are built in."""
    sys.path.remove(PLACE)
    vfs.umount(PLACE)


def _find(size):
    """Address of `size` bytes: the room that the supervisor left in the environment, else a piece of the heap."""
    if os.getenv("CHIP_MEMORY_END") is None:
        _kept.append(bytearray(size))
        return uctypes.addressof(_kept[0])
    with open("/proc/self/stat") as file:
        figures = file.read().split(")")[-1].split()
    start, end = int(figures[47]), int(figures[48])
    environment = uctypes.bytearray_at(start, end - start)
    first, last = environment.find(FIRST), environment.find(b"CHIP_MEMORY_END=")
    first += len(FIRST)
    if not 0 <= first <= last - size:
        raise MemoryError("the room in the environment is not where it should be")
    return start + first
