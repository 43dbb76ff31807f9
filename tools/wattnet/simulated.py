"""A board for tests of whoever takes frames: real records and real signatures, made by PyCA from a seed."""

import hashlib
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wattwire import cbor, cose, evidence, frame, merkle, p256

_ES256 = ec.ECDSA(SHA256(), deterministic_signing=True)
BOOT_MS = 1000  # from boot to the first rows
POINTS = (frame.Point("power", "W", 0, None), frame.Point("energy_export", "Wh", 0, None))


class SimulatedKey:
    """A P-256 key from a seed; signs envelopes."""

    def __init__(self, seed: int) -> None:
        number = int.from_bytes(hashlib.sha256(b"simulated key %d" % seed).digest(), "big") % (p256.ORDER - 1) + 1
        self.secret = ec.derive_private_key(number, ec.SECP256R1())
        self.public_key = self.secret.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.hash = hashlib.sha256(self.public_key).digest()

    def seal(self, payload: bytes, aad: bytes) -> bytes:
        """Return the COSE_Sign1 of `payload`."""
        kid = self.hash[: cose.KID_SIZE]
        r, s = decode_dss_signature(self.secret.sign(cose.to_be_signed(kid, payload, aad), _ES256))
        signature = r.to_bytes(32, "big") + min(s, p256.ORDER - s).to_bytes(32, "big")
        return bytes(cose.join(kid, payload, signature))


class SimulatedBoard(SimulatedKey):
    """Appends records to one log, one stream of pv, and keeps the frames."""

    def __init__(self, seed: int, gateway: bytes, start_ms: int, *, log: int = 1) -> None:
        """`gateway` is the hash of the gateway's public key; rows begin at unix `start_ms`; each log is a boot."""
        super().__init__(seed)
        self.log, self.start_ms = log, start_ms
        self.frames: list[bytes] = []
        self.records: list[Any] = []
        self.next_ms = start_ms
        stream = frame.Stream("pv", "eastron_sdm120", bytes(16), 1, POINTS, None, 6000, False)
        self.open(frame.Streams((stream,), {"model": "simulated"}, gateway, None))

    def open(self, body: Any) -> None:
        """Begin the log with this streams record, a second before the first rows."""
        self.frames, self.records, self.prev = [], [], bytes(frame.HASH_SIZE)
        self.append(frame.KIND_STREAMS, body, self.start_ms - BOOT_MS)
        self.streams_hash = self.prev

    def append(self, kind: int, body: Any, unix_ms: int, lost: tuple[int, int] | None = None) -> bytes:
        """Seal the next record; `lost` declares seqs that never come."""
        seq = len(self.records) + 1 if not self.records else self.records[-1].seq + 1
        seq = lost[1] + 1 if lost else seq
        up = unix_ms - self.start_ms + BOOT_MS
        record = frame.Record(kind, self.log, seq, self.prev, self.log, up, unix_ms, lost, body, {})
        payload = frame.encode(record)
        self.prev = frame.prev_of(payload)
        self.records.append(record)
        self.frames.append(self.seal(payload, cose.AAD))
        return self.frames[-1]

    def rows(self, unix_ms: int, powers_w: Sequence[int | None], dt_ms: int = 10_000) -> bytes:
        """Seal rows of power, with the counter at one Wh per row since the beginning of time."""
        counters = [None if power is None else (unix_ms + at * dt_ms) // dt_ms for at, power in enumerate(powers_w)]
        columns = [frame.delta(powers_w), frame.delta(counters)]
        return self.append(frame.KIND_ROWS, frame.Rows(self.streams_hash, [frame.Entry(0, 0, dt_ms, columns)]), unix_ms)

    def run(self, until_ms: int, *, per_frame: int = 6, dt_ms: int = 10_000) -> None:
        """Seal full frames of rows up to `until_ms`."""
        at = self.next_ms
        while at <= until_ms:
            self.rows(at, [325 + (at // dt_ms + row) % 70 for row in range(per_frame)], dt_ms)
            at += per_frame * dt_ms
        self.next_ms = at

    def report(self, a: int, b: int, frames: Sequence[bytes] | None = None, **changes: Any) -> dict[str, Any]:
        """Return what a gateway claims for [a, b) over `frames` (all of them), with `changes` by whoever cheats."""
        shown = list(self.frames if frames is None else frames)
        records = [frame.decode(cose.parse(raw)[1]) for raw in shown]
        return {
            "rules": 1,
            "board": self.hash,
            "device": "0",
            "role": "pv",
            "profile": "eastron_sdm120",
            "a": a,
            "b": b,
            "figures": evidence.figures(records, "0", a, b),
            "evidence": evidence.ranges((record.log, record.seq) for record in records),
            "root": merkle.root(shown),
            "verdict": "accepted",
            "reasons": [],
            "rated_w": 6000,
            "provenance": "board",
        } | changes


def sealed(key: SimulatedKey, value: Any) -> bytes:
    """Return a value as a gateway sends it to the network."""
    return key.seal(cbor.encode(value), b"wattnet/1")
