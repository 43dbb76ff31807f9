"""Lines to devices: every transport, and what comes late, damaged, from the wrong one, or not at all."""

import asyncio
import os
import pty
import runpy
import struct
import tty
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer

from wattness.devices import Address, parse_address
from wattness.modbus import line as lines
from wattness.modbus.line import Line, SilentError, UnreachableError
from wattness.modbus.recent import BLOCKS_MAX, Recent
from wattwire.errors import WireError
from wattwire.modbus import ModbusError, seal
from wattwire.plan import Read

WORLD = runpy.run_path(str(Path(__file__).with_name("own_world.py")))
FakeMeter, served = WORLD["FakeMeter"], WORLD["served"]
POWER = Read(4, 52, 2)
VOLTAGE, ENERGY = Read(4, 0, 2), Read(4, 72, 2)
EXPECTED = struct.pack(">f", 1234.5)


@asynccontextmanager
async def rtu_over_tcp(*fakes):
    server = ModbusTcpServer([fake.device() for fake in fakes], framer=FramerType.RTU, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        yield f"rtu+tcp://127.0.0.1:{server.transport.sockets[0].getsockname()[1]}"
    finally:
        await server.shutdown()


@asynccontextmanager
async def serial(*fakes):
    """A serial cable: two pseudo terminals, each byte of one goes to the other."""
    ends = [pty.openpty() for _ in range(2)]
    loop = asyncio.get_running_loop()
    for master, slave in ends:
        tty.setraw(slave)
        os.set_blocking(master, False)
    for (one, _), (other, _) in (ends, ends[::-1]):
        loop.add_reader(one, lambda one=one, other=other: os.write(other, os.read(one, 4096)))
    names = [os.ttyname(slave) for _, slave in ends]
    server = ModbusSerialServer([fake.device() for fake in fakes], port=names[0], baudrate=115200)
    await server.serve_forever(background=True)
    try:
        yield f"serial://{names[1]}?baud=115200"
    finally:
        await server.shutdown()
        for master, slave in ends:
            loop.remove_reader(master)
            os.close(master)
            os.close(slave)


@asynccontextmanager
async def tcp(*fakes):
    async with served(*fakes) as port:
        yield f"tcp://127.0.0.1:{port}"


@asynccontextmanager
async def lined(url):
    found = Line(parse_address(url, "url"))
    try:
        yield found
    finally:
        found.close()


@asynccontextmanager
async def scripted(answer):
    """A TCP device that answers request number n with `answer(n, request)`: bytes, or None for silence."""
    count = 0
    connections = 0

    async def serve(reader, writer):
        nonlocal count, connections
        connections += 1
        try:
            while request := await reader.read(1024):
                count += 1
                found = await answer(count, request)
                if found is None:
                    continue
                if found == b"":
                    break
                writer.write(found)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], lambda: connections
    finally:
        server.close()


