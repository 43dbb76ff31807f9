"""A noisy line in a seeded world: damaged, lost, added and late bytes both ways, and not one wrong value."""

import json
import random
from pathlib import Path
from typing import NamedTuple

import pytest

from wattwire import modbus, plan, profile
from wattwire.errors import WireError
from wattwire.pace import Pace
from wattwire.plan import Read

PROFILES = Path(__file__).resolve().parents[1] / "profiles"
BAUD = 9600
CORRUPTED = 0.01  # of all bytes
LATE = 0.01  # of all answers, later than they are waited for
UNIT = 3


class Counts(NamedTuple):
    """What became of the frames, and how many values were accepted that the device did not have."""

    frames: int
    accepted: int
    wrong: int


class Device:
    """Registers that change from one read to the next; it answers good requests of its own unit."""

    def __init__(self, chance: random.Random):
        self.chance = chance
        self.base = 0

    def register(self, address: int) -> int:
        return (address * 2654435761 + self.base) >> 3 & 0xFFFF

    def data(self, read: Read) -> bytes:
        return b"".join(self.register(read.address + at).to_bytes(2, "big") for at in range(read.count))

    def answer(self, heard: bytes) -> bytes:
        try:
            request = modbus.parse_request(heard)
        except WireError:
            return b""
        if request.unit != UNIT:
            return b""
        data = self.data(Read(request.fc, request.address, request.count))
        return bytes(modbus.seal(bytes((request.unit, request.fc, len(data))) + data))


def spoilt(data: bytes, chance: random.Random) -> bytes:
    """Return what is heard of `data`: one byte in a hundred has other bits, is lost, or is followed by another."""
    hits = {at for at in range(len(data)) if chance.random() < CORRUPTED}
    if not hits:
        return data
    heard = bytearray()
    for at, byte in enumerate(data):
        kind = chance.random() if at in hits else 1
        if kind == 1:
            heard.append(byte)
        elif kind < 0.4:
            heard.append(byte ^ 1 << chance.randrange(8))
        elif kind < 0.8:
            heard.append(chance.randrange(256))
        elif kind < 0.9:
            heard += bytes((byte, chance.randrange(256)))
    return bytes(heard)


class Line:
    """The line as the board's bus uses it: an answer that comes too late is on it when the next request would be."""

    def __init__(self, device: Device, chance: random.Random):
        self.device = device
        self.chance = chance
        self.pending = b""  # what comes after the time-out
        self.frames = 0

    def exchange(self, read: Read, pace: Pace) -> bytes | None:
        """Return the registers, None after an error; obeys the three rules of `modbus`."""
        request = modbus.read_request(UNIT, read.fc, read.address, read.count)
        reader = modbus.ResponseReader(request)
        wire_us = modbus.wire_us(read.count, BAUD)
        response_us = pace.response_us(wire_us)
        self.frames += 1
        heard = spoilt(self.device.answer(spoilt(request, self.chance)), self.chance)
        if heard and self.chance.random() < LATE:
            heard, self.pending = b"", heard
        try:
            cut = self.chance.randrange(len(heard) + 1)
            data: bytes | None = reader.feed(heard[:cut]) or reader.feed(heard[cut:])
        except modbus.ModbusError:
            return None
        except WireError as error:
            pace.garbled()
            self._settle(0 if error.reason == "bad_crc" else response_us, response_us)
            return None
        if data is None:
            pace.silent()
            self._settle(response_us, response_us)
        else:
            pace.answered(25000)
        return data

    def _settle(self, wait_us: int, response_us: int) -> None:
        drain = modbus.Drain(wait_us, modbus.silence_us(BAUD))
        late_us = response_us // 2
        while True:
            late_us -= 2000
            received = len(self.pending) if late_us <= 0 else 0
            if late_us <= 0:
                self.pending = b""
            if drain.step(2000, received):
                return


def simulate(seed: int, frames: int, name: str = "eastron_sdm630") -> Counts:
    chance = random.Random(seed)
    form = json.loads((PROFILES / f"{name}.json").read_text())
    bound = profile.bind(profile.load(json.dumps(form)))
    names = bound.default
    device = Device(chance)
    line, pace = Line(device, chance), Pace(bound.manner)
    accepted = wrong = 0
    while line.frames < frames:
        most = plan.NOISY_REGISTERS if pace.is_noisy else 125
        for read in profile.plan(bound, names, most=most):
            device.base = chance.randrange(1 << 40)
            data = line.exchange(read, pace)
            if data is None:
                continue
            accepted += 1
            truth = device.data(read)
            if data != truth:
                values = [profile.decode(bound, names, [(read, heard)]) for heard in (data, truth)]
                wrong += sum(values[0][each] != values[1][each] for each in names)
    return Counts(line.frames, accepted, wrong)


@pytest.mark.parametrize("seed", range(4))
def test_no_wrong_value_is_accepted(seed: int):
    counts = simulate(seed, 5000)
    assert counts.wrong == 0
    assert counts.accepted > counts.frames // 2, "most short answers come through"


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [100, 101])
def test_no_wrong_value_is_accepted_in_a_million_frames(seed: int):
    counts = simulate(seed, 1_000_000)
    assert counts.wrong == 0
    assert counts.accepted > counts.frames // 2
