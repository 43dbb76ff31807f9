"""The envelope of wire.md §1: COSE_Sign1 (RFC 9052) with ES256, in the one form that is allowed."""

import hashlib

from wattwire import p256
from wattwire.cbor import head
from wattwire.errors import WireError

AAD = b"wattwire/1"
KID_SIZE = 8
SIGNATURE_SIZE = 64
FRAME_SIZE_MAX = 8192

_TAG_ARRAY = b"\xd2\x84"  # tag 18, array of four
_PROTECTED = b"\xa2\x01\x26\x04\x48"  # {1: -7, 4: bstr .size 8}, the kid follows
_OPENING = _TAG_ARRAY + b"\x4d" + _PROTECTED
_KID_END = len(_OPENING) + KID_SIZE
_SIGNATURE_HEAD = b"\x58\x40"
_LOW_S_MAX = (p256.ORDER >> 1).to_bytes(32, "big")


def board_key(public65: bytes) -> bytes:
    """Return the board-key: SHA-256 over the uncompressed public key."""
    return hashlib.sha256(public65).digest()


def kid(public65: bytes) -> bytes:
    """Return the key id that frames carry: the first bytes of the board-key."""
    return board_key(public65)[:KID_SIZE]


def to_be_signed(kid: bytes, payload: bytes, aad: bytes = AAD) -> bytes:
    """Return the Sig_structure (RFC 9052 §4.4): the only bytes that are ever signed."""
    return b"".join(
        (
            b"\x84\x6aSignature1\x4d",
            _PROTECTED,
            kid,
            head(2, len(aad)),
            aad,
            head(2, len(payload)),
            payload,
        )
    )


def sign1(secret32: bytes, kid: bytes, payload: bytes, aad: bytes = AAD) -> bytes:
    """Return the sealed frame of `payload`."""
    digest = hashlib.sha256(to_be_signed(kid, payload, aad)).digest()
    return join(kid, payload, p256.sign(secret32, digest))


def join(kid: bytes, payload: bytes, signature: bytes) -> bytes:
    """Return the envelope of parts that were signed elsewhere."""
    if len(kid) != KID_SIZE or len(signature) != SIGNATURE_SIZE:
        raise WireError("bad_form", "kid or signature")
    sealed = b"".join((_OPENING, kid, b"\xa0", head(2, len(payload)), payload, _SIGNATURE_HEAD, signature))
    if len(sealed) > FRAME_SIZE_MAX:
        raise WireError("too_long")
    return sealed


def parse(data: bytes):
    """Return (kid, payload, signature) of a well-formed frame with a low S; the signature is not checked."""
    if len(data) > FRAME_SIZE_MAX:
        raise WireError("too_long")
    if not data.startswith(_OPENING):
        _refuse_opening(data)
    if len(data) < _KID_END + 2:
        raise WireError("truncated")
    if data[_KID_END] != 0xA0:
        raise WireError("bad_form", "unprotected header")
    start, end = _payload(data, _KID_END + 1)
    signature = end + len(_SIGNATURE_HEAD)
    if len(data) < signature + SIGNATURE_SIZE:
        raise WireError("truncated")
    if data[end:signature] != _SIGNATURE_HEAD:
        raise WireError("bad_form", "signature")
    if len(data) > signature + SIGNATURE_SIZE:
        raise WireError("trailing_bytes")
    if data[signature + 32 :] > _LOW_S_MAX:
        raise WireError("high_s")
    return data[len(_OPENING) : _KID_END], data[start:end], data[signature:]


def verify(public65: bytes, data: bytes, aad: bytes = AAD) -> bytes:
    """Return the payload of a frame that `public65` signed; raises WireError."""
    key_id, payload, signature = parse(data)
    digest = hashlib.sha256(to_be_signed(key_id, payload, aad)).digest()
    if key_id != kid(public65) or not p256.verify(public65, digest, signature):
        raise WireError("bad_signature")
    return payload


def _refuse_opening(data):
    """Raise the WireError that names what is wrong with the first bytes."""
    if _OPENING.startswith(data):
        raise WireError("truncated")
    if data[:2] != _TAG_ARRAY:
        raise WireError("bad_tag", "not a tagged COSE_Sign1")
    if data[3:5] == _PROTECTED[:2] and data[5:6] != _PROTECTED[2:3]:
        raise WireError("bad_algorithm")
    raise WireError("bad_form", "protected header")


def _payload(data, at):
    """Return (start, end) of the payload whose head stands at `at`."""
    first = data[at]
    if 0x40 <= first < 0x58:
        return at + 1, at + 1 + first - 0x40
    size = first - 0x57
    if size not in (1, 2):
        raise WireError("bad_form", "payload")
    start = at + 1 + size
    if start > len(data):
        raise WireError("truncated")
    length = int.from_bytes(data[at + 1 : start], "big")
    if length < (24 if size == 1 else 256):
        raise WireError("not_deterministic", "longer head than needed")
    return start, start + length
