"""Signers behind a URI: `file:` today; each further kind is one module and one line here."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, overload

from wattness.errors import ConfigError
from wattness.signing import DigestSigner, Signer

from .file import create_file_key, open_file_key
from .held import CURVES

__all__ = ["DigestSigner", "Signer", "new_key", "open_signer"]


Opener = Callable[[str, Path, str], Signer | DigestSigner]  # from what follows the scheme, the home, and the curve

OPENERS: dict[str, Opener] = {"file": open_file_key}
CREATORS: dict[str, Opener] = {"file": create_file_key}


@overload
def open_signer(uri: str, home: Path, curve: Literal["P-256", "Ed25519"] = "P-256") -> Signer: ...
@overload
def open_signer(uri: str, home: Path, curve: Literal["secp256k1"]) -> DigestSigner: ...
@overload
def open_signer(uri: str, home: Path, curve: str) -> Signer | DigestSigner: ...
def open_signer(uri: str, home: Path, curve: str = "P-256") -> Signer | DigestSigner:
    """Return the signer that `uri` names; raises ConfigError with the remedy, and never makes a key."""
    opener, rest = _split(uri, OPENERS, curve)
    return opener(rest, home, curve)


@overload
def new_key(uri: str, home: Path, curve: Literal["P-256", "Ed25519"] = "P-256") -> Signer: ...
@overload
def new_key(uri: str, home: Path, curve: Literal["secp256k1"]) -> DigestSigner: ...
@overload
def new_key(uri: str, home: Path, curve: str) -> Signer | DigestSigner: ...
def new_key(uri: str, home: Path, curve: str = "P-256") -> Signer | DigestSigner:
    """Make the key that `uri` names; raises ConfigError when there already is one."""
    creator, rest = _split(uri, CREATORS, curve)
    return creator(rest, home, curve)


def _split(uri: str, kinds: dict[str, Opener], curve: str) -> tuple[Opener, str]:
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme not in kinds or not rest:
        raise ConfigError(f"$.key: expected {' or '.join(f'{kind}:…' for kind in kinds)}, found {uri!r}")
    if curve not in CURVES:
        raise ConfigError(f"There are no keys of {curve!r}; there are {', '.join(CURVES)}.")
    return kinds[scheme], rest
