"""From bytes that anyone could have sent to a frame that one enrolled board has signed."""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple, Protocol, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from wattwire import cose, merkle
from wattwire.errors import WireError

from . import rowframes
from .errors import ConfigError, RejectedError
from .model import Arrival, Verified

A = TypeVar("A")
B = TypeVar("B")

_ES256 = ec.ECDSA(hashes.SHA256())
_SHORT_R = b"\x30\x44\x02\x20%b\x02\x20%b"
_LONG_R = b"\x30\x45\x02\x21\x00%b\x02\x20%b"


class Keyed(Protocol):
    """Whoever signs frames: a `model.Board`, or as much of one as verifying needs."""

    @property
    def id(self) -> int:
        """The board's number in the store."""
        ...

    @property
    def kid(self) -> bytes:
        """The first 8 bytes of the hash of its key."""
        ...

    @property
    def public_key(self) -> bytes:
        """65 bytes, uncompressed point."""
        ...


class _Signer(NamedTuple):
    board_id: int
    key: ec.EllipticCurvePublicKey


# A frame whose envelope is of good form, its payload still unread: signer, raw, payload, signature, what was signed.
_Envelope = tuple[_Signer, bytes, bytes, bytes, bytes]

# A frame that an enrolled board has signed, its payload's form still unknown: board, raw, payload.
_Signed = tuple[int, bytes, bytes]


class Verifier:
    """Holds the enrolled boards' key objects."""

    def __init__(self, boards: Iterable[Keyed] = ()) -> None:
        """`boards` are those whose frames are accepted."""
        self._signers: dict[bytes, _Signer] = {}
        self.replace(boards)

    def replace(self, boards: Iterable[Keyed]) -> None:
        """From now on accept exactly these boards."""
        self._signers = {board.kid: _Signer(board.id, load_key(board.public_key)) for board in boards}

    def verify(self, arrival: Arrival) -> Verified:
        """Return the frame, or raise RejectedError with a reason code; the payload is not read before its signature."""
        return Verified(*_read(_check(self._open(arrival)), rowframes.decode))

    def verify_all(self, arrivals: Iterable[tuple[bytes, bytes]]) -> tuple[list[Verified], dict[str, int]]:
        """Return the good frames in order, and how many were rejected for which reason."""
        found, rejected = self.read_all(arrivals, rowframes.decode)
        return [Verified(*one) for one in found], rejected

    def read_all(
        self, arrivals: Iterable[tuple[bytes, bytes]], decode: Callable[[bytes], A]
    ) -> tuple[list[tuple[int, bytes, bytes, bytes, A]], dict[str, int]]:
        """Return the same as plain values; `decode` refuses what `rowframes.decode` does."""
        rejected: dict[str, int] = {}
        # Step by step for the whole batch: signatures and decoding push each other out of the processor's caches.
        signed = _each(_check, _each(self._open, arrivals, rejected), rejected)
        return _each(lambda one: _read(one, decode), signed, rejected), rejected

    def _open(self, arrival: tuple[bytes, bytes]) -> _Envelope:
        named, raw = arrival
        try:
            kid, payload, signature = cose.parse(raw)
        except WireError as error:
            raise RejectedError(error.reason, error.detail) from None
        if kid != named:
            raise RejectedError("kid_mismatch", "the topic names another board")
        signer = self._signers.get(kid)
        if signer is None:
            raise RejectedError("unknown_board", kid.hex())
        return signer, raw, payload, der(signature), _signed_bytes(raw)


def _check(envelope: _Envelope) -> _Signed:
    signer, raw, payload, signature, signed = envelope
    try:
        signer.key.verify(signature, signed, _ES256)
    except InvalidSignature:
        raise RejectedError("bad_signature") from None
    return signer.board_id, raw, payload


def _read(signed: _Signed, decode: Callable[[bytes], A]) -> tuple[int, bytes, bytes, bytes, A]:
    board_id, raw, payload = signed
    try:
        return board_id, raw, sha256(payload).digest(), merkle.leaf_hash(raw), decode(payload)
    except WireError as error:
        raise RejectedError(error.reason, error.detail) from None


def _signed_bytes(raw: bytes) -> bytes:
    """Return what `cose.to_be_signed` makes of a frame that `cose.parse` takes: its own bytes, but for the heads."""
    return b"\x84\x6aSignature1%b\x4awattwire/1%b" % (raw[2:16], raw[17:-66])


def _each(step: Callable[[A], B], items: Iterable[A], rejected: dict[str, int]) -> list[B]:
    """Return what `step` makes of those items that it does not reject."""
    good: list[B] = []
    for item in items:
        try:
            good.append(step(item))
        except RejectedError as error:
            rejected[error.reason] = rejected.get(error.reason, 0) + 1
    return good


def load_key(public_key: bytes) -> ec.EllipticCurvePublicKey:
    """Return the key object of an uncompressed P-256 point; raises ConfigError."""
    if len(public_key) != 65:
        raise ConfigError("A board's public key is 65 bytes: 130 hexadecimal digits that begin with 04.")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    except ValueError:
        raise ConfigError("This public key is not a point of P-256; copy it again from the board.") from None


def der(signature: bytes) -> bytes:
    """Return r ‖ s as the ASN.1 sequence that `cryptography` wants."""
    r, s = signature[:32], signature[32:]
    if r[0] and 0 < s[0] < 0x80:  # nearly all: s is low
        return (_LONG_R if r[0] > 0x7F else _SHORT_R) % (r, s)
    body = _integer(r) + _integer(s)
    return b"\x30%c%b" % (len(body), body)


def _integer(number: bytes) -> bytes:
    number = number.lstrip(b"\x00")
    if not number or number[0] > 0x7F:
        return b"\x02%c\x00%b" % (len(number) + 1, number)
    return b"\x02%c%b" % (len(number), number)
