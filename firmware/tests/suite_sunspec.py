"""What the SunSpec walker promises, and the replay of a profile's frames; runs unchanged on CPython and on MicroPython.

Plain functions and asserts; `test_profile_runtimes.py` runs them on both interpreters.
"""

import json
import struct

from wattwire import profile, sunspec
from wattwire.errors import WireError
from wattwire.modbus import ModbusError, ResponseReader, read_request

ABSENT = ModbusError(2)


def raised(function, *arguments):
    """Return the exception that the call must raise."""
    try:
        function(*arguments)
    except (WireError, ModbusError) as error:
        return error
    raise AssertionError("nothing was refused")


def refused(function, *arguments):
    """Return the reason of the WireError that the call must raise."""
    return raised(function, *arguments).reason


class Device:
    """A register map that answers the walker: absent registers are an Illegal Data Address."""

    def __init__(self, base, models, *, end=True, marker=b"SunS"):
        self.registers = {base: marker[0] << 8 | marker[1], base + 1: marker[2] << 8 | marker[3]}
        at = base + 2
        for model, length in models + ([(0xFFFF, 0)] if end else []):
            self.registers[at] = model
            self.registers[at + 1] = length
            at += 2 + length

    def walk(self, failure=ABSENT, reads_max=400):
        walker = sunspec.Walker()
        for _ in range(reads_max):
            read = walker.next()
            if read is None:
                return walker
            words = [self.registers.get(at) for at in range(read.address, read.address + read.count)]
            if None in words:
                walker.fail(failure)
            else:
                walker.take(struct.pack(">2H", *words))
        raise AssertionError("the walk does not end")


def check_walk():
    for base in (40000, 0, 50000):
        for length in (65, 66):
            for end in (True, False):
                walker = Device(base, [(1, length), (103, 50), (160, 48)], end=end).walk()
                found = [(1, base + 2, length), (103, base + 4 + length, 50), (160, base + 56 + length, 48)]
                assert walker.models == found, (base, length, end)
                assert walker.complete


def check_walk_of_hostile_maps():
    assert Device(40000, [(1, 66)], marker=b"SunX").walk().models == []
    assert len(Device(0, [(7, 0)] * 300).walk().models) == sunspec.MODELS_MAX
    assert Device(50000, [(1, 65535)], end=False).walk().models == []
    wrapped = Device(50000, [(1, 66), (103, 15533)], end=False).walk()
    assert [model.id for model in wrapped.models] == [1]
    assert not wrapped.complete
    zeros = Device(40000, [(1, 66), (0, 0)], end=False).walk()
    assert [model.id for model in zeros.models] == [1]
    assert not zeros.complete
    assert refused(sunspec.Walker().take, b"Sun") == "wrong_length"
    nowhere = sunspec.Walker(())
    assert nowhere.next() is None
    nowhere.fail(ABSENT)
    nowhere.take(b"SunS")
    assert nowhere.next() is None


def check_walk_on_a_bad_line():
    # Silence is tried three times, then taken for a refusal; the map is then not known to be complete.
    walker = Device(50000, [(1, 66), (103, 50)], end=False).walk(WireError("timeout"))
    assert [model.id for model in walker.models] == [1, 103]
    assert not walker.complete
    walker = sunspec.Walker()
    walker.fail(ModbusError(6))
    walker.fail(WireError("bad_crc"))
    assert walker.next() == (3, 40000, 2)
    walker.take(b"SunS")
    walker.fail(ModbusError(6))
    walker.take(b"\x00\x01\x00\x42")
    assert walker.models == [(1, 40002, 66)]


def check_choice_of_model():
    models = Device(40000, [(1, 66), (113, 60), (103, 50), (160, 48), (124, 24), (1, 65), (213, 124)]).walk().models
    assert sunspec.choose(models, "pv").id == 103
    assert sunspec.choose(models[:2], "pv").id == 113
    assert sunspec.choose(models, "grid").id == 213
    assert sunspec.choose(models, "battery").id == 124
    assert sunspec.choose(models, "vehicle") is None
    assert sunspec.choose([], "pv") is None
    assert sunspec.common_of(models, sunspec.choose(models, "grid")).length == 65
    assert sunspec.common_of(models, sunspec.choose(models, "pv")).length == 66
    assert sunspec.common_of(models[1:], models[1]) is None


def replay(profile_text, frames_text):
    """Check every recorded exchange of a profile: the planner asks it, the reader takes it, the values come out."""
    frames = json.loads(frames_text)
    for case in frames["cases"]:
        loaded = profile.load(profile_text, case.get("role"))
        assert frames["profile"] == loaded.id
        if loaded.walk:
            replay_walk(case)
            continue
        bound = profile.bind(loaded, case["base"], case["length"])
        names = list(case["values"])
        texts = not [name for name in names if name not in [item.name for item in bound.identity]]
        reads = profile.plan_identity(bound) if texts else profile.plan(bound, names)
        asked = [read_request(case["unit"], *read).hex() for read in reads]
        assert asked == [pair[0] for pair in case["exchanges"]], (loaded.id, case["what"], reads)
        answers = [(read, _answer(*case["exchanges"][index], loaded.manner.width)) for index, read in enumerate(reads)]
        found = profile.identify(bound, answers) if texts else profile.decode(bound, names, answers)
        for name, value in case["values"].items():
            expected = tuple(value) if isinstance(value, list) else value
            assert found[name] == expected, (loaded.id, case["what"], name, found[name])


def replay_walk(case):
    """Check a walk over recorded models; what is chosen for each role is the gateway's test."""
    walker = sunspec.Walker()
    for request, answer in case["exchanges"]:
        assert read_request(case["unit"], *walker.next()).hex() == request, case["what"]
        data = _answer(request, answer, 2)
        if data is None:
            walker.fail(ModbusError(2))
        else:
            walker.take(data)
    assert walker.next() is None
    assert walker.complete
    assert [list(model) for model in walker.models] == case["models"]


def _answer(request, answer, width):
    try:
        return ResponseReader(bytes.fromhex(request), width).feed(bytes.fromhex(answer))
    except ModbusError:
        return None


CHECKS = [name for name in sorted(globals()) if name.startswith("check_")]
