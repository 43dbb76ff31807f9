"""The RS-485 line between the board's UART and the meters: byte times, silences, turnaround, and what can go wrong."""

import random
from dataclasses import dataclass, field
from enum import StrEnum

FAST_BAUD = 19_200
FAST_SILENCE_S = 0.00175
NOISE_BYTES_MAX = 6


@dataclass(frozen=True)
class Timing:
    """Speeds of one line: 10 bits a character (8N1), t3.5 fixed above 19200 baud as the standard says."""

    baud: int = 9600

    def wire_s(self, count: int) -> float:
        """How long `count` bytes take."""
        return count * 10 / self.baud

    @property
    def silence_s(self) -> float:
        """t3.5, the silence that ends a frame."""
        return FAST_SILENCE_S if self.baud > FAST_BAUD else self.wire_s(7) / 2

    def exchange_s(self, request: int, answer: int, turnaround_s: float) -> float:
        """The least time from one request's first bit to the next one's: what the bus allows."""
        return self.wire_s(request + answer) + 2 * self.silence_s + turnaround_s


@dataclass
class LineClock:
    """When bits are on the line, in the line's own time.

    The host's timers deliver late by up to a millisecond or so. That is no property of the line: by as much as the
    last answer was late, the next request counts as sent earlier, but never into the silence after that answer.
    """

    timing: Timing
    free_at: float = 0.0  # end of the last answer plus t3.5
    late_s: float = 0.0  # how late the host delivered the last answer

    def request(self, arrived: float, count: int) -> float:
        """Return when a request of `count` bytes that came at `arrived` has been heard: its end plus t3.5."""
        return max(arrived - self.late_s, self.free_at) + self.timing.wire_s(count) + self.timing.silence_s

    def answered(self, ideal_end: float, delivered: float) -> None:
        """Note an answer's last bit: when it should have been there, and when it was."""
        self.late_s = max(0.0, delivered - ideal_end)
        self.free_at = ideal_end + self.timing.silence_s


class FaultKind(StrEnum):
    """What can go wrong with an answer."""

    SILENCE = "silence"
    LATE = "late"
    CRC = "crc"
    WRONG_UNIT = "wrong_unit"
    EXCEPTION = "exception"
    TRUNCATED = "truncated"
    NOISE_BEFORE = "noise_before"
    NOISE_AFTER = "noise_after"
    ANY = "any"  # one of the others, drawn anew each time


REAL_KINDS = tuple(kind for kind in FaultKind if kind is not FaultKind.ANY)


@dataclass
class Fault:
    """One fault of one unit: in `share` of its answers, `count` times (None: until healed)."""

    kind: FaultKind
    share: float = 1.0
    count: int | None = None
    late_ms: int = 500
    code: int = 6  # of the exception: 6 is "device busy"

    def draw(self, chance: random.Random) -> FaultKind | None:
        """Whether and how it strikes this time."""
        if self.count == 0 or chance.random() >= self.share:
            return None
        if self.count is not None:
            self.count -= 1
        return chance.choice(REAL_KINDS) if self.kind is FaultKind.ANY else self.kind


@dataclass
class Exchange:
    """One request and what came back; `fault` says what was done to it."""

    unit: int
    request: bytes
    answer: bytes = b""
    fault: FaultKind | None = None
    extra_s: float = field(default=0.0)


def spoil(kind: FaultKind, answer: bytes, chance: random.Random) -> bytes:
    """What is heard of `answer` when `kind` strikes."""
    noise = chance.randbytes(chance.randrange(1, NOISE_BYTES_MAX + 1))
    heard = {
        FaultKind.SILENCE: b"",
        FaultKind.TRUNCATED: answer[: chance.randrange(1, len(answer))],
        FaultKind.NOISE_BEFORE: noise + answer,
        FaultKind.NOISE_AFTER: answer + noise,
    }
    if kind is FaultKind.CRC:
        at = chance.randrange(len(answer))
        return answer[:at] + bytes((answer[at] ^ 1 << chance.randrange(8),)) + answer[at + 1 :]
    if kind is FaultKind.WRONG_UNIT:
        body = bytes((answer[0] % 247 + 1,)) + answer[1:-2]
        return body + crc16(body)
    return heard.get(kind, answer)


def crc16(data: bytes) -> bytes:
    """Modbus CRC in wire order."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc.to_bytes(2, "little")
