"""Files with secrets in them: only their owner may read them."""

import os
import stat
from pathlib import Path

from . import atomic
from .errors import ConfigError

SECRET_BYTES_MAX = 1 << 20


def read_private(path: Path) -> str:
    """Read a secret; refused when anybody else could."""
    try:
        return read_private_bytes(path).decode()
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None


def read_private_bytes(path: Path) -> bytes:
    """Read a secret; what is checked is what is read. Raises FileNotFoundError, or ConfigError for all else."""
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError(f"{path} is not a file.")
            if mode & 0o077:
                raise ConfigError(f"{path} is readable by others: run `chmod 600 {path}`.")
            content = stream.read(SECRET_BYTES_MAX + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > SECRET_BYTES_MAX:
        raise ConfigError(f"{path} is longer than {SECRET_BYTES_MAX >> 20} MB.")
    return content


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step by a file that only its owner can read; raises ConfigError."""
    try:
        atomic.replace(path, text.encode(), atomic.PRIVATE)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
