"""Right value or no value: whatever happens to an adapter's text or a monitor's bytes on the way."""

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattwire import bms, bms_jbd, elm327, isotp, modbus, obd, vehicle_form, victron
from wattwire.errors import WireError

VEHICLES = {
    path.stem: vehicle_form.load(path.read_text())
    for path in sorted((Path(__file__).parents[1] / "profiles" / "vehicles").glob("*.json"))
    if path.stem != "schema"
}
ROUNDS = 1500


def frames_of(header: str, payload: bytes, pad: int | None) -> list[str]:
    """What an adapter prints of a payload, written independently of the code under test."""
    if len(payload) < 8:
        frames = [bytes([len(payload)]) + payload]
    else:
        frames = [(0x1000 | len(payload)).to_bytes(2, "big") + payload[:6]]
        for number, at in enumerate(range(6, len(payload), 7)):
            frames.append(bytes([0x20 | (number + 1) & 15]) + payload[at : at + 7])
    if pad is not None:
        frames = [frame.ljust(8, bytes([pad])) for frame in frames]
    return [header + frame.hex().upper() for frame in frames]


def random_data(rng: random.Random, size: int) -> bytes:
    return bytes(rng.randrange(1, 255) for _ in range(size))


class Asked:
    """One request of a vehicle with a good answer to it."""

    def __init__(self, rng: random.Random, pad: int | None) -> None:
        self.vehicle = rng.choice(list(VEHICLES.values()))
        self.command = rng.choice(self.vehicle.commands)
        self.answer = self.command.answer or "7E8"
        need = max((signal.bit + signal.bits + 7) // 8 for signal in self.command.signals)
        size = self.command.size or need + rng.choice([0, 0, 3, 20])
        echo = bytes.fromhex(self.command.request)
        self.payload = bytes([echo[0] | 0x40]) + echo[1:] + random_data(rng, size)
        self.lines = frames_of(self.answer, self.payload, pad)

    def values(self, lines: list[str], padded: set[str] | None = None):
        return obd.values([self.command], self.command.request, lines, set() if padded is None else padded)


def drop_line(rng, lines):
    del lines[rng.randrange(len(lines))]


def double_line(rng, lines):
    at = rng.randrange(len(lines))
    lines.insert(rng.randrange(len(lines) + 1), lines[at])


def swap_lines(rng, lines):
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]


def cut_answer(rng, lines):
    at = rng.randrange(len(lines))
    lines[at:] = [lines[at][: rng.randrange(len(lines[at]) + 1)]]


def glue_lines(rng, lines):
    at = rng.randrange(len(lines))
    lines[at : at + 2] = ["".join(lines[at : at + 2])]


def lose_digits(rng, lines):
    at = rng.randrange(len(lines))
    where = rng.randrange(len(lines[at]))
    lines[at] = lines[at][:where] + lines[at][where + rng.randrange(1, 7) :]


def lose_a_chunk(rng, lines):
    """As when one notification of 20 bytes is lost."""
    text = "\r".join(lines)
    at = rng.randrange(len(text))
    lines[:] = [line for line in (text[:at] + text[at + 20 :]).split("\r") if line]


def stain(rng, lines):
    at = rng.randrange(len(lines))
    where = rng.randrange(len(lines[at]))
    lines[at] = lines[at][:where] + rng.choice("GZ?<.:- \ufffd") + lines[at][where + 1 :]


def wrong_head(rng, lines):
    """Another digit in the header, or in the frame's own head."""
    at = rng.randrange(len(lines))
    where = rng.randrange(len(lines[at].rstrip()[: 4 if len(lines[at]) % 2 else 9]))
    lines[at] = lines[at][:where] + rng.choice("0123456789ABCDEF") + lines[at][where + 1 :]


def error_word(rng, lines):
    lines.insert(rng.randrange(len(lines) + 1), rng.choice([word for word, _ in elm327.WORDS]))


def error_within(rng, lines):
    at = rng.randrange(len(lines))
    lines[at] = lines[at][: rng.randrange(len(lines[at]))] + rng.choice(["STOPPED", "<RX ERROR", "BUFFER FULL"])


def other_request(rng, lines):
    lines[rng.randrange(len(lines) + 1) : 0] = ["7EC0462FFFF32AAAAAA"]


FAULTS = [
    drop_line, double_line, swap_lines, cut_answer, glue_lines, lose_digits, lose_a_chunk, stain, wrong_head,
    error_word, error_within, other_request,
]  # fmt: skip


