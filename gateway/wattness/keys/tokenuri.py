"""The URI of a key in a PKCS #11 token (RFC 7512), and the PIN that it names."""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from wattness.errors import ConfigError
from wattness.private import read_private

from .passphrase import Ask, checked, has_credential, read_credential

PIN_CREDENTIAL = "wattness.pin"
PATH_ATTRIBUTES = frozenset({"token", "serial", "manufacturer", "model", "object", "id", "type"})
QUERY_ATTRIBUTES = frozenset({"module-path", "pin-source"})


class Place(NamedTuple):
    """Where a key is, and how to get in."""

    attributes: dict[str, str]
    id: bytes | None
    module: str
    pin_source: str
    home: Path
    ask: Ask | None

    @property
    def label(self) -> str:
        """The token's name, for people."""
        return self.attributes.get("token") or self.attributes.get("serial") or self.module


def parse(rest: str, home: Path, ask: Ask | None) -> Place:
    """Take apart what follows `pkcs11:`; raises ConfigError."""
    path, _, query = rest.partition("?")
    attributes = _attributes(path, ";", PATH_ATTRIBUTES)
    options = _attributes(query, "&", QUERY_ATTRIBUTES)
    if "module-path" not in options:
        raise ConfigError("$.key: a pkcs11: URI needs ?module-path=…, the file of the token's library.")
    if not {"object", "id"} & attributes.keys() or not {"token", "serial"} & attributes.keys():
        raise ConfigError("$.key: a pkcs11: URI needs token= (or serial=) and object= (or id=).")
    if attributes.get("type", b"private") != b"private":
        raise ConfigError("$.key: a pkcs11: URI of a key that signs has type=private, or none.")
    try:
        texts = {name: value.decode() for name, value in attributes.items() if name != "id"}
        module, pin_source = options["module-path"].decode(), options.get("pin-source", b"").decode()
    except UnicodeDecodeError:
        raise ConfigError("$.key: a pkcs11: URI is UTF-8, with % before what is not a letter or a digit.") from None
    return Place(texts, attributes.get("id"), module, pin_source, home, ask)


def _attributes(text: str, separator: str, known: frozenset[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in text.split(separator) if text else []:
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise ConfigError("$.key: a configuration holds no PIN; write it into a file and name that by pin-source=.")
        if not equals or name not in known or name in found:
            raise ConfigError(f"$.key: {part!r} is no part of a pkcs11: URI; known are {', '.join(sorted(known))}.")
        found[name] = unquote_to_bytes(value)
    return found


def pin(place: Place) -> str:
    """Return the PIN; raises ConfigError with the remedy when there is nowhere to get it from."""
    source = place.pin_source.removeprefix("file:")
    if source:
        return checked(read_private(place.home / Path(source).expanduser()), source)
    if has_credential(PIN_CREDENTIAL):
        return checked(read_credential(PIN_CREDENTIAL).decode(errors="surrogateescape"), PIN_CREDENTIAL)
    if place.ask is not None:
        return checked(place.ask(f"PIN of the token {place.label}: "), "what was typed")
    raise ConfigError(
        f"The PIN of the token {place.label} is nowhere to be had: let systemd give the service a credential "
        f"{PIN_CREDENTIAL} (LoadCredential=), or name a file of mode 0600 by &pin-source=file:… in the key's URI."
    )
