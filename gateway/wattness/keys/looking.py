"""What can be said of a key without its passphrase."""

from pathlib import Path
from typing import NamedTuple

from wattness.errors import ConfigError

from . import open_signer
from .file import about, named, read_file
from .passphrase import Ask


class Look(NamedTuple):
    """A key from outside."""

    public_key: bytes | None  # None: see `problem`
    kept: str  # plain | sealed | credential | token
    problem: str = ""  # one sentence


KEPT = {"file": "plain", "credential": "credential", "pkcs11": "token"}


def look(uri: str, home: Path, curve: str, ask: Ask | None = None) -> Look:
    """Return what is known of the key that `uri` names; a sealed one tells its public key without its passphrase."""
    scheme, _, rest = uri.partition(":")
    kept = KEPT.get(scheme, "")
    try:
        if scheme == "file" and (told := about(read_file(named(rest, home, None).file))) is not None:
            if told.curve != curve:
                return Look(None, "sealed", f"{rest} holds a key of {told.curve}; {curve} is needed here.")
            return Look(bytes.fromhex(told.public_key), "sealed")
        return Look(open_signer(uri, home, curve, ask).public_key, kept)
    except ConfigError as error:
        return Look(None, kept, str(error))


def public_key(uri: str, home: Path, curve: str = "P-256", ask: Ask | None = None) -> bytes:
    """Return a key's public part; raises ConfigError as `open_signer` does."""
    found = look(uri, home, curve, ask)
    if found.public_key is None:
        raise ConfigError(found.problem)
    return found.public_key
