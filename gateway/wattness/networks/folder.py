"""A folder of the gateway's home where archives wait for their owner, who takes them where he likes."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from wattness.errors import ConfigError, RefusedError, UnavailableError

SCHEME = "file:"
UNFINISHED = ".part"


def folder_of(url: str, home: Path, path: str) -> Path | None:
    """Return the folder that a `file:` URL names, None for another URL; raises ConfigError naming the key's `path`."""
    if not url.startswith(SCHEME):
        return None
    name = url.removeprefix(SCHEME)
    if not name or name.startswith("//"):
        raise ConfigError(f"{path}: expected file:FOLDER, in the gateway's home or an absolute path, found {url!r}")
    return home / name


class Folder:
    """Keeps files of at most `bytes_max` together: when it is full nothing more is kept, and nothing is removed."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        self.path = path
        self.bytes_max = bytes_max

    async def keep(self, name: str, size: int, pieces: AsyncIterator[bytes]) -> None:
        """Write a file of `size` bytes, whole or not at all; one that is there already stays. Raises UnavailableError.

        A name belongs to one content.
        """
        file, part = self.path / name, self.path / (name + UNFINISHED)
        try:
            if await asyncio.to_thread(self._has, file, size):
                return
            with await asyncio.to_thread(self._open, part, size) as out:
                async for piece in pieces:
                    await asyncio.to_thread(out.write, piece)
                await asyncio.to_thread(_sync, out)
            await asyncio.to_thread(_finish, part, file)
        except RefusedError:
            part.unlink(missing_ok=True)
            raise
        except OSError as error:
            raise UnavailableError(f"{file} cannot be written ({error.strerror}); make room for it") from None

    def used(self) -> int:
        """How many bytes are kept."""
        if not self.path.exists():
            return 0
        return sum(file.stat().st_size for file in self.path.iterdir() if file.is_file() and file.suffix != UNFINISHED)

    def trouble(self) -> str:
        """Why nothing can be kept, in a sentence with the remedy; empty when all is well."""
        if self.used() >= self.bytes_max:
            return f"{self.path} holds {self.used()} of {self.bytes_max} bytes; move files away"
        place = next(place for place in (self.path, *self.path.parents) if place.exists())
        return "" if place.is_dir() and os.access(place, os.W_OK) else f"{place} cannot be written; name another folder"

    def _has(self, file: Path, size: int) -> bool:
        return file.exists() and file.stat().st_size == size

    def _open(self, part: Path, size: int) -> BinaryIO:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.used() + size > self.bytes_max:
            raise UnavailableError(f"{self.path} holds {self.used()} of {self.bytes_max} bytes; move files away")
        return part.open("wb")


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())


def _finish(part: Path, file: Path) -> None:
    """Give a file its name, on the disk."""
    part.replace(file)
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
