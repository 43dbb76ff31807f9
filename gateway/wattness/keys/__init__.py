"""Signers behind a URI: `file:` today; each further kind is one module and one line here."""

from collections.abc import Callable
from pathlib import Path

from wattness.errors import ConfigError
from wattness.signing import Signer

from .file import create_file_key, open_file_key

__all__ = ["Signer", "new_key", "open_signer"]


Opener = Callable[[str, Path], Signer]  # from what follows the scheme, and the gateway's home

OPENERS: dict[str, Opener] = {"file": open_file_key}
CREATORS: dict[str, Opener] = {"file": create_file_key}


def open_signer(uri: str, home: Path) -> Signer:
    """Return the signer that `uri` names; raises ConfigError with the remedy, and never makes a key."""
    scheme, rest = _split(uri, OPENERS)
    return OPENERS[scheme](rest, home)


def new_key(uri: str, home: Path) -> Signer:
    """Make the key that `uri` names; raises ConfigError when there already is one."""
    scheme, rest = _split(uri, CREATORS)
    return CREATORS[scheme](rest, home)


def _split(uri: str, kinds: dict[str, Opener]) -> tuple[str, str]:
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme not in kinds or not rest:
        raise ConfigError(f"$.key: expected {' or '.join(f'{kind}:…' for kind in kinds)}, found {uri!r}")
    return scheme, rest
