"""A release: the board's program as one image, and the manifest that the owner's release key signed.

`wnr1 ‖ size of the envelope (2 bytes) ‖ envelope ‖ image`; the envelope is a frame's (COSE_Sign1, ES256) with its own
`external_aad`, its payload the manifest. A board asks for the bytes of this file piece by piece.
"""

import hashlib
from collections import namedtuple

from wattwire import cbor, cose, shape
from wattwire.errors import WireError

AAD = b"wattness-release/1"
MAGIC = b"wnr1"
HEAD_SIZE = len(MAGIC) + 2
ID_SIZE = 16
WIRE = 1  # the version of the wire that this code speaks
IMAGE_SIZE_MAX = 1 << 20
PIECE_SIZE_MAX = 4096
HEALTH_S = 600
HEALTH_S_MIN, HEALTH_S_MAX = 10, 0x7FFF
ENVELOPE_SIZE_MAX = 1024

# version: three numbers; wire: the lowest version of the wire that a gateway must speak for it; size and sha256 of the
# image; health_s: how long it may take to deliver its first frame; downgrade: it may follow a later version.
Manifest = namedtuple("Manifest", ("version", "wire", "size", "sha256", "health_s", "downgrade"))
_KEYS = range(1, 7)


def encode_manifest(manifest) -> bytes:
    """Return the payload that is signed; raises WireError."""
    _check(manifest)
    values = list(manifest)
    values[0], values[5] = list(manifest.version), int(manifest.downgrade)
    return cbor.encode(dict(zip(_KEYS, values)))


def decode_manifest(payload: bytes):
    """Return the Manifest in a payload; raises WireError. Keys from 32 on are for later versions."""
    fields = shape.typed(cbor.decode(payload), dict, "manifest")
    shape.check_keys(fields, _KEYS, (), 32)
    values = [fields[key] for key in _KEYS]
    version = tuple(shape.items(values[0], 3, "version"))
    return _check(Manifest(version, values[1], values[2], values[3], values[4], values[5] == 1))


def verify(public65: bytes, envelope: bytes):
    """Return the Manifest of an envelope that the release key signed; raises WireError."""
    return decode_manifest(cose.verify(public65, envelope, AAD))


def peek(envelope: bytes):
    """Return the Manifest of an envelope whose signature was verified before; raises WireError."""
    return decode_manifest(cose.parse(envelope)[1])


def head(envelope: bytes) -> bytes:
    """Return what stands before the image: the file is head ‖ image."""
    if len(envelope) > ENVELOPE_SIZE_MAX:
        raise WireError("too_long")
    return MAGIC + len(envelope).to_bytes(2, "big") + envelope


def envelope_of(data: bytes) -> bytes:
    """Return the envelope of a file that begins with `data`; raises WireError."""
    if data[:4] != MAGIC:
        raise WireError("bad_form", "not a release")
    size = int.from_bytes(data[4:HEAD_SIZE], "big")
    if size > ENVELOPE_SIZE_MAX or len(data) < HEAD_SIZE + size:
        raise WireError("truncated")
    return data[HEAD_SIZE : HEAD_SIZE + size]


def release_id(envelope: bytes) -> bytes:
    """Return the name of a release on the link."""
    return hashlib.sha256(envelope).digest()[:ID_SIZE]


def encode_want(release: bytes, offset: int, size: int) -> bytes:
    """Return the body by which a board asks for bytes of the file."""
    return cbor.encode([release, offset, size])


def encode_result(release: bytes, word: str) -> bytes:
    """Return the body by which a board says what became of a release."""
    return cbor.encode([release, word])


def decode_want(body: bytes):
    """Return (id, offset, size, None) or (id, 0, 0, word); raises WireError."""
    values = shape.typed(cbor.decode(body), list, "want")
    if len(values) == 2:
        return shape.octets(values[0], ID_SIZE, "release"), 0, 0, shape.name(values[1], "result")
    release, offset, size = shape.items(values, 3, "want")
    if not 0 < shape.uint(size, "size") <= PIECE_SIZE_MAX:
        raise WireError("bad_range", "size")
    return shape.octets(release, ID_SIZE, "release"), shape.uint(offset, "offset"), size, None


def _check(manifest):
    for number in manifest.version:
        if shape.uint(number, "version") > 0xFFFF:
            raise WireError("bad_range", "version")
    shape.uint(manifest.wire, "wire")
    shape.octets(manifest.sha256, 32, "sha256")
    if not 0 < shape.uint(manifest.size, "size") <= IMAGE_SIZE_MAX:
        raise WireError("bad_range", "size")
    if not HEALTH_S_MIN <= shape.uint(manifest.health_s, "health_s") <= HEALTH_S_MAX:
        raise WireError("bad_range", "health_s")
    return manifest
