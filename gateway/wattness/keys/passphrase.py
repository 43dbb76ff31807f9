"""Where a passphrase comes from: a private file, a credential of the service, or somebody at the terminal."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from wattness.errors import ConfigError
from wattness.private import SECRET_BYTES_MAX, read_private

CREDENTIAL = "wattness.passphrase"  # tried when a key's URI names no other source
FILE, NAMED = "passphrase-file", "passphrase-credential"
OPTIONS = frozenset({FILE, NAMED})

Ask = Callable[[str], str]  # shows a prompt and returns what was typed


def obtain(what: str, options: Mapping[str, str], home: Path, ask: Ask | None) -> str:
    """Return the passphrase of `what`; raises ConfigError with the remedy when there is nowhere to get it from."""
    if FILE in options:
        return checked(read_private(home / Path(options[FILE]).expanduser()), options[FILE])
    if NAMED in options or has_credential(CREDENTIAL):
        name = options.get(NAMED, CREDENTIAL)
        return checked(read_credential(name).decode(errors="surrogateescape"), name)
    if ask is not None:
        return checked(ask(f"Passphrase of {what}: "), "what was typed")
    raise ConfigError(
        f"{what} is encrypted, and its passphrase is nowhere to be had: let systemd give the service a credential "
        f"{CREDENTIAL} (LoadCredential=), or write ?{FILE}=FILE behind the key's URI in the configuration."
    )


def checked(text: str, where: str) -> str:
    """Return a passphrase without the end of its line; raises ConfigError when nothing is left."""
    passphrase = text.removesuffix("\n").removesuffix("\r")
    if not passphrase:
        raise ConfigError(f"There is no passphrase in {where}; write it there in one line.")
    try:
        passphrase.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"The passphrase in {where} is not text; write it there in UTF-8.") from None
    return passphrase


def has_credential(name: str) -> bool:
    """Tell whether systemd gave this service such a credential."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return bool(folder) and Path(folder, name).is_file()


def read_credential(name: str) -> bytes:
    """Return a credential of the service, which systemd keeps for it alone; raises ConfigError."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder:
        raise ConfigError(
            f"There is no credential {name}: only a service of systemd with LoadCredential={name}:… has it."
        )
    if Path(name).name != name:
        raise ConfigError(f"{name!r} is not a credential's name: it is one word without slashes.")
    try:
        with Path(folder, name).open("rb") as stream:
            return stream.read(SECRET_BYTES_MAX)
    except OSError as error:
        raise ConfigError(
            f"The credential {name} cannot be read ({error.strerror}): add LoadCredential={name}:… to the service."
        ) from None
