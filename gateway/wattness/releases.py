"""Releases of the boards' program: signed by the owner's release key, which boards pin when they are set up."""

import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

from wattwire import cose, release
from wattwire.errors import WireError

from .errors import ConfigError
from .signing import KID_SIZE, Signer, kid

KEY_NAME = "release.key"  # in the gateway's home, or on another machine: only building needs it
PUBLIC_NAME = "release.pub"
BUNDLE_BYTES_MAX = release.IMAGE_SIZE_MAX + release.HEAD_SIZE + release.ENVELOPE_SIZE_MAX
_VERSION = re.compile(r"(0|[1-9]\d{0,4})\.(0|[1-9]\d{0,4})\.(0|[1-9]\d{0,4})")


class Bundle(NamedTuple):
    """A release file: what it says of itself, what a board is offered, and what it asks for piece by piece."""

    manifest: Any  # wattwire.release.Manifest
    envelope: bytes
    data: bytes

    @property
    def version(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.manifest.version))

    @property
    def id(self) -> bytes:
        """Its name on the link."""
        return bytes(release.release_id(self.envelope))


class Terms(NamedTuple):
    """What the owner signs beside the image."""

    version: str
    health_s: int = release.HEALTH_S
    downgrade: bool = False


async def build(signer: Signer, image: bytes, terms: Terms) -> bytes:
    """Return the bundle of an image; raises ConfigError."""
    digest = hashlib.sha256(image).digest()
    version = parse_version(terms.version)
    try:
        payload = release.encode_manifest(
            release.Manifest(version, release.WIRE, len(image), digest, terms.health_s, terms.downgrade)
        )
    except WireError as error:
        raise ConfigError(f"A release cannot be made like that: {error}.") from None
    name = kid(signer.public_key)
    signature = await signer.sign(cose.to_be_signed(name, payload, release.AAD))
    return bytes(release.head(cose.join(name, payload, signature)) + image)


def parse_version(text: str) -> tuple[int, ...]:
    """Return the three numbers of a version; raises ConfigError."""
    if not _VERSION.fullmatch(text):
        raise ConfigError(f"{text!r} is not a version: three numbers, as in 1.4.0.")
    return tuple(map(int, text.split(".")))


def read_bundle(path: Path) -> Bundle:
    """Return a release file that is whole; whose it is a board says. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(BUNDLE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > BUNDLE_BYTES_MAX:
        raise ConfigError(f"{path} is no release: it is longer than {BUNDLE_BYTES_MAX} bytes.")
    try:
        envelope = release.envelope_of(data)
        manifest = release.peek(envelope)
    except WireError as error:
        raise ConfigError(f"{path} is no release ({error}): make one with `wattness release build`.") from None
    image = data[release.HEAD_SIZE + len(envelope) :]
    if len(image) != manifest.size or hashlib.sha256(image).digest() != manifest.sha256:
        raise ConfigError(f"{path} is damaged: its image is not what was signed; build it again.")
    return Bundle(manifest, envelope, data)


def signed_by(bundle: Bundle) -> bytes:
    """Return the key id that a bundle names."""
    key_id: bytes = cose.parse(bundle.envelope)[0]
    return key_id[:KID_SIZE]


def check_signature(bundle: Bundle, public_key: bytes) -> None:
    """Refuse what a board that has pinned this key would refuse; raises ConfigError."""
    try:
        release.verify(public_key, bundle.envelope)
    except WireError:
        raise ConfigError(
            f"The release is signed by another key ({signed_by(bundle).hex()}) than what this gateway gives to boards."
        ) from None


def pinned_key(home: Path) -> bytes | None:
    """Return the public half of the release key that boards of this gateway are given, or None; raises ConfigError."""
    path = home / PUBLIC_NAME
    try:
        key = bytes.fromhex(path.read_text().strip())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
    if len(key) != 65 or key[0] != 4:
        raise ConfigError(f"{path} holds no public key: copy it again, or run `wattness release key show`.")
    return key
