"""A backup of the home's keys: one file, sealed by a passphrase of its own."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

import msgspec

from wattness import atomic
from wattness.errors import ConfigError
from wattness.private import read_private_bytes

from . import sealed
from .file import FILE_SIZE_MAX, about, create

FORM = "wattness backup 1"
BACKUP_BYTES_MAX = 4 << 20
DEPTH_MAX = 4  # folders

_MARK = b"PRIVATE KEY-----"


def keys_of(home: Path, named: Iterable[Path] = ()) -> dict[str, bytes]:
    """Return the key files in a home and in its folders, old and `named` ones too, by names; raises ConfigError."""
    home = home.resolve()
    found = {}
    for file in sorted({*home.rglob("*.key*"), *named}):
        name = file.relative_to(home)
        if file.is_file() and not file.name.endswith(".new") and len(name.parts) <= DEPTH_MAX:
            content = read_private_bytes(file)
            if len(content) <= FILE_SIZE_MAX and (_MARK in content or about(content) is not None):
                found[name.as_posix()] = content
    return found


def write_backup(file: Path, keys: Mapping[str, bytes], passphrase: Callable[[], str]) -> None:
    """Make a backup file; raises ConfigError when it is there already."""
    if not keys:
        raise ConfigError("There are no keys to back up; `wattness key new` makes one.")
    if file.exists():
        raise ConfigError(f"{file} exists already; a backup is never overwritten. Choose another name.")
    content = sealed.seal(FORM, {"keys": sorted(keys)}, msgspec.json.encode(dict(keys)), passphrase())
    create(file, content)


def read_backup(file: Path, passphrase: Callable[[], str]) -> dict[str, bytes]:
    """Return the keys in a backup; raises ConfigError."""
    try:
        with file.open("rb") as stream:
            content = stream.read(BACKUP_BYTES_MAX)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    shut = sealed.parse(content, FORM)
    if shut is None:
        raise ConfigError(f"{file} is no backup of keys, or it is damaged; take another copy.")
    secret = sealed.unseal(shut, passphrase())
    if secret is None:
        raise ConfigError(f"The passphrase does not open {file}; it is another one, or the file was changed.")
    return msgspec.json.decode(secret, type=dict[str, bytes])


def restore(home: Path, keys: Mapping[str, bytes]) -> list[str]:
    """Write back the keys that are missing and return their names; raises ConfigError before any key is touched."""
    missing = [name for name, content in keys.items() if not _is_there(home, name, content)]
    for name in missing:
        file = home / name
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            atomic.create(file, keys[name])
        except OSError as error:
            raise ConfigError(f"{file} cannot be made: {error.strerror}.") from None
    return missing


def _is_there(home: Path, name: str, content: bytes) -> bool:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts:
        raise ConfigError(f"The backup names a key {name!r}, which is no file of the home; nothing was restored.")
    file = home / path
    if not file.exists():
        return False
    if read_private_bytes(file) != content:
        raise ConfigError(f"{file} is another key than the backup's; nothing was restored. Move it away first.")
    return True
