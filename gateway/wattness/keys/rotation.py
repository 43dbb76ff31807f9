"""Puts a new key in the place of an old one, which is kept beside it."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from wattness import atomic
from wattness.errors import ConfigError
from wattness.signing import key_hash

from . import open_signer
from .file import Passphrase, create, is_encrypted, named, new_content, read_file, sealed_content
from .passphrase import Ask

MARK_SIZE = 8  # hex digits of the old key's hash, in its new name


class Rotated(NamedTuple):
    """What was done."""

    old: bytes  # public keys
    new: bytes
    kept: Path  # where the old one is


def rotate(uri: str, home: Path, curve: str, ask: Ask | None) -> Rotated:
    """Make another key of the same curve, sealed by the same passphrase if the old one was; raises ConfigError.

    After a power cut the name stands for the old key or for the new one, and the old one is never lost.
    """
    scheme, _, rest = uri.partition(":")
    if scheme != "file":
        raise ConfigError(f"{uri} is not kept by the gateway: make another key where it is kept, and name it as `key`.")
    ask = cache(ask) if ask else None  # for opening and for sealing
    place = named(rest, home, ask)
    file = place.file.resolve()
    content = read_file(file)
    old = open_signer(uri, home, curve, ask).public_key
    passphrase = place.passphrase() if is_encrypted(content) else None
    kept = file.with_name(f"{file.name}.old-{key_hash(old).hex()[:MARK_SIZE]}")
    new, signer = new_content(curve, passphrase)
    if not kept.exists() or read_file(kept) != content:
        create(kept, content)
    try:
        atomic.replace(file, new, atomic.PRIVATE)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}; the key is still the old one.") from None
    return Rotated(old, signer.public_key, kept)


def seal_in_place(uri: str, home: Path, curve: str, passphrase: Passphrase) -> None:
    """Seal a key that lies there openly; raises ConfigError."""
    scheme, _, rest = uri.partition(":")
    if scheme != "file":
        raise ConfigError(f"{uri} is not kept by the gateway; only file: keys can be sealed.")
    file = named(rest, home, None).file.resolve()
    content = read_file(file)
    if is_encrypted(content):
        raise ConfigError(f"{file} is encrypted already.")
    new = sealed_content(content, file, curve, passphrase())
    try:
        atomic.replace(file, new, atomic.PRIVATE)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}; nothing was changed.") from None