def mbap(request, registers, *, unit=None, fc=None, shift=0):
    """Return an answer to a request with these register bytes, and whatever is to be wrong with it."""
    transaction = (int.from_bytes(request[:2], "big") + shift) & 0xFFFF
    pdu = bytes((request[7] if fc is None else fc, len(registers))) + registers
    head = struct.pack(">HHHB", transaction, 0, len(pdu) + 1, request[6] if unit is None else unit)
    return head + pdu


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Devices of these tests answer at once or never."""
    monkeypatch.setattr(lines, "TCP_LEAST_S", 0.1)
    monkeypatch.setattr(lines, "TCP_FIRST_S", 0.3)
    monkeypatch.setattr(lines, "TCP_MOST_S", 0.3)
    monkeypatch.setattr(lines, "RECONNECT_S", 0.05)


@pytest.mark.parametrize("transport", [tcp, rtu_over_tcp, serial])
async def test_every_transport_reads_and_refuses(transport):
    meter = FakeMeter()
    async with transport(meter) as url, lined(url) as line:
        assert await line.read(1, POWER) == EXPECTED
        assert await line.read(1, Read(4, 0, 80)) != b""
        with pytest.raises(ModbusError):
            await line.read(1, Read(4, 500, 10))
        assert await line.exchange(1, b"\x06\x00\x64\x00\x07") == b"\x06\x00\x64\x00\x07"
        assert [write[1] for write in meter.writes] == [100]
        assert line.recent.find(1, Read(4, 53, 1), 0) == EXPECTED[2:]


@pytest.mark.parametrize("transport", [tcp, rtu_over_tcp, serial])
async def test_a_unit_that_is_silent_does_not_spoil_the_others(transport):
    loud, silent = FakeMeter(1), FakeMeter(2)
    silent.silent = True
    async with transport(loud, silent) as url, lined(url) as line:
        assert await line.read(1, POWER) == EXPECTED
        for _ in range(3):
            with pytest.raises(SilentError, match="unit 2 did not answer"):
                await line.read(2, POWER)
            assert await line.read(1, POWER) == EXPECTED


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda request: mbap(request, EXPECTED, unit=9), SilentError),
        (lambda request: mbap(request, EXPECTED, fc=3), WireError),
        (lambda request: mbap(request, EXPECTED[:2]), WireError),
        (lambda request: mbap(request, EXPECTED * 2), WireError),
        (lambda request: mbap(request, EXPECTED, shift=1), (WireError, SilentError)),
        (lambda request: mbap(request, EXPECTED)[:9], SilentError),
        (lambda _: b"\xff" * 40, (WireError, SilentError)),
        (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", (WireError, SilentError)),
        (lambda _: b"", SilentError),
    ],
)
async def test_bad_answers_are_errors_and_the_next_question_gets_its_own(spoil, error):
    async def answer(count, request):
        return spoil(request) if count == 1 else mbap(request, EXPECTED)

    async with scripted(answer) as (port, _), lined(f"tcp://127.0.0.1:{port}") as line:
        with pytest.raises(error):
            await line.read(1, POWER)
        for _ in range(3):
            assert await line.read(1, POWER) == EXPECTED


async def test_a_late_answer_is_not_the_next_ones():
    old, new = struct.pack(">f", 1.0), struct.pack(">f", 2.0)

    async def answer(count, request):
        if count == 1:
            await asyncio.sleep(0.4)
            return mbap(request, old)
        return mbap(request, new)

    async with scripted(answer) as (port, _), lined(f"tcp://127.0.0.1:{port}") as line:
        with pytest.raises(SilentError):
            await line.read(1, POWER)
        assert await line.read(1, POWER) == new
        assert await line.read(1, POWER) == new


async def test_a_late_answer_on_a_serial_line_is_waited_out():
    old = bytes((1, 4, 4)) + struct.pack(">f", 1.0)
    new = bytes((1, 4, 4)) + struct.pack(">f", 2.0)

    async def answer(count, request):
        if count == 1:
            await asyncio.sleep(0.4)
            return seal(old)
        return seal(new)

    async with scripted(answer) as (port, connections), lined(f"rtu+tcp://127.0.0.1:{port}") as line:
        with pytest.raises(SilentError):
            await line.read(1, POWER)
        assert await line.read(1, POWER) == new[3:]
        assert connections() == 2  # the line that owes an answer is left


async def test_a_very_late_answer_on_a_serial_line_is_no_other_registers_value():
    """The device owes the voltage; the line may ask for the energy no sooner than nobody waits for that any more."""
    voltage, energy = (seal(bytes((1, 4, 4)) + struct.pack(">f", value)) for value in (230.0, 1234.5))
    master, slave = pty.openpty()
    tty.setraw(slave)
    loop = asyncio.get_running_loop()
    asked = []
    owed = asyncio.Event()

    def answer():
        asked.append(os.read(master, 64))
        if len(asked) <= 3:
            os.write(master, voltage)
        elif len(asked) == 5:
            os.write(master, energy if owed.is_set() else voltage)

    def pay():
        owed.set()
        os.write(master, voltage)

    loop.add_reader(master, answer)
    try:
        async with lined(f"serial://{os.ttyname(slave)}?baud=115200") as line:
            for _ in range(3):
                await line.read(1, VOLTAGE)
            with pytest.raises(SilentError):
                await line.read(1, VOLTAGE)
            loop.call_later(0.4, pay)
            assert await line.read(1, ENERGY) == energy[3:-2]
    finally:
        loop.remove_reader(master)
        os.close(master)
        os.close(slave)


async def test_nobody_there_is_said_at_once_and_not_asked_again_at_once(monkeypatch):
    monkeypatch.setattr(lines, "RECONNECT_S", 60)
    async with tcp() as url:
        pass
    async with lined(url) as line:
        with pytest.raises(UnreachableError, match="cannot be reached"):
            await line.read(1, POWER)
        with pytest.raises(UnreachableError, match="a moment ago"):
            await line.read(1, POWER)
    async with lined("serial:///dev/there-is-no-such-port") as line:
        with pytest.raises(UnreachableError, match="cannot be reached"):
            await line.read(1, POWER)


async def test_a_connection_that_ends_ends_the_wait(monkeypatch):
    monkeypatch.setattr(lines, "TCP_LEAST_S", 50)
    monkeypatch.setattr(lines, "TCP_FIRST_S", 50)
    monkeypatch.setattr(lines, "TCP_MOST_S", 50)

    async def answer(count, request):
        return b"" if count == 1 else mbap(request, EXPECTED)

    async with scripted(answer) as (port, _), lined(f"tcp://127.0.0.1:{port}") as line:
        with pytest.raises(SilentError):
            await line.read(1, POWER)
        assert await line.read(1, POWER) == EXPECTED


async def test_one_question_at_a_time():
    busy = 0

    async def answer(_, request):
        nonlocal busy
        busy += 1
        assert busy == 1
        await asyncio.sleep(0.01)
        busy -= 1
        return mbap(request, EXPECTED)

    async with scripted(answer) as (port, connections), lined(f"tcp://127.0.0.1:{port}") as line:
        assert await asyncio.gather(*(line.read(1, POWER) for _ in range(10))) == [EXPECTED] * 10
        assert connections() == 1


async def test_who_gives_up_leaves_no_answer_behind():
    async def answer(count, request):
        if count == 1:
            await asyncio.sleep(0.15)
        return mbap(request, struct.pack(">f", count))

    async with scripted(answer) as (port, _), lined(f"tcp://127.0.0.1:{port}") as line:
        asking = asyncio.create_task(line.read(1, POWER))
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.wait([asking])
        assert await line.read(1, POWER) == struct.pack(">f", 2)


@given(st.binary(max_size=260))
@settings(max_examples=150, deadline=None)
def test_any_request_is_sent_as_it_is_or_refused(pdu):
    try:
        request = lines._request(1, pdu)
    except ModbusError:
        pass
    else:
        assert bytes((request.function_code,)) + request.encode() == pdu


def test_recent_answers_whole_fresh_and_from_one_read():
    recent = Recent()
    recent.keep(1, Read(3, 100, 4), b"aabbccdd", 5.0)
    recent.keep(1, Read(3, 104, 2), b"eeff", 6.0)
    assert recent.find(1, Read(3, 101, 2), 5.0) == b"bbcc"
    assert recent.find(1, Read(3, 103, 2), 0) is None  # of two reads
    assert recent.find(1, Read(4, 101, 2), 0) is None
    assert recent.find(2, Read(3, 101, 2), 0) is None
    assert recent.find(1, Read(3, 101, 2), 5.1) is None
    recent.keep(1, Read(3, 100, 4), b"AABBCCDD", 7.0)
    assert recent.find(1, Read(3, 101, 1), 5.0) == b"BB"
    recent.keep(1, Read(3, 200, 2), b"12345678", 7.0)  # four bytes a register: nobody else's business
    assert recent.find(1, Read(3, 200, 1), 0) is None
    recent.forget(1)
    assert recent.find(1, Read(3, 101, 1), 0) is None
    for number in range(2 * BLOCKS_MAX):
        recent.keep(1, Read(3, number, 1), b"xx", number)
    assert len(recent._blocks) == BLOCKS_MAX


def test_a_serial_lines_characters():
    assert Address("serial", "x", 0, 9600, "N", 1).char_bits == 10
    assert Address("serial", "x", 0, 9600, "E", 1).char_bits == 11
