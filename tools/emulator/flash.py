"""The board's flash image on the host: made as `mpremote fs cp` would leave a board, and read back."""

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from zlib import crc32

from littlefs import LittleFS
from littlefs.context import UserContext
from littlefs.errors import LittleFSError

from emulator.errors import EmulatorError

BLOCK_BYTES = 4096
BLOCKS = 512  # the `vfs` partition of the stock ESP32_GENERIC image: 2 MB
ROM_BYTES = 256 * 1024  # of a board whose partition table has a `romfs`
HEAD_BYTES = 6  # before each frame in a segment: size (2), CRC-32 (4)


def read_log(image: Path) -> dict[tuple[int, int], bytes]:
    """Every frame kept in the board's log, by (log, seq), straight from the flash of a board that is off."""
    frames: dict[tuple[int, int], bytes] = {}
    for path, data in sorted(read_files(image, "/log").items()):
        folder, _, name = path.rpartition("/")
        if not name.endswith(".seg"):
            continue
        log, seq, at = int(folder.rpartition("/")[2]), int(name[:8], 16), 0
        while at + HEAD_BYTES <= len(data):
            size, check = struct.unpack_from(">HI", data, at)
            frame = data[at + HEAD_BYTES : at + HEAD_BYTES + size]
            at += HEAD_BYTES + size
            if len(frame) == size and crc32(frame) == check:
                frames[log, seq] = frame
            seq += 1
    return frames


def _filesystem(image: bytearray) -> LittleFS:
    # The sizes are those that MicroPython's VfsLfs2 takes.
    return LittleFS(
        context=UserContext(buffer=image), mount=False, block_size=BLOCK_BYTES, block_count=len(image) // BLOCK_BYTES,
        read_size=32, prog_size=32, cache_size=128, lookahead_size=32
    )  # fmt: skip


def make_image(path: Path, files: Mapping[str, bytes], blocks: int = BLOCKS) -> None:
    """Write a fresh image with `files`."""
    image = bytearray(b"\xff" * (blocks * BLOCK_BYTES))
    system = _filesystem(image)
    system.format()
    system.mount()
    _write_all(system, files)
    _replace(path, image)


def make_rom(path: Path, rom: bytes) -> None:
    """Write a fresh ROM partition that begins with the image `rom`."""
    if len(rom) > ROM_BYTES:
        raise EmulatorError(f"the program's image of {len(rom)} bytes does not fit a ROM partition of {ROM_BYTES}")
    _replace(path, bytearray(rom + b"\xff" * (ROM_BYTES - len(rom))))


def write_files(path: Path, files: Mapping[str, bytes]) -> None:
    """Put files on an image whose board is off."""
    image = bytearray(path.read_bytes())
    system = _filesystem(image)
    system.mount()
    _write_all(system, files)
    _replace(path, image)


def read_files(path: Path, top: str = "/") -> dict[str, bytes]:
    """Every file below `top`, by path; empty when there is no such folder."""
    system = _filesystem(bytearray(path.read_bytes()))
    system.mount()
    try:
        names = list(_walk(system, top))
    except LittleFSError:
        return {}
    found = {}
    for name in names:
        with system.open(name, "rb") as file:
            found[name] = file.read()
    return found


def _walk(system: LittleFS, top: str) -> Iterator[str]:
    for folder, _, names in system.walk(top):
        for name in names:
            yield f"{folder.rstrip('/')}/{name}"


def _write_all(system: LittleFS, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        system.makedirs(name.rpartition("/")[0] or "/", exist_ok=True)
        with system.open(name, "wb") as file:
            file.write(data)
    system.unmount()


def _replace(path: Path, image: bytearray) -> None:
    fresh = path.with_suffix(".next")
    fresh.write_bytes(image)
    os.replace(fresh, path)  # noqa: PTH105  (the atomic one, by name)
