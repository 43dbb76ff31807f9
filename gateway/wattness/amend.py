"""Changes the configuration's file: as text, so that comments stay; in one step; and only if the whole is good."""

from collections.abc import Callable, Sequence
from pathlib import Path

from . import atomic
from .config import CONFIG_NAME, Config, parse
from .errors import ConfigError

BACKUP_NAME = CONFIG_NAME + ".bak"

Sections = Callable[[Config, str], Sequence[str]]  # from what is configured, and the file's line ending


def append(home: Path, sections: Sections, check: Callable[[Config], None]) -> None:
    """Append what is missing, if the whole then passes `check`; the old file stays beside it. Raises ConfigError."""
    file = (home / CONFIG_NAME).resolve()
    try:
        old = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from None
    newline = "\r\n" if "\r\n" in old else "\n"
    wanted = sections(parse(old, home), newline)
    if not wanted:
        return
    parts = [old if not old or old.endswith("\n") else old + newline]
    parts += [newline + section for section in wanted]
    new = "".join(parts)
    try:
        config = parse(new, home)
    except ConfigError as error:
        raise ConfigError(
            f"{file} was not changed, for with what was to be added it would be wrong ({error}); add it by hand."
        ) from None
    try:
        check(config)
    except ConfigError as error:
        raise ConfigError(f"{file} was not changed: {error}") from None
    write(file, old, new)


def write(file: Path, old: str, new: str, mode: int | None = None) -> None:
    """Put the new text in the place of the old one, which stays beside it; `mode` as in atomic. Raises ConfigError."""
    try:
        atomic.replace(file.with_name(BACKUP_NAME), old.encode(), mode)
        atomic.replace(file, new.encode(), mode)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}; nothing was changed.") from None
