"""The operator's settings over the API: shown without secrets, tried, and written in one step."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from wattness import amend, atomic
from wattness.config import CONFIG_NAME, Config, parse
from wattness.errors import ConfigError
from wattness.keys import open_signer
from wattness.networks import exclusive, settled

from .answers import Change, SettingsNow, SettingsVerdict
from .tls import check_web


def show(running: Config) -> SettingsNow:
    """Return the file as it is; a configuration cannot hold secrets. Raises ConfigError."""
    text = _text(running)
    parsed = parse(text, Path(running.home))
    return SettingsNow(text, _plain(parsed), parsed != running)


def judge(running: Config, text: str) -> SettingsVerdict:
    """Return what new settings would change, or why they cannot be."""
    try:
        new = parse(text, Path(running.home))
        _check(running, new)
    except ConfigError as error:
        return SettingsVerdict(ok=False, error=str(error), changes=[], restart_needed=False)
    try:
        old = _plain(parse(_text(running), Path(running.home)))
    except ConfigError:
        old = {}  # the file is broken just now, which is what the operator may be putting right
    changes = list(_differences("$", old, _plain(new)))
    return SettingsVerdict(ok=True, error=None, changes=changes, restart_needed=new != running)


def write(running: Config, text: str) -> SettingsVerdict:
    """Write new settings if they are good; the old file stays beside it as a backup. Raises ConfigError."""
    verdict = judge(running, text)
    if verdict.ok:
        amend.write(running.path(CONFIG_NAME).resolve(), _text(running), text, atomic.PRIVATE)
    return verdict


def _check(running: Config, new: Config) -> None:
    """Look at what the file's form does not tell: what it names must be there."""
    check_web(new)
    for network in new.network:
        settled(network)
    exclusive.check(new.network)
    if new.key != running.key:
        open_signer(new.key, Path(new.home))


def _text(running: Config) -> str:
    file = running.path(CONFIG_NAME)
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from None


def _plain(config: Config) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(config)
    del plain["home"]
    return plain


def _differences(path: str, old: Any, new: Any) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _differences(f"{path}.{key}", old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            sides = [side[index] if index < len(side) else None for side in (old, new)]
            yield from _differences(f"{path}[{index}]", *sides)
    elif old != new:
        yield Change(path, old, new)
