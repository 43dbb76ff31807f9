"""Files that are whole or not there: after a power cut a name stands for the old content or for the new one."""

import contextlib
import os
from pathlib import Path

PRIVATE = 0o600


def replace(file: Path, content: bytes, mode: int | None = None) -> None:
    """Put `content` in the place of a file; without a `mode` it keeps its own, or is its owner's alone if new."""
    if mode is None:
        mode = file.stat().st_mode & 0o777 if file.exists() else PRIVATE
    new = _written(file, content, mode)
    try:
        new.replace(file)
        sync_folder(file.parent)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def create(file: Path, content: bytes) -> None:
    """Make a file that only its owner can read; raises FileExistsError rather than touch one that is there."""
    if os.path.lexists(file):
        raise FileExistsError(file)
    new = _written(file, content, PRIVATE)
    try:
        _name(new, file)
        sync_folder(file.parent)
    finally:
        new.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name(new: Path, file: Path) -> None:
    try:
        file.hardlink_to(new)  # unlike a renaming, it never takes another file's place
    except FileExistsError:
        raise
    except OSError:  # a stick formatted for everybody has no links
        if os.path.lexists(file):
            raise FileExistsError(file) from None
        new.rename(file)


def _written(file: Path, content: bytes, mode: int) -> Path:
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as stream:
            stream.write(content)
            stream.flush()
            with contextlib.suppress(PermissionError):  # such a stick has no modes either
                os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    return new
