"""What is on a board, and where: the three ways in which the same source files come to run."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from program.constants import inlined
from program.mpy import compile_source
from program.rom import rom_image

FIRMWARE = Path(__file__).parents[2] / "firmware"
PACKAGES = ("wattwire", "wattboard")
ROM_MOUNT = "/rom"  # by MicroPython's start
NOT_FOR_BOARDS = "schema.json"


class Layout(StrEnum):
    """Where the program is."""

    ROM = "rom"  # one ROMFS image; its bytecode and constants stay in flash
    MPY = "mpy"  # .mpy files on the file system; their bytecode is loaded into the heap
    SOURCE = "source"  # .py files on the file system, compiled at each start: for development


@dataclass(frozen=True)
class Software:
    """What a new board holds; the configuration and the key are not among it."""

    files: Mapping[str, bytes]  # on the file system, by path
    rom: bytes = b""  # in the ROM partition


def software(layout: Layout = Layout.ROM, firmware: Path = FIRMWARE) -> Software:
    """Return everything of a provisioned board."""
    profiles = _profiles(firmware)
    main = {"/main.py": (firmware / "main.py").read_bytes()}
    modules = sources(firmware)
    if layout is Layout.SOURCE:
        return Software({**main, **modules, **profiles})
    if layout is Layout.MPY:
        return Software({**main, **bytecode(modules), **profiles})
    return Software(main, rom_image({**bytecode(modules, ROM_MOUNT), **profiles}))


def sources(firmware: Path = FIRMWARE) -> dict[str, bytes]:
    """Return the modules of the board's program, by path."""
    found = {}
    for package in PACKAGES:
        for path in sorted((firmware / package).rglob("*.py")):
            found[f"/{path.relative_to(firmware)}"] = path.read_bytes()
    return found


def bytecode(modules: Mapping[str, bytes], mount: str = "") -> dict[str, bytes]:
    """Return the modules compiled, by path; they will be imported from `mount`, or from the root of the files."""
    compiled = {}
    for name, source in inlined(modules).items():
        path = name.removesuffix(".py") + ".mpy"
        compiled[path] = compile_source(mount + path if mount else path.strip("/"), source)
    return compiled


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below `folder`, by path."""
    for name, data in files.items():
        path = folder / name.strip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _profiles(firmware: Path) -> dict[str, bytes]:
    folder = firmware / "profiles"
    paths = sorted([*folder.glob("*.json"), *folder.glob("vehicles/*.json")])
    return {f"/{path.relative_to(firmware)}": path.read_bytes() for path in paths if path.name != NOT_FOR_BOARDS}
