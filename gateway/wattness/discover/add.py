"""Appends what was found to the configuration."""

from collections.abc import Sequence
from pathlib import Path

from wattness import amend
from wattness.config import Config
from wattness.modbus.binding import check_settings

from .propose import Places, Proposal, section


def add(home: Path, proposals: Sequence[Proposal]) -> list[str]:
    """Append what is not there yet and return its names; the old file stays beside it. Raises ConfigError."""
    names: list[str] = []

    def sections(config: Config, newline: str) -> list[str]:
        places = Places(config.device)
        wanted = [one for one in dict.fromkeys(proposals) if not places.find(one.url, one.unit, one.profile, one.role)]
        names.extend(one.name for one in wanted)
        return [section(one, newline) for one in wanted]

    def check(config: Config) -> None:
        for device in config.device:
            if device.name in names:
                check_settings(device)

    amend.append(home, sections, check)
    return names
