"""Signed frames in bulk, from the demo's own generator, as many boards would make them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from emulator.site import GOLDEN_START_MS, PvSite
from wattwire import cose, frame, p256

POINTS = (
    frame.Point("power", "W", -1, None),
    frame.Point("energy_export", "Wh", 0, None),
    frame.Point("energy_import", "Wh", 0, None),
    frame.Point("voltage", "V", -1, None),
    frame.Point("current", "A", -2, None),
    frame.Point("frequency", "Hz", -2, None),
)
ROWS = 60
SIZE_STEP_PPM = 4_409  # no two boards of a fleet have the same roof: the gateway would see one device twice
_ES256 = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def key_from_seed(seed: int) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key of board number `seed`; reproducible, so never a real one."""
    digest = hashlib.sha256(b"fleet board %d" % seed).digest()
    return ec.derive_private_key(1 + int.from_bytes(digest, "big") % (p256.ORDER - 1), ec.SECP256R1())


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the 65-byte uncompressed public point."""
    numbers = key.public_key().public_numbers()
    return b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def seal(key: ec.EllipticCurvePrivateKey, kid: bytes, payload: bytes) -> bytes:
    """Sign with OpenSSL what a board signs with its own code."""
    r, s = utils.decode_dss_signature(key.sign(cose.to_be_signed(kid, payload), _ES256))
    return cose.join(kid, payload, r.to_bytes(32, "big") + min(s, p256.ORDER - s).to_bytes(32, "big"))


@dataclass
class FleetBoard:
    """One board with one PV stream of 60 one-second rows × 6 points a frame."""

    seed: int
    gateway: bytes
    key: ec.EllipticCurvePrivateKey = field(init=False)
    public_key: bytes = field(init=False)
    kid: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.key = key_from_seed(self.seed)
        self.public_key = point_of(self.key)
        self.kid = cose.kid(self.public_key)

    def frames(self, count: int, *, dated: bool = True) -> Iterator[bytes]:
        """Yield `count` frames: the streams record, then rows. Undated frames cause no interval work."""
        site = PvSite(self.seed, 1_000_000 - self.seed * SIZE_STEP_PPM % 400_000)
        stream = frame.Stream("pv", "eastron_sdm120", bytes(16), 1, POINTS, None, 6000, False)
        streams = frame.Streams((stream,), {"model": "fleet"}, self.gateway, None)
        prev, reference = bytes(16), b""
        for seq in range(1, count + 1):
            up = 1000 + (seq - 1) * ROWS * 1000
            unix = GOLDEN_START_MS + up if dated else None
            body = streams if seq == 1 else frame.Rows(reference, (_entry(site, GOLDEN_START_MS + up),))
            kind = frame.KIND_STREAMS if seq == 1 else frame.KIND_ROWS
            payload = frame.encode(frame.Record(kind, 1, seq, prev, 1, up, unix, None, body, {}))
            prev = frame.prev_of(payload)
            reference = reference or prev
            yield seal(self.key, self.kid, payload)


def _entry(site: PvSite, start_ms: int) -> frame.Entry:
    rows = [_values(site, start_ms + 1000 * row) for row in range(ROWS)]
    return frame.Entry(0, 0, 1000, [frame.delta(list(column)) for column in zip(*rows, strict=True)])


def _values(site: PvSite, unix_ms: int) -> Sequence[int]:
    values = site.values(unix_ms)
    return [round(values[point.name] * 10**-point.exponent) for point in POINTS]
