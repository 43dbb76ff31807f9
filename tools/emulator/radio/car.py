"""A car on its CAN bus: ECUs that answer diagnostic requests in ISO-TP frames, awake or asleep; an own work."""

from collections.abc import Callable
from dataclasses import dataclass, field

FUNCTIONAL = ("7DF", "18DB33F1")
NOT_SUPPORTED = 0x12
PENDING = 0x78
AUTOMATIC = 0x7E0, 0x7E7  # headers to which an adapter sends flow control without being told

Answer = bytes | Callable[[], bytes]


@dataclass
class Ecu:
    """One control unit; `data` is what it answers behind the identifier, by request in hex."""

    header: str
    answer: str
    data: dict[str, Answer] = field(default_factory=dict)
    pad: int | None = 0xAA
    functional: bool = False  # it listens to requests for all
    pending: int = 0  # how often it says "wait" before an answer

    def payload(self, request: bytes) -> bytes:
        """Return the answer to one request, positive or negative."""
        if request[0] == 0x01:
            return self._current(request)
        known = self.data.get(request.hex().upper())
        if known is None:
            return bytes([0x7F, request[0], NOT_SUPPORTED])
        return bytes([request[0] | 0x40]) + request[1:] + _value(known)

    def _current(self, request: bytes) -> bytes:
        """Answer several PIDs at once; what is not supported is left out, and nothing is said if nothing is left."""
        found = b""
        for pid in request[1:]:
            known = self.data.get(f"01{pid:02X}")
            if known is not None:
                found += bytes([pid]) + _value(known)
        return b"\x41" + found if found else b""

    def frames(self, payload: bytes) -> list[bytes]:
        """Return a payload as CAN frames, padded as this ECU does it."""
        if len(payload) < 8:
            frames = [bytes([len(payload)]) + payload]
        else:
            frames = [bytes([0x10 | len(payload) >> 8, len(payload) & 0xFF]) + payload[:6]]
            rest = payload[6:]
            frames += [bytes([0x20 | (at // 7 + 1) % 16]) + rest[at : at + 7] for at in range(0, len(rest), 7)]
        return frames if self.pad is None else [frame.ljust(8, bytes([self.pad])) for frame in frames]


def _value(known: Answer) -> bytes:
    return known if isinstance(known, bytes) else known()


@dataclass
class Car:
    """The bus; `protocol` is the adapter's number for it, `millivolts` its 12-V battery."""

    ecus: list[Ecu]
    protocol: str = "6"
    awake: bool = True
    millivolts: int = 14_100
    chatters: bool = False  # while awake, its ECUs talk to each other where the socket hears it
    requests: int = 0  # that went out on the bus, whether anybody heard them

    def ask(self, header: str, request: bytes, *, flow_control: bool) -> list[tuple[str, bytes]]:
        """Send a request; return (header, frame) of what comes back, in the order of the bus."""
        self.requests += 1
        if not self.awake:
            return []
        talks: list[list[tuple[str, bytes]]] = []
        for ecu in self.ecus:
            if ecu.header != header and not (header in FUNCTIONAL and ecu.functional):
                continue
            payload = ecu.payload(request)
            if not payload or (header in FUNCTIONAL and payload[0] == 0x7F):
                continue
            waits = [bytes([0x7F, request[0], PENDING])] * ecu.pending
            frames = [frame for message in [*waits, payload] for frame in ecu.frames(message)]
            if not flow_control:
                frames = _until_flow_control(frames)
            talks.append([(ecu.answer, frame) for frame in frames])
        return _interleaved(talks)


def _until_flow_control(frames: list[bytes]) -> list[bytes]:
    """Return what an ECU sends to somebody who never says "go on"."""
    first = next((at for at, frame in enumerate(frames) if frame[0] >> 4 == 1), len(frames))
    return frames[: first + 1]


def _interleaved(talks: list[list[tuple[str, bytes]]]) -> list[tuple[str, bytes]]:
    """Mix what several ECUs say at once: one frame of each in turn."""
    mixed = []
    for turn in range(max((len(talk) for talk in talks), default=0)):
        mixed += [talk[turn] for talk in talks if turn < len(talk)]
    return mixed


def default_flow_control(header: str) -> bool:
    """Tell whether an adapter sends flow control for this header by itself."""
    return header in FUNCTIONAL or (len(header) == 3 and AUTOMATIC[0] <= int(header, 16) <= AUTOMATIC[1])
