"""Appends sections to the configuration: as text, so that comments stay; in one step; and only if the whole is good."""

import os
from collections.abc import Sequence
from pathlib import Path

from wattness.config import CONFIG_NAME, parse
from wattness.errors import ConfigError
from wattness.modbus.binding import check_settings

from .propose import Places, Proposal, section

BACKUP_NAME = CONFIG_NAME + ".bak"


def add(home: Path, proposals: Sequence[Proposal]) -> list[str]:
    """Append what is not there yet and return its names; the old file stays beside it. Raises ConfigError."""
    file = (home / CONFIG_NAME).resolve()
    try:
        old = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from None
    wanted = _missing(proposals, Places(parse(old, home).device))
    if not wanted:
        return []
    newline = "\r\n" if "\r\n" in old else "\n"
    parts = [old if not old or old.endswith("\n") else old + newline]
    parts += [newline + section(proposal, newline) for proposal in wanted]
    new = "".join(parts)
    _check(home, new, {proposal.name for proposal in wanted}, file)
    try:
        _replace(file.with_name(BACKUP_NAME), old)
        _replace(file, new)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}; nothing was changed.") from None
    return [proposal.name for proposal in wanted]


def _missing(proposals: Sequence[Proposal], places: Places) -> list[Proposal]:
    return [one for one in dict.fromkeys(proposals) if not places.find(one.url, one.unit, one.profile, one.role)]


def _check(home: Path, text: str, names: set[str], file: Path) -> None:
    try:
        for device in parse(text, home).device:
            if device.name in names:
                check_settings(device)
    except ConfigError as error:
        raise ConfigError(
            f"{file} was not changed, for with the new devices it would be wrong ({error}); add them by hand."
        ) from None


def _replace(file: Path, text: str) -> None:
    """Put `text` in the place of a file: after a power cut it is the old one or the new one."""
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(text.encode())
        stream.flush()
        os.fchmod(stream.fileno(), mode)
        os.fsync(stream.fileno())
    new.replace(file)
