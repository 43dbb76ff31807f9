"""A gateway's half of an update for tests: the owner's release key, bundles, and answers to what a board asks for."""

import hashlib
from collections.abc import Callable  # noqa: TC003 - loaded by runpy, as it stands
from typing import Any

from wattprogram.layout import VERSION, bytecode, sources
from wattprogram.rom import rom_image
from wattwire import cose, link, p256, release

SECRET = bytes(range(2, 34))
PUBLIC = p256.public_key(SECRET)
HEALTH_S = 12


def bundle(image: bytes, version: tuple[int, ...] = (0, 2, 0), secret: bytes = SECRET, **changes: Any) -> bytes:
    """Return a signed release of `image`."""
    facts = {
        "version": version,
        "wire": 1,
        "size": len(image),
        "sha256": hashlib.sha256(image).digest(),
        "health_s": HEALTH_S,
        "downgrade": False,
        **changes,
    }
    payload = release.encode_manifest(release.Manifest(**facts))
    return release.head(cose.sign1(secret, cose.kid(p256.public_key(secret)), payload, release.AAD)) + image


def program(version: str = "0.2.0", **changed: tuple[str, str]) -> bytes:
    """Return the image of the program with some modules of `wattboard` changed: (what, into what)."""
    modules = sources()
    changed = {"version": ("0.1.0", version), **changed}
    for name, (old, new) in changed.items():
        path = VERSION.replace("version", name)
        text = modules[path].decode()
        assert text.count(old) == 1, (name, old)
        modules[path] = text.replace(old, new).encode()
    # Profiles stay in ROM: the slot is mounted over it, so the image brings the one that the tests use.
    return rom_image({**bytecode(modules, "/rom"), **_profiles()})


def _profiles() -> dict[str, bytes]:
    from wattprogram.layout import FIRMWARE  # noqa: PLC0415

    name = "profiles/eastron_sdm120.json"
    return {f"/{name}": (FIRMWARE / name).read_bytes()}


class Releases:
    """Answers one board; put `take` where its messages come by."""

    def __init__(self, gateway: Any) -> None:
        self.gateway = gateway
        self.bundle = b""
        self.wants: list[tuple[int, int]] = []
        self.results: list[str] = []
        self.answers: Callable[[int], bool] = lambda _: True
        self._counter = 0

    def offer(self, data: bytes, *more: int) -> None:
        """Offer a release."""
        self.bundle = data
        self.gateway.command("update", [release.envelope_of(data), *more])

    def take(self, topic: str, payload: bytes) -> None:
        """Answer what a board wants."""
        name, offset, size, word = release.decode_want(link.open(self.gateway.link_key, topic, payload))
        if name != release.release_id(release.envelope_of(self.bundle)):
            return  # an earlier one
        if word is not None:
            self.results.append(word)
            return
        self.wants.append((offset, size))
        if self.answers(offset):
            self.gateway.command("update", [name, offset, self.bundle[offset : offset + size]])
