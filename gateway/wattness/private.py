"""Files with secrets in them: only their owner may read them."""

import os
from pathlib import Path

from .errors import ConfigError


def read_private(path: Path) -> str:
    """Read a secret; refused when anybody else could."""
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} is readable by others: run `chmod 600 {path}`.")
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step by a file that only its owner can read; raises ConfigError."""
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        new.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
