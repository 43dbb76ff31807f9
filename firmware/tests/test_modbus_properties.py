"""Any bytes into the Modbus reader and the SunSpec walker give a value or an error, and never a wrong value."""

import random
import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadHoldingRegistersResponse

from wattwire.errors import WireError
from wattwire.modbus import ModbusError, ResponseReader, crc16, parse_request, read_request, seal
from wattwire.plan import coalesce
from wattwire.sunspec import MODELS_MAX, Walker, choose, common_of

PYMODBUS = FramerRTU(DecodePDU(is_server=True))
UNITS = st.integers(1, 247)
REGISTERS = st.lists(st.integers(0, 65535), min_size=1, max_size=125)


def requests():
    return st.builds(
        lambda unit, fc, address, count: read_request(unit, fc, min(address, 65536 - count), count),
        UNITS,
        st.sampled_from([3, 4]),
        st.integers(0, 65535),
        st.integers(1, 125),
    )


@settings.get_profile("parsers")
@given(requests(), st.lists(st.binary(max_size=300), max_size=8))
def test_any_bytes_give_registers_or_an_error(request: bytes, pieces: list[bytes]):
    reader = ResponseReader(request)
    for piece in pieces:
        before = reader.missing
        try:
            data = reader.feed(piece)
        except (WireError, ModbusError):
            assert reader.missing == 0
            return
        if data is not None:
            assert len(data) == 2 * parse_request(request).count
            return
        assert reader.missing <= before
        assert reader.missing > 0


@given(requests(), st.data())
def test_a_good_answer_comes_through_in_any_pieces(request: bytes, data: st.DataObject):
    asked = parse_request(request)
    registers = data.draw(st.binary(min_size=2 * asked.count, max_size=2 * asked.count))
    answer = seal(bytes((asked.unit, asked.fc, 2 * asked.count)) + registers)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=6)))
    reader = ResponseReader(request)
    pieces = [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    found = [piece for piece in map(reader.feed, [piece for piece in pieces if piece]) if piece is not None]
    assert found == [registers]


@given(requests(), requests(), st.data())
def test_a_late_answer_is_not_this_requests(request: bytes, earlier: bytes, data: st.DataObject):
    asked, before = parse_request(request), parse_request(earlier)
    registers = data.draw(st.binary(min_size=2 * before.count, max_size=2 * before.count))
    late = seal(bytes((before.unit, before.fc, 2 * before.count)) + registers)
    try:
        found = ResponseReader(request).feed(late)
    except WireError:
        return
    # Only what bytes cannot tell apart may pass; the caller's Drain keeps that from happening.
    assert (asked.unit, asked.fc, asked.count) == (before.unit, before.fc, before.count)
    assert found == registers


@given(UNITS, st.integers(0, 65411), REGISTERS)
def test_frames_agree_with_pymodbus(unit: int, address: int, registers: list[int]):
    request = read_request(unit, 3, address, len(registers))
    theirs = ReadHoldingRegistersRequest(address=address, count=len(registers), dev_id=unit)
    assert PYMODBUS.buildFrame(theirs) == request
    answer = PYMODBUS.buildFrame(ReadHoldingRegistersResponse(registers=registers, dev_id=unit))
    assert ResponseReader(request).feed(answer) == struct.pack(f">{len(registers)}H", *registers)


@given(st.binary(max_size=300))
def test_crc_agrees_with_pymodbus(data: bytes):
    theirs = FramerRTU.compute_CRC(data)
    assert crc16(data) in {theirs, (theirs & 0xFF) << 8 | theirs >> 8}
    assert crc16(seal(data)) == 0


def test_noise_on_the_bus_gives_no_wrong_value():
    """20,000 answers with one byte in a hundred corrupted: whatever is accepted is what was sent."""
    chance = random.Random(1)
    request = read_request(1, 4, 0, 20)
    accepted = 0
    for _ in range(20_000):
        registers = chance.randbytes(40)
        answer = bytearray(seal(b"\x01\x04\x28" + registers))
        for at in range(len(answer)):
            if chance.random() < 0.01:
                answer[at] = chance.randrange(256)
        try:
            found = ResponseReader(request).feed(bytes(answer))
        except (WireError, ModbusError):
            continue
        if found is not None:
            accepted += 1
            assert found == registers
    assert accepted > 10_000


@given(
    st.lists(st.tuples(st.sampled_from([3, 4]), st.integers(0, 300), st.integers(1, 60)), max_size=30),
    st.integers(1, 125),
    st.integers(0, 60),
)
def test_a_plan_holds_every_span_that_fits(spans: list[tuple[int, int, int]], max_registers: int, hole: int):
    wanted = [(fc, first, first + size) for fc, first, size in spans]
    reads = coalesce(wanted, max_registers, hole)
    assert reads == sorted(reads)
    assert all(1 <= read.count <= max_registers for read in reads)
    for fc, first, end in wanted:
        held = [read for read in reads if read.fc == fc and read.address <= first and end <= read.address + read.count]
        assert bool(held) == (end - first <= max_registers)


@settings.get_profile("parsers")
@given(st.lists(st.one_of(st.binary(min_size=4, max_size=4), st.integers(0, 12), st.just(b"SunS")), max_size=120))
def test_any_map_ends_the_walk(events: list[bytes | int]):
    walker = Walker()
    for event in events:
        read = walker.next()
        if read is None:
            break
        assert 0 <= read.address <= 65534
        if isinstance(event, int):
            walker.fail(ModbusError(event) if event else WireError("timeout"))
        else:
            walker.take(event)
    assert len(walker.models) <= MODELS_MAX
    for role in ("pv", "grid", "load", "battery", "charger", "vehicle"):
        chosen = choose(walker.models, role)
        if chosen is not None:
            assert chosen.base + 2 + chosen.length <= 65536
            common_of(walker.models, chosen)


@settings.get_profile("parsers")
@given(st.binary(min_size=2, max_size=400))
def test_any_device_is_walked_in_bounded_reads(content: bytes):
    walker = Walker()
    for _ in range(MODELS_MAX + 4):
        read = walker.next()
        if read is None:
            return
        at = 2 * read.address % len(content)
        walker.take((b"SunS" if read.address in {0, 40000, 50000} else content[at:] + content)[:4])
    raise AssertionError("the walk does not end")
