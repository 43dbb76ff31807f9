"""Signers behind a URI; each further kind is one module and one line here.

file:NAME                               a file of the home; a sealed one takes its passphrase from the service's
                                        credential wattness.passphrase, or from somebody at the terminal
file:NAME?passphrase-file=FILE          … or from a file of mode 0600
file:NAME?passphrase-credential=NAME    … or from another credential of the service
credential:NAME                         a key that systemd decrypts for the service (LoadCredentialEncrypted=)
pkcs11:…                                a key in a token (RFC 7512)
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, overload

from wattness.errors import ConfigError
from wattness.signing import DigestSigner, Signer

from .file import Passphrase, create_file_key, open_credential_key, open_file_key
from .held import CURVES
from .hsm import open_token_key
from .passphrase import Ask

__all__ = ["Ask", "DigestSigner", "Signer", "new_key", "open_signer"]


# From what follows the scheme, the home, the curve, and whom to ask for a passphrase.
Opener = Callable[[str, Path, str, Ask | None], Signer | DigestSigner]
Creator = Callable[[str, Path, str, Passphrase | None], Signer | DigestSigner]

OPENERS: dict[str, Opener] = {"file": open_file_key, "credential": open_credential_key, "pkcs11": open_token_key}
CREATORS: dict[str, Creator] = {"file": create_file_key}


@overload
def open_signer(
    uri: str, home: Path, curve: Literal["P-256", "Ed25519"] = "P-256", ask: Ask | None = None
) -> Signer: ...
@overload
def open_signer(uri: str, home: Path, curve: Literal["secp256k1"], ask: Ask | None = None) -> DigestSigner: ...
@overload
def open_signer(uri: str, home: Path, curve: str, ask: Ask | None = None) -> Signer | DigestSigner: ...
def open_signer(uri: str, home: Path, curve: str = "P-256", ask: Ask | None = None) -> Signer | DigestSigner:
    """Return the signer that `uri` names; raises ConfigError with the remedy, and never makes a key."""
    scheme, rest = _split(uri, OPENERS, curve)
    return OPENERS[scheme](rest, home, curve, ask)


@overload
def new_key(
    uri: str, home: Path, curve: Literal["P-256", "Ed25519"] = "P-256", passphrase: Passphrase | None = None
) -> Signer: ...
@overload
def new_key(
    uri: str, home: Path, curve: Literal["secp256k1"], passphrase: Passphrase | None = None
) -> DigestSigner: ...
@overload
def new_key(uri: str, home: Path, curve: str, passphrase: Passphrase | None = None) -> Signer | DigestSigner: ...
def new_key(uri: str, home: Path, curve: str = "P-256", passphrase: Passphrase | None = None) -> Signer | DigestSigner:
    """Make the key that `uri` names, sealed if there is a passphrase; raises ConfigError when there already is one."""
    scheme, rest = _split(uri, CREATORS, curve)
    return CREATORS[scheme](rest, home, curve, passphrase)


def _split(uri: str, kinds: dict[str, Opener] | dict[str, Creator], curve: str) -> tuple[str, str]:
    scheme, colon, rest = uri.partition(":")
    if scheme in OPENERS and scheme not in kinds:
        raise ConfigError(f"$.key: a {scheme}: key is made where it is kept, by the tool that belongs there: {uri!r}")
    if not colon or scheme not in kinds or not rest:
        raise ConfigError(f"$.key: expected {' or '.join(f'{kind}:…' for kind in kinds)}, found {uri!r}")
    if curve not in CURVES:
        raise ConfigError(f"There are no keys of {curve!r}; there are {', '.join(CURVES)}.")
    return scheme, rest
