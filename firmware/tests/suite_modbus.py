"""What modbus promises; runs unchanged on CPython and on MicroPython.

Plain functions and asserts; `test_profile_runtimes.py` runs them on both interpreters.
"""

from wattwire import modbus
from wattwire.errors import WireError
from wattwire.modbus import Drain, ModbusError, ResponseReader, read_request, seal

REQUEST = read_request(1, 4, 0, 2)
ANSWER = seal(b"\x01\x04\x04\x43\x66\x1a\x9a")


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


def feed_bytewise(reader, data):
    for byte in data:
        reader.feed(bytes((byte,)))


def check_crc():
    assert modbus.crc16(b"123456789") == 0x4B37
    assert modbus.crc16(b"") == 0xFFFF


def check_request():
    assert read_request(1, 3, 0x6B, 3) == b"\x01\x03\x00\x6b\x00\x03\x74\x17"
    assert modbus.parse_request(read_request(247, 4, 65535, 1)) == (247, 4, 65535, 1)
    for bad in (
        (0, 3, 0, 1),
        (248, 3, 0, 1),
        (1, 6, 0, 1),
        (1, 3, 0, 0),
        (1, 3, 0, 126),
        (1, 3, 65535, 2),
        (1, 3, -1, 1),
    ):
        assert refused(read_request, *bad) == "bad_range", bad
    assert refused(modbus.parse_request, REQUEST[:7]) == "truncated"
    assert refused(modbus.parse_request, REQUEST + b"\x00") == "trailing_bytes"
    assert refused(modbus.parse_request, REQUEST[:7] + b"\x00") == "bad_crc"


def check_answer_in_any_pieces():
    for size in range(1, len(ANSWER) + 1):
        reader = ResponseReader(REQUEST)
        pieces = [ANSWER[at : at + size] for at in range(0, len(ANSWER), size)]
        found = [reader.feed(piece) for piece in pieces]
        assert found[-1] == b"\x43\x66\x1a\x9a"
        assert found[:-1] == [None] * (len(pieces) - 1)
        assert reader.missing == 0
        assert refused(reader.feed, b"") == "trailing_bytes"


def check_answer_says_what_is_missing():
    reader = ResponseReader(REQUEST)
    assert reader.missing == 9
    assert reader.feed(b"") is None
    reader.feed(ANSWER[:1])
    assert reader.missing == 8
    reader.feed(b"\x84")
    assert reader.missing == 3


def check_bytes_after_a_whole_answer_do_not_count():
    assert ResponseReader(REQUEST).feed(ANSWER + b"\x00\xff" * 200) == b"\x43\x66\x1a\x9a"


def check_wrong_answers():
    for answer, reason in (
        (seal(b"\x02\x04\x04\x43\x66\x1a\x9a"), "wrong_unit"),
        (seal(b"\x01\x03\x04\x43\x66\x1a\x9a"), "wrong_function"),
        (seal(b"\x01\x83\x02"), "wrong_function"),
        (seal(b"\x01\x04\x02\x43\x66"), "wrong_length"),
        (seal(b"\x01\x04\x06\x43\x66\x1a\x9a\x00\x00"), "wrong_length"),
        (ANSWER[:-1] + b"\x00", "bad_crc"),
        (b"\x00" + ANSWER, "wrong_unit"),
        (b"\x01" + ANSWER, "wrong_function"),
        (REQUEST, "wrong_length"),  # an echo
    ):
        assert refused(ResponseReader(REQUEST).feed, answer) == reason, reason
        reader = ResponseReader(REQUEST)
        assert refused(feed_bytewise, reader, answer) == reason, reason
        assert refused(reader.feed, ANSWER) == "trailing_bytes"


def check_refusal_by_device():
    for code, name in ((2, "illegal_data_address"), (6, "device_busy"), (99, "unknown")):
        error = raised(ResponseReader(REQUEST).feed, seal(bytes((1, 0x84, code))))
        assert (error.code, error.name) == (code, name)
    assert refused(ResponseReader(REQUEST).feed, b"\x01\x84\x02\x00\x00") == "bad_crc"


def check_every_flipped_bit_is_refused():
    for bit in range(8 * len(ANSWER)):
        flipped = bytearray(ANSWER)
        flipped[bit // 8] ^= 1 << (bit % 8)
        assert isinstance(raised(ResponseReader(REQUEST).feed, bytes(flipped)), WireError)


def check_drain():
    drain = Drain(wait_us=200000, silence_us=3646)
    assert not drain.step(100000, 0)
    assert not drain.step(99999, 5)
    assert not drain.step(1000, 4)
    assert not drain.step(3000, 0)
    assert drain.step(1000, 0)
    assert Drain(0, 1750).step(1750, 0)
    babble = Drain(1000, 1750, limit_us=50000)
    assert refused(lambda: [babble.step(1000, 1) for _ in range(100)]) == "line_busy"


def check_timing():
    for count, baud, rate in (  # polls per second by the physics of the bus
        (20, 9600, 16.0),
        (80, 9600, 5.33),
        (50, 9600, 8.0),
        (52, 9600, 7.74),
        (2, 9600, 40),
        (10, 9600, 24.0),
        (107, 9600, 4.1),
        (125, 9600, 3.55),
        (20, 2400, 4.0),
        (20, 19200, 32.0),
        (20, 38400, 57.8),
        (107, 115200, 43),
    ):
        found = 1000000 / modbus.exchange_us(count, baud)
        assert abs(found - rate) <= 0.01 * rate, (count, baud, found)
    assert abs(1000000 / modbus.exchange_us(20, 9600, 11) - 14.5) < 0.1
    assert [modbus.hole_registers(9600, us) for us in (0, 25000, 50000)] == [10, 22, 34]
    assert [modbus.hole_registers(19200, us) for us in (0, 25000, 50000)] == [10, 34, 58]
    assert modbus.silence_us(19201) == modbus.silence_us(115200) == 1750
    assert modbus.silence_us(9600) == 3646
    assert modbus.silence_us(9600, 11) == 4011
    assert modbus.char_us(9600) == 1042


CHECKS = [name for name in sorted(globals()) if name.startswith("check_")]
