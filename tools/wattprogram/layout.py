"""What is on a board, and where: the three ways in which the same source files come to run."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from wattprogram.constants import inlined
from wattprogram.mpy import compile_source
from wattprogram.rom import rom_image

_INSTALLED = Path(__file__).parent / "firmware"  # as the wheel has it; else the source tree's
FIRMWARE = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2] / "firmware"
OWN = ("wattboard", "wattboot")
VERSION = "/wattboard/version.py"
ROM_MOUNT = "/rom"  # by MicroPython's start
NOT_FOR_BOARDS, FRAMES = "schema.json", "frames"


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


def release_image(version: str, firmware: Path = FIRMWARE) -> bytes:
    """Return the image of a program that knows itself by `version`."""
    modules = sources(firmware)
    modules[VERSION], count = re.subn(rb'(?m)^FIRMWARE = ".*"$', f'FIRMWARE = "{version}"'.encode(), modules[VERSION])
    if count != 1:
        raise ValueError(f"{VERSION} does not name the version once")
    return rom_image({**bytecode(modules, ROM_MOUNT), **_profiles(firmware)})


def sources(firmware: Path = FIRMWARE) -> dict[str, bytes]:
    """Return the modules of the board's program, by path: its own, and what of the wire they need."""
    found: dict[str, bytes] = {}
    wanted = [str(path.relative_to(firmware)) for own in OWN for path in sorted((firmware / own).glob("*.py"))]
    while wanted:
        name = wanted.pop()
        path = firmware / name
        if f"/{name}" not in found and path.is_file():
            found[f"/{name}"] = path.read_bytes()
            wanted.extend(_imported(found[f"/{name}"], path.parent.name))
    return dict(sorted(found.items()))


@lru_cache(maxsize=256)
def _imported(source: bytes, package: str) -> tuple[str, ...]:
    """Paths of the modules that a module may import, those inside functions too; some are only names in a module."""
    return tuple(_imports(source, package))


def _imports(source: bytes, package: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            dotted = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = ".".join(filter(None, (package if node.level else "", node.module)))
            dotted = [origin, *[f"{origin}.{each.name}" for each in node.names]]
        else:
            continue
        for name in dotted:
            path = name.replace(".", "/")
            yield f"{path}.py"
            yield f"{path}/__init__.py"


def bytecode(modules: Mapping[str, bytes], mount: str = "", *, is_whole: bool = True) -> dict[str, bytes]:
    """Return the modules compiled, by path; they will be imported from `mount`, or from the root of the files.

    Unless they are a whole, others may name what is in them, and all their constants keep their names.
    """
    return dict(_bytecode(tuple(modules.items()), mount, is_whole))


@lru_cache(maxsize=8)  # it takes a second, and tests start many boards
def _bytecode(modules: tuple[tuple[str, bytes], ...], mount: str, is_whole: bool) -> dict[str, bytes]:  # noqa: FBT001 - private
    compiled = {}
    for name, source in (inlined(dict(modules)) if is_whole else dict(modules)).items():
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
    paths = sorted((firmware / "profiles").rglob("*.json"))
    wanted = [path for path in paths if path.name != NOT_FOR_BOARDS and path.parent.name != FRAMES]
    return {f"/{path.relative_to(firmware)}": path.read_bytes() for path in wanted}
