"""A key in a PEM file (PKCS #8) that only its owner can read."""

import contextlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from wattness.errors import ConfigError
from wattness.signing import DigestSigner, Signer

from .held import CURVES, signer_of

FILE_SIZE_MAX = 16_384


def open_file_key(rest: str, home: Path, curve: str) -> Signer | DigestSigner:
    """Read the key file; raises ConfigError when it is missing, open to others, or no key of `curve`."""
    file = home / Path(rest).expanduser()
    pem = _read_private(file)
    try:
        secret = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{file} holds no unencrypted PEM key; restore it from your backup.") from None
    signer = signer_of(secret, curve)
    if signer is None:
        raise ConfigError(f"{file} holds a key of another kind; {curve} is needed here.")
    return signer


def create_file_key(rest: str, home: Path, curve: str) -> Signer | DigestSigner:
    """Make a new key file, mode 0600; raises ConfigError when there is one already: a key is never overwritten."""
    file = home / Path(rest).expanduser()
    secret = CURVES[curve].make()
    signer = CURVES[curve].signer(secret)
    pem = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{file} exists already; a key is never overwritten. Move it away first.") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be made: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(pem)
            stream.flush()
            os.fsync(stream.fileno())
        _sync_folder(file.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            file.unlink()
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from None
    return signer


def _read_private(file: Path) -> bytes:
    """Return the bytes of a file that nobody else can read; what is checked is what is read."""
    try:
        with file.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError(f"{file} is not a file; $.key must name one.")
            if mode & 0o077:
                raise ConfigError(f"Others than you may read {file}; run `chmod 600 {file}`.")
            return stream.read(FILE_SIZE_MAX)
    except FileNotFoundError:
        raise ConfigError(f"There is no key {file}; run `wattness key new`.") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
