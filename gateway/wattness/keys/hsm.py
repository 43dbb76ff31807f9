"""Keys in a PKCS #11 token, named by a URI of RFC 7512; the secret never leaves it.

pkcs11:token=wattness;object=gateway?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:token.pin
"""

import asyncio
import threading
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from wattness.errors import ConfigError, UnavailableError
from wattness.signing import DigestSigner, Signer, raw_low_s

from . import recovery
from .passphrase import Ask
from .tokenuri import Place, parse, pin

POINT_SIZE = 65


class Group(NamedTuple):
    """A curve as tokens know it."""

    parameters: bytes  # DER of its object identifier
    curve: ec.EllipticCurve


GROUPS = {
    "P-256": Group(bytes.fromhex("06082a8648ce3d030107"), ec.SECP256R1()),
    "secp256k1": Group(bytes.fromhex("06052b8104000a"), ec.SECP256K1()),
}


def open_token_key(rest: str, home: Path, curve: str, ask: Ask | None) -> Signer | DigestSigner:
    """Find the key in its token; raises ConfigError with the remedy."""
    place = parse(rest, home, ask)
    if curve not in GROUPS:
        raise ConfigError(f"Keys of {curve} are not taken from tokens, only {' and '.join(GROUPS)}; use a file: key.")
    key = TokenKey(place)
    key.open()
    _check(key.public_key, key.parameters, curve, place)
    return TokenP256(key) if curve == "P-256" else TokenSecp256k1(key)


class TokenKey:
    """A private key in a token; signs hashes, one at a time, away from the event loop."""

    def __init__(self, place: Place) -> None:
        """`open` looks for it."""
        self._place = place
        self._lock = threading.Lock()  # a session is for one thread at a time
        self._private: Any = None
        self.public_key = b""
        self.parameters = b""

    def open(self) -> None:
        """Log in and find the key; raises ConfigError."""
        pkcs11 = _library()
        try:
            session = self._session()
            self._private, public = self._pair(session)
            self.public_key = _point(bytes(public[pkcs11.Attribute.EC_POINT]))
            self.parameters = bytes(public[pkcs11.Attribute.EC_PARAMS])
        except pkcs11.PinIncorrect:
            raise ConfigError(
                f"The PIN does not open the token {self._place.label}; after a few wrong ones it locks itself."
            ) from None
        except (pkcs11.PKCS11Error, KeyError, AttributeError) as error:
            raise ConfigError(
                f"The token {self._place.label} cannot be used: {_words(error)}; `pkcs11-tool -L` shows what is there."
            ) from None

    async def sign(self, digest: bytes) -> tuple[int, int]:
        """Return r and s over a hash; raises UnavailableError while the token does not answer."""
        return await asyncio.to_thread(self._sign, digest)

    def _sign(self, digest: bytes) -> tuple[int, int]:
        pkcs11 = _library()
        with self._lock:
            try:
                if self._private is None:
                    self.open()
                raw = self._private.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)
            except (pkcs11.PKCS11Error, ConfigError) as error:
                self._private = None  # the next signature looks for the token again
                raise UnavailableError(f"the token {self._place.label} does not sign: {_words(error)}") from None
        half = len(raw) // 2
        return int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")

    def _session(self) -> Any:
        pkcs11, place = _library(), self._place
        try:
            library = pkcs11.lib(place.module)
        except RuntimeError as error:
            raise ConfigError(
                f"The PKCS #11 module {place.module} cannot be loaded ({_words(error)}); correct module-path."
            ) from None
        serial = place.attributes.get("serial")
        found = [
            token
            for token in library.get_tokens(token_label=place.attributes.get("token"))
            if (serial is None or bytes(token.serial).decode("utf-8", "replace").rstrip("\0 ") == serial)
            and place.attributes.get("manufacturer") in {None, token.manufacturer_id}
            and place.attributes.get("model") in {None, token.model}
        ]
        if len(found) != 1:
            raise ConfigError(
                f"{len(found)} tokens are called {place.label}, not one; `pkcs11-tool -L` shows what is there."
            )
        try:
            return found[0].open(user_pin=pin(place))
        except pkcs11.UserAlreadyLoggedIn:  # for another key of this process
            return found[0].open()

    def _pair(self, session: Any) -> tuple[Any, Any]:
        pkcs11, place = _library(), self._place
        found = []
        for kind in (pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.ObjectClass.PUBLIC_KEY):
            try:
                found.append(
                    session.get_key(
                        object_class=kind,
                        key_type=pkcs11.KeyType.EC,
                        label=place.attributes.get("object"),
                        id=place.id,
                    )
                )
            except (pkcs11.NoSuchKey, pkcs11.MultipleObjectsReturned) as error:
                many = "more than one" if isinstance(error, pkcs11.MultipleObjectsReturned) else "no"
                what = "private" if kind is pkcs11.ObjectClass.PRIVATE_KEY else "public"
                raise ConfigError(
                    f"The token {place.label} has {many} {what} EC key of that object or id; both halves carry the "
                    f"same (`pkcs11-tool -O` shows them)."
                ) from None
        return found[0], found[1]


class TokenP256:
    """A P-256 key in a token. The token chooses nonces, so signatures differ each time; reports keep theirs."""

    def __init__(self, key: TokenKey) -> None:
        self._key = key

    @property
    def public_key(self) -> bytes:
        """The uncompressed point, 65 bytes."""
        return self._key.public_key

    async def sign(self, message: bytes) -> bytes:
        """Return r‖s over `message`, low S."""
        digest = Hash(SHA256())
        digest.update(message)
        return raw_low_s(encode_dss_signature(*await self._key.sign(digest.finalize())))


class TokenSecp256k1:
    """A secp256k1 key in a token."""

    def __init__(self, key: TokenKey) -> None:
        self._key = key

    @property
    def public_key(self) -> bytes:
        """The uncompressed point, 65 bytes."""
        return self._key.public_key

    async def sign_digest(self, digest: bytes) -> bytes:
        """Return r‖s‖v over a hash of 32 bytes, low S."""
        der = encode_dss_signature(*await self._key.sign(digest))
        try:
            return recovery.with_id(digest, der, self.public_key)
        except ValueError as error:
            raise UnavailableError(f"the token gave no good signature: {error}") from None


def _library() -> Any:
    """Return the module that speaks to tokens; raises ConfigError when it is not installed."""
    try:
        import pkcs11  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ConfigError(
            "A key in a token needs the library python-pkcs11: run `pip install 'wattness[pkcs11]'`."
        ) from None
    return pkcs11


def _point(value: bytes) -> bytes:
    """Return the point, which most tokens wrap in an octet string and some do not."""
    return value[2:] if len(value) == POINT_SIZE + 2 and value[:2] == bytes((4, POINT_SIZE)) else value


def _check(public_key: bytes, parameters: bytes, curve: str, place: Place) -> None:
    group = GROUPS[curve]
    fits = parameters == group.parameters and len(public_key) == POINT_SIZE
    try:
        if fits:
            ec.EllipticCurvePublicKey.from_encoded_point(group.curve, public_key)
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(f"The token {place.label} holds a key of another kind there; {curve} is needed here.")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
