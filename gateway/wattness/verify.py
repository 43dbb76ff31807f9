"""From bytes that anyone could have sent to a frame that one enrolled board has signed."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple, Protocol, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from wattwire import cose
from wattwire.errors import WireError

from . import rowframes
from .errors import ConfigError, RejectedError
from .model import Arrival, Verified

A = TypeVar("A")
B = TypeVar("B")

_ES256 = ec.ECDSA(hashes.SHA256())


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


class _Envelope(NamedTuple):
    """A frame whose envelope is of good form; its payload is still unread."""

    signer: _Signer
    raw: bytes
    payload: bytes
    signature: bytes
    to_be_signed: bytes


class _Signed(NamedTuple):
    """A frame that an enrolled board has signed; whether its payload is of good form is still unknown."""

    board_id: int
    raw: bytes
    payload: bytes


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
        return _read(_check(self._open(arrival)))

    def verify_all(self, arrivals: Sequence[Arrival]) -> tuple[list[Verified], dict[str, int]]:
        """Return the good frames in order, and how many were rejected for which reason."""
        rejected: dict[str, int] = {}
        # Step by step for the whole batch: signatures and decoding push each other out of the processor's caches.
        signed = _each(_check, _each(self._open, arrivals, rejected), rejected)
        return _each(_read, signed, rejected), rejected

    def _open(self, arrival: Arrival) -> _Envelope:
        try:
            kid, payload, signature = cose.parse(arrival.raw)
        except WireError as error:
            raise RejectedError(error.reason, error.detail) from None
        if kid != arrival.kid:
            raise RejectedError("kid_mismatch", "the topic names another board")
        signer = self._signers.get(kid)
        if signer is None:
            raise RejectedError("unknown_board", kid.hex())
        return _Envelope(signer, arrival.raw, payload, der(signature), cose.to_be_signed(kid, payload))


def _check(envelope: _Envelope) -> _Signed:
    try:
        envelope.signer.key.verify(envelope.signature, envelope.to_be_signed, _ES256)
    except InvalidSignature:
        raise RejectedError("bad_signature") from None
    return _Signed(envelope.signer.board_id, envelope.raw, envelope.payload)


def _read(signed: _Signed) -> Verified:
    board_id, raw, payload = signed
    try:
        record = rowframes.decode(payload)
    except WireError as error:
        raise RejectedError(error.reason, error.detail) from None
    return Verified(board_id, raw, sha256(payload).digest(), record)


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
    body = _integer(signature[:32]) + _integer(signature[32:])
    return b"\x30%c%b" % (len(body), body)


def _integer(number: bytes) -> bytes:
    number = number.lstrip(b"\x00")
    if not number or number[0] > 0x7F:
        return b"\x02%c\x00%b" % (len(number) + 1, number)
    return b"\x02%c%b" % (len(number), number)
