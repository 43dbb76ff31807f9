"""A key in a file that only its owner can read: PKCS #8 as PEM, or sealed by a passphrase."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from wattness import atomic
from wattness.errors import ConfigError
from wattness.private import read_private_bytes
from wattness.signing import DigestSigner, Signer

from . import sealed
from .held import CURVES, curve_of
from .passphrase import OPTIONS, Ask, obtain, read_credential

FORM = "wattness key 1"
GATEWAY_KEY = "gateway.key"  # by default
FILE_SIZE_MAX = 16_384
ENCRYPTED_PEM = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"

Passphrase = Callable[[], str]


class About(msgspec.Struct, frozen=True):
    """What a sealed key tells without its passphrase."""

    curve: str
    public_key: str  # hex


class Named(NamedTuple):
    """A `file:` URI, taken apart."""

    file: Path
    passphrase: Passphrase  # called when it is needed
    sealed: bool  # the URI says where the passphrase comes from


def named(rest: str, home: Path, ask: Ask | None) -> Named:
    """Take apart what follows `file:`; raises ConfigError."""
    path, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := options.keys() - OPTIONS:
        raise ConfigError(f"$.key: ?{min(unknown)}= is not known; there are {', '.join(sorted(OPTIONS))}.")
    file = home / Path(path).expanduser()
    return Named(file, lambda: obtain(str(file), options, home, ask), bool(options))


def open_file_key(rest: str, home: Path, curve: str, ask: Ask | None) -> Signer | DigestSigner:
    """Read the key file; raises ConfigError when it is missing, open to others, or no key of `curve`."""
    place = named(rest, home, ask)
    return _signer(read_file(place.file), place.file, curve, place.passphrase)


def open_credential_key(rest: str, home: Path, curve: str, ask: Ask | None) -> Signer | DigestSigner:
    """Read a key that systemd decrypted for this service; raises ConfigError."""
    place = named(rest, home, ask)
    name = rest.partition("?")[0]
    return _signer(read_credential(name), Path(name), curve, place.passphrase)


def create_file_key(rest: str, home: Path, curve: str, passphrase: Passphrase | None) -> Signer | DigestSigner:
    """Make a key file, mode 0600, sealed if there is a passphrase; raises ConfigError: no key is ever overwritten."""
    place = named(rest, home, None)
    if place.file.exists():
        raise ConfigError(f"{place.file} exists already; a key is never overwritten. Move it away first.")
    if passphrase is None and place.sealed:
        passphrase = place.passphrase
    content, signer = new_content(curve, passphrase() if passphrase else None)
    create(place.file, content)
    return signer


def new_content(curve: str, passphrase: str | None) -> tuple[bytes, Signer | DigestSigner]:
    """Return a new key as a file's content, and what signs with it."""
    secret = CURVES[curve].make()
    signer = CURVES[curve].signer(secret)
    if passphrase is None:
        return secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), signer
    return _sealed(secret, curve, passphrase), signer


def sealed_content(content: bytes, file: Path, curve: str, passphrase: str) -> bytes:
    """Return an open key's file content, sealed; raises ConfigError when it is no key of `curve`."""
    secret = _secret(content, file, lambda: passphrase)
    _check(secret, file, curve)
    return _sealed(secret, curve, passphrase)


def create(file: Path, content: bytes) -> None:
    """Make a file that only its owner can read; raises ConfigError when there is one already."""
    try:
        atomic.create(file, content)
    except FileExistsError:
        raise ConfigError(f"{file} exists already; a key is never overwritten. Move it away first.") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be made: {error.strerror}") from None


def read_file(file: Path) -> bytes:
    """Return the content of a key file that nobody else can read; raises ConfigError."""
    try:
        return read_private_bytes(file)[:FILE_SIZE_MAX]
    except FileNotFoundError:
        whose = "" if file.name == GATEWAY_KEY else ", with --network NAME for a network's"
        raise ConfigError(f"There is no key {file}; run `wattness key new`{whose}.") from None


def about(content: bytes) -> About | None:
    """Return what a sealed key tells of itself, or None when the content is none."""
    found = sealed.parse(content, FORM)
    try:
        return None if found is None else msgspec.convert(found.about, About)
    except msgspec.ValidationError:
        return None


def is_encrypted(content: bytes) -> bool:
    """Tell whether a key file wants a passphrase."""
    return sealed.parse(content, FORM) is not None or ENCRYPTED_PEM in content


def _signer(content: bytes, file: Path, curve: str, passphrase: Passphrase) -> Signer | DigestSigner:
    secret = _secret(content, file, passphrase)
    _check(secret, file, curve)
    signer = CURVES[curve].signer(secret)
    told = about(content)
    if told is not None and told.public_key != signer.public_key.hex():
        raise ConfigError(f"{file} holds another key than it says; restore it from your backup.")
    return signer


def _check(secret: object, file: Path, curve: str) -> None:
    if curve_of(secret) != curve:
        raise ConfigError(f"{file} holds a key of another kind; {curve} is needed here.")


def _sealed(secret: Any, curve: str, passphrase: str) -> bytes:
    told = About(curve, CURVES[curve].signer(secret).public_key.hex())
    der = secret.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return sealed.seal(FORM, msgspec.to_builtins(told), der, passphrase)


def _secret(content: bytes, file: Path, passphrase: Passphrase) -> Any:
    shut = sealed.parse(content, FORM)
    try:
        if shut is not None:
            der = sealed.unseal(shut, passphrase())
            if der is None:
                raise ConfigError(f"The passphrase does not open {file}; it is another one, or the file was changed.")
            return load_der_private_key(der, password=None)
        if ENCRYPTED_PEM in content:
            return load_pem_private_key(content, password=passphrase().encode())
        return load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(
            f"{file} holds no PEM key and no sealed one, or its passphrase is another; restore it from your backup."
        ) from None
