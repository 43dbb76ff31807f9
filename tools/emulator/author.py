"""A board's log written at will: any boot, clock, hole, stream or gateway; for tests of those who read logs."""

import hashlib
from collections.abc import Sequence
from typing import Any

from emulator.fleet import key_from_seed, point_of, seal
from wattness.model import Arrival, Verified
from wattwire import cose, frame, merkle

POINTS = (
    frame.Point("power", "W", 0, None),
    frame.Point("voltage", "V", -1, None),
    frame.Point("energy_export", "Wh", 0, None),
)


def pv(**changes: Any) -> Any:
    """Return a PV stream, with changes."""
    stream = frame.Stream("pv", "eastron_sdm120", bytes(16), 1, POINTS, None, 6000, False)
    return stream._replace(**changes)


class Author:
    """Writes the frames of one board; time is true time, `clock` tells how the board's own clock differs."""

    def __init__(self, seed: int, gateway: bytes, boot_ms: int) -> None:
        """`boot_ms` is the true time of the first boot."""
        self.key = key_from_seed(seed)
        self.public_key = point_of(self.key)
        self.kid = cose.kid(self.public_key)
        self.gateway = gateway
        self.clock: int | None = 0  # ms ahead of the true time; None: not set yet
        self.log, self.boot, self.boot_ms = 1, 1, boot_ms
        self.seq, self.prev, self.streams_hash = 0, bytes(frame.HASH_SIZE), b""
        self.frames: list[bytes] = []
        self.ended: tuple[int, bytes] | None = None  # what a new log says of the one before

    def reboot(self, at_ms: int, *, new_log: bool = False) -> None:
        """Start again at `at_ms`, with an empty log if asked."""
        self.boot, self.boot_ms, self.clock = self.boot + 1, at_ms, None
        if new_log:
            self.ended = (self.seq, self.prev)
            self.log, self.seq, self.prev = self.log + 1, 0, bytes(frame.HASH_SIZE)

    def streams(
        self, at_ms: int, *streams: Any, previous: tuple[int, bytes] | None = None, about: dict[str, Any] | None = None
    ) -> bytes:
        """Seal a streams record; without `streams` one PV stream."""
        body = frame.Streams(streams or (pv(),), about or {}, self.gateway, previous)
        raw = self.seal(frame.KIND_STREAMS, body, at_ms)
        self.streams_hash = self.prev
        return raw

    def rows(self, at_ms: int, count: int = 6, dt: int = 10_000, **changes: Any) -> bytes:
        """Seal rows of stream 0 whose figures follow from the time alone; `changes` replace columns by name."""
        times = [at_ms + row * dt for row in range(count)]
        columns: dict[str, list[int | None]] = {
            "power": [1000 + at // 1000 % 977 for at in times],
            "voltage": [2300 + at // 1000 % 7 for at in times],
            "energy_export": [at // 3_600 % 10**9 for at in times],
        }
        columns.update(changes)
        return self.entries(at_ms, [frame.Entry(0, 0, dt, [frame.delta(column) for column in columns.values()])])

    def entries(self, at_ms: int, entries: Sequence[Any], lost: tuple[int, int] | None = None) -> bytes:
        """Seal a rows record."""
        return self.seal(frame.KIND_ROWS, frame.Rows(self.streams_hash, list(entries)), at_ms, lost)

    def health(self, at_ms: int, lost: tuple[int, int] | None = None, **values: int | str | None) -> bytes:
        """Seal a health record."""
        return self.seal(frame.KIND_HEALTH, frame.Health(values), at_ms, lost)

    def seal(self, kind: int, body: Any, at_ms: int, lost: tuple[int, int] | None = None) -> bytes:
        """Seal any record as the next one."""
        self.seq += 1
        up = at_ms - self.boot_ms
        unix = None if self.clock is None else at_ms + self.clock
        payload = frame.encode(frame.Record(kind, self.log, self.seq, self.prev, self.boot, up, unix, lost, body, {}))
        self.prev = frame.prev_of(payload)
        self.frames.append(seal(self.key, self.kid, payload))
        return self.frames[-1]


def arrival(raw: bytes) -> Arrival:
    """Return a frame as it comes from the board that it names."""
    return Arrival(cose.parse(raw)[0], raw)


def verified(board_id: int, raw: bytes) -> Verified:
    """Return a frame as it leaves the verifier, without verifying it."""
    payload = cose.parse(raw)[1]
    return Verified(board_id, raw, hashlib.sha256(payload).digest(), merkle.leaf_hash(raw), frame.decode(payload))
