"""What a board is: its MicroPython, its flash, and whether our program can run there."""

from typing import Any, NamedTuple

from .port import BoardError
from .repl import FLASH_HINT, Repl

VERSION_LEAST = (1, 23, 0)
LOOK = """
import sys, os, json
def has(name):
    try: __import__(name)
    except ImportError: return False
    return True
def rom():
    import vfs
    if not hasattr(vfs, "rom_ioctl") or vfs.rom_ioctl(1) <= 0: return 0
    d = vfs.rom_ioctl(2, 0)
    return d.ioctl(4, 0) * d.ioctl(5, 0) if hasattr(d, "ioctl") else len(d)
i = sys.implementation
f = {"name": i[0], "version": list(i[1][:3]), "machine": getattr(i, "_machine", sys.platform)}
f["missing"] = [name for name in ("machine", "network", "esp32") if not has(name)]
f["rom_bytes"] = rom() if has("vfs") else 0
s = os.statvfs("/")
f["flash_bytes"], f["flash_free_bytes"] = s[0] * s[2], s[0] * s[3]
print(json.dumps(f))
"""


class Facts(NamedTuple):
    """What was found on a board that can run our program."""

    version: tuple[int, ...]
    machine: str
    rom_bytes: int  # 0: it has no ROM partition
    flash_bytes: int
    flash_free_bytes: int


def look(repl: Repl) -> Facts:
    """Return the board's facts; raises BoardError where our program cannot run."""
    found: dict[str, Any] = repl.ask(LOOK)
    version = tuple(found["version"])
    if found["name"] != "micropython":
        raise BoardError(f"The board runs {found['name']}, not MicroPython: {FLASH_HINT}.")
    if version < VERSION_LEAST:
        raise BoardError(
            f"The board's MicroPython {dotted(version)} is too old: {dotted(VERSION_LEAST[:2])} or later is needed; "
            f"{FLASH_HINT}."
        )
    if found["missing"]:
        raise BoardError(
            f"The board ({found['machine']}) is not an ESP32 with Wi-Fi: its MicroPython lacks "
            f"{', '.join(found['missing'])}; use another board."
        )
    return Facts(
        version, found["machine"], found["rom_bytes"], found["flash_bytes"], found["flash_free_bytes"]
    )  # fmt: skip


def dotted(version: tuple[int, ...]) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, version))
