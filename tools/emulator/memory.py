"""Memory of the VM's process outside its garbage-collected heap: what a chip has as flash mapped for reading.

The VM can address memory but not ask for any, so the supervisor gives it some on the way: strings in its environment,
which the kernel lays one behind the other. Where the VM cannot find them, the heap grows by exactly this size.
"""

import re
from pathlib import Path

from emulator.errors import EmulatorError

NAME = "CHIP_MEMORY_"  # 0, 1, 2 …, END: as shims/boot.py knows them
PIECE_BYTES = 120_000  # Linux takes 128 KiB in one string
BYTES_MAX = 1_000_000  # and a quarter of the stack's limit, 2 MB as a rule, in all
STAT = Path("/proc/self/stat")
ENVIRONMENT_AT = 47  # which figure after the process's name


def is_mappable() -> bool:
    """Whether a process can find its environment's place here; macOS and some sandboxes do not say it."""
    try:
        return int(STAT.read_text().rpartition(")")[2].split()[ENVIRONMENT_AT]) > 0
    except (OSError, ValueError, IndexError):
        return False


def environment(size: int) -> dict[str, str]:
    """Return what makes the kernel lay `size` bytes in one piece into a new process."""
    if size > BYTES_MAX:
        raise EmulatorError(f"{size} bytes of memory beside the heap are more than the {BYTES_MAX} that can be had")
    pieces = -(-size // PIECE_BYTES)
    return {f"{NAME}{index}": "-" * PIECE_BYTES for index in range(pieces)} | {f"{NAME}END": ""}


def grown(heap: str, size: int) -> str:
    """Return a heap's size that is larger by `size` bytes."""
    match = re.fullmatch(r"(\d+)([kKmM]?)", heap)
    if not match:
        raise EmulatorError(f"a heap of {heap!r}: write it as 160k or 2m")
    return str(int(match[1]) * {"": 1, "k": 1 << 10, "m": 1 << 20}[match[2].lower()] + size)