@pytest.mark.parametrize("pad", [0xAA, 0x55, 0xFF])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_answer_gives_its_own_values_or_none(fault: Callable[..., None], pad: int):
    rng = random.Random(f"{fault.__name__} {pad}")
    void = 0
    for _ in range(ROUNDS // 3):
        asked = Asked(rng, pad)
        # A frame that lost as many digits as its padding has cannot be told from one without padding, unless it is
        # known that its sender pads.
        padded = {asked.answer} if fault is lose_digits else set()
        good = asked.values(asked.lines)
        lines = list(asked.lines)
        fault(rng, lines)
        try:
            found = asked.values(lines, padded)
        except WireError:
            void += 1
            continue
        assert found == good, (asked.lines, lines)
    assert void


@pytest.mark.parametrize("fault", FAULTS)
def test_nor_does_that_of_an_ecu_that_never_pads(fault: Callable[..., None]):
    rng = random.Random(fault.__name__)
    for _ in range(ROUNDS // 3):
        asked = Asked(rng, None)
        try:
            good = asked.values(asked.lines)
        except WireError:
            continue  # its last byte looks like padding
        lines = list(asked.lines)
        fault(rng, lines)
        try:
            found = asked.values(lines)
        except WireError:
            continue
        assert found == good, (asked.lines, lines)


@pytest.mark.parametrize("pad", [0x00, 0xAA, None])
def test_a_good_answer_counts_with_echo_spaces_search_and_other_ecus(pad: int | None):
    rng = random.Random(f"good {pad}")
    for _ in range(ROUNDS // 3):
        asked = Asked(rng, pad)
        digits = len(asked.answer)
        try:
            good = asked.values(asked.lines)
        except WireError:
            assert pad is None
            continue
        other = asked.answer[:-1] + ("1" if asked.answer[-1] != "1" else "2")
        if asked.command.answer is None:
            other = "7EF"  # the higher number does not count where the lower answers
        noise = frames_of(other, random_data(rng, rng.choice([3, 9])), pad) if asked.command.answer else []
        lines = list(asked.lines)
        for line in noise:
            lines.insert(rng.randrange(len(lines) + 1), line)
        order = sorted(range(len(noise)), key=lambda index: lines.index(noise[index]))
        if order != list(range(len(noise))):
            continue
        if rng.random() < 0.5:
            lines = [spaced(line, digits) for line in lines]
        lines = [asked.command.request, "SEARCHING...", *lines] if rng.random() < 0.5 else lines
        assert asked.values(lines) == good


def spaced(line: str, digits: int) -> str:
    head = line[:3] if digits == 3 else " ".join(line[at : at + 2] for at in range(0, 8, 2))
    return head + " " + " ".join(line[at : at + 2] for at in range(digits, len(line), 2))


LINES = st.lists(
    st.one_of(
        st.text(max_size=24),
        st.text("0123456789ABCDEF", max_size=24),
        st.binary(min_size=1, max_size=8).map(lambda data: "7EC" + data.hex()),
    ),
    max_size=12,
)


@settings.get_profile("parsers")
@given(st.sampled_from(list(VEHICLES.values())), LINES, st.randoms())
def test_any_lines_give_values_or_a_wire_error(vehicle: obd.Vehicle, lines: list[str], rng: random.Random):
    command = rng.choice(vehicle.commands)
    try:
        found = obd.values([command], command.request, lines, set())
    except WireError:
        return
    assert set(found) == {signal.name for signal in command.signals}


@settings.get_profile("parsers")
@given(st.binary(max_size=600))
def test_any_bytes_are_lines_or_a_wire_error(data: bytes):
    reader = elm327.Reader()
    for at in range(0, len(data), 20):
        lines = reader.feed(data[at : at + 20])
        if lines is not None:
            try:
                isotp.messages(elm327.frames(lines, "0100"), 3, set())
            except WireError:
                continue


@settings.get_profile("parsers")
@given(st.sampled_from(bms.FAMILIES), st.lists(st.binary(max_size=320), max_size=6))
def test_any_notifications_give_points_or_a_wire_error(family: str, pieces: list[bytes]):
    decoder = bms.decoder(family)
    for piece in pieces:
        try:
            points = decoder.feed(piece)
        except WireError:
            continue
        assert points is None or isinstance(points, dict)


def jbd_info(rng: random.Random) -> bytes:
    data = bytearray(random_data(rng, 23 + 2 * 3))
    data[19], data[22] = rng.randrange(101), 3
    return bms_jbd.answer(3, bytes(data))


def daly_answer(rng: random.Random) -> bytes:
    data = bytearray(random_data(rng, 124))
    data[98:102] = bytes((0, rng.randrange(17), 0, rng.randrange(5)))
    return modbus.seal(b"\xd2\x03\x7c" + data)


@pytest.mark.parametrize(("family", "make"), [("jbd", jbd_info), ("daly", daly_answer)])
def test_a_damaged_frame_of_a_battery_monitor_gives_no_wrong_point(family: str, make: Callable[..., bytes]):
    rng = random.Random(family)
    for _ in range(ROUNDS):
        frame = make(rng)
        good = bms.decoder(family).feed(frame)
        assert good
        pieces = [bytearray(frame[at : at + 20]) for at in range(0, len(frame), 20)]
        at = rng.randrange(len(pieces))
        match rng.randrange(5):
            case 0:
                pieces[at][rng.randrange(len(pieces[at]))] ^= 1 << rng.randrange(8)
            case 1:
                del pieces[at]
            case 2:
                pieces.insert(at, pieces[rng.randrange(len(pieces))])
            case 3:
                pieces[at:] = [pieces[at][: rng.randrange(len(pieces[at]))]]
            case 4:
                pieces.insert(at, bytearray(bms.decoder(family).requests()[0]))
        decoder = bms.decoder(family)
        for piece in pieces:
            try:
                found = decoder.feed(bytes(piece))
            except WireError:
                continue
            assert found in (None, good), (frame, pieces)


@settings.get_profile("parsers")
@given(st.binary(max_size=40), st.binary(min_size=16, max_size=16))
def test_any_advert_gives_points_or_a_wire_error(data: bytes, key: bytes):
    for advert in (data, b"\x10\x02\x89\xa3\x02\x00\x00" + key[:1] + data):
        try:
            found = victron.decode(advert, key, lambda _key, block: block[::-1])
        except WireError:
            continue
        assert all(victron.unit(name) for name in found)
    victron.maker_data(data)


@settings.get_profile("parsers")
@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_profile_is_a_vehicle_or_a_wire_error(text: str | bytes):
    with contextlib.suppress(WireError):
        vehicle_form.load(text)
