"""The meter bus: a real Modbus client reads the site's values, and every fault on demand."""

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from civilclock import Clock
from emulator.bus import Bus
from emulator.errors import EmulatorError
from emulator.line import REAL_KINDS, Fault, FaultKind, crc16
from emulator.meters import SUNSPEC_BASE
from emulator.site import GOLDEN_START_MS, HomeSite, PvSite
from emulator.wiring import wire
from wattwire import modbus
from wattwire.errors import WireError

WIRING = ("1:sdm120:golden.pv", "2:sdm630:home.grid", "3:sunspec_inverter:home.pv", "4:sunspec_meter:home.grid")
PATIENCE_S = 5.0
QUIET_S = 0.15  # how long a silence is listened to: several times the turnaround


class StoppedClock(Clock):
    """Civil time that stands still, so that what is read can be told beforehand."""

    def now_ms(self) -> int:
        """The good hour."""
        return GOLDEN_START_MS


class Client:
    """A Modbus master as the board is one: raw bytes out, raw bytes in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def read(self, unit: int, address: int, count: int, code: int = 4) -> bytes:
        """The register bytes of one answer."""
        request = modbus.read_request(unit, code, address, count)
        self.writer.write(request)
        answer = modbus.ResponseReader(request)
        while True:
            async with asyncio.timeout(PATIENCE_S):
                data = await self.reader.read(256)
            if (registers := answer.feed(data)) is not None:
                return registers

    async def raw(self, request: bytes, wait_s: float = QUIET_S) -> bytes:
        """Everything that is heard within `wait_s`."""
        self.writer.write(request)
        heard = b""
        try:
            async with asyncio.timeout(wait_s):
                while data := await self.reader.read(256):
                    heard += data
        except TimeoutError:
            pass
        return heard


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    async with Bus(wire(WIRING, StoppedClock()), baud=115_200, turnaround_ms=2, seed=1) as bus:
        yield bus


@pytest.fixture
async def client(bus) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(*bus.address)
    yield Client(reader, writer)
    writer.close()
    await writer.wait_closed()


async def test_an_sdm120_shows_the_sites_values(client):
    reading = PvSite().pv.reading(GOLDEN_START_MS)
    data = await client.read(1, 0x00, 0x50)
    shown = {at: struct.unpack_from(">f", data, 2 * at)[0] for at in (0x00, 0x06, 0x0C, 0x46, 0x48, 0x4A)}
    assert shown[0x00] == pytest.approx(reading.voltage_mv / 1000)
    assert shown[0x0C] == pytest.approx(reading.power_mw / 1000)
    assert shown[0x0C] < -4000  # generation flows out
    assert shown[0x46] == pytest.approx(reading.frequency_mhz / 1000)
    assert shown[0x48] == pytest.approx(reading.import_mwh / 1e6, rel=1e-6)
    assert shown[0x4A] == pytest.approx(reading.export_mwh / 1e6, rel=1e-6)


async def test_an_sdm630s_phases_add_up(client):
    reading = HomeSite().grid.reading(GOLDEN_START_MS)
    data = await client.read(2, 0x00, 0x50)
    value = {at: struct.unpack_from(">f", data, 2 * at)[0] for at in range(0, 0x50, 2)}
    assert value[0x34] == pytest.approx(reading.power_mw / 1000)
    assert value[0x0C] + value[0x0E] + value[0x10] == pytest.approx(value[0x34], rel=1e-5)
    energies = await client.read(2, 0x156, 0x16)
    each = [struct.unpack_from(">f", energies, 2 * (at - 0x156))[0] for at in (0x15A, 0x15C, 0x15E)]
    assert sum(each) == pytest.approx(value[0x48], rel=1e-5)


@pytest.mark.parametrize(("unit", "model", "length"), [(3, 103, 50), (4, 203, 105)])
async def test_a_sunspec_map_can_be_walked(client, unit, model, length):
    assert await client.read(unit, SUNSPEC_BASE, 2, 3) == b"SunS"
    found, at = [], SUNSPEC_BASE + 2
    while (head := struct.unpack(">2H", await client.read(unit, at, 2, 3)))[0] != 0xFFFF:
        found.append(head)
        at += 2 + head[1]
    assert found == [(1, 66), (model, length)]


async def test_unknown_units_other_tables_and_addresses(bus, client):
    assert await client.raw(modbus.read_request(9, 4, 0, 2)) == b""
    assert bus.counts["silent"] == 1
    for unit, code, address, refusal in ((1, 3, 0, 1), (1, 4, 0x1000, 2), (3, 3, 0, 2), (3, 4, SUNSPEC_BASE, 1)):
        with pytest.raises(modbus.ModbusError) as error:
            await client.read(unit, address, 2, code)
        assert error.value.code == refusal


async def test_a_broken_request_is_not_answered(bus, client):
    request = bytearray(modbus.read_request(1, 4, 0, 2))
    request[3] ^= 1
    assert await client.raw(bytes(request)) == b""
    assert await client.raw(b"\x01") == b""
    assert bus.counts["silent"] == 2
    assert await client.read(1, 0, 2)


async def test_a_request_may_come_in_pieces(client):
    request = modbus.read_request(1, 4, 0, 2)
    client.writer.write(request[:5])
    heard = await client.raw(request[5:])
    assert heard[:3] == b"\x01\x04\x04"


async def test_another_speed_hears_nothing(bus):
    reader, writer = await asyncio.open_connection(*bus.address)
    stranger = Client(reader, writer)
    assert await stranger.raw(b"UART 9600 8N1\n" + modbus.read_request(1, 4, 0, 2)) == b""
    assert bus.counts["wrong_speed"] == 1
    writer.close()
    reader, writer = await asyncio.open_connection(*bus.address)
    writer.write(b"UART 115200 8N1\n")
    assert await Client(reader, writer).read(1, 0, 2)
    writer.close()


@pytest.mark.parametrize("kind", REAL_KINDS)
async def test_each_fault_strikes_once_and_heals(bus, client, kind):
    body = b"\x01\x04\x04" + await client.read(1, 0, 2)
    bus.fault(1, Fault(kind, count=1, late_ms=50))
    heard = await client.raw(modbus.read_request(1, 4, 0, 2))
    if kind is FaultKind.EXCEPTION:
        assert heard == b"\x01\x84\x06" + crc16(b"\x01\x84\x06")
    elif kind is not FaultKind.LATE:
        assert heard != body + crc16(body)
    assert bus.counts[kind.value] == 1
    assert await client.read(1, 0, 2) == body[3:]


async def test_a_late_answer_comes_into_the_next_requests_time(bus, client):
    bus.fault(1, Fault(FaultKind.LATE, count=1, late_ms=300))
    assert await client.raw(modbus.read_request(1, 4, 0x0C, 2), wait_s=0.1) == b""
    heard = await client.raw(modbus.read_request(2, 4, 0x34, 2), wait_s=0.6)
    assert heard[0] == 2
    assert b"\x01\x04\x04" in heard


async def test_faults_strike_one_unit_only_and_heal(bus, client):
    bus.fault(1, Fault(FaultKind.SILENCE))
    assert await client.raw(modbus.read_request(1, 4, 0, 2), wait_s=0.05) == b""
    assert await client.read(2, 0, 2)
    bus.heal()
    assert await client.read(1, 0, 2)


async def test_with_any_faults_the_boards_reader_never_takes_a_wrong_value(bus, client):
    good = await client.read(1, 0x0C, 2)
    bus.fault(1, Fault(FaultKind.ANY, share=0.7, late_ms=20))
    right = 0
    for _ in range(60):
        request = modbus.read_request(1, 4, 0x0C, 2)
        try:
            registers = modbus.ResponseReader(request).feed(await client.raw(request, wait_s=0.03))
        except (WireError, modbus.ModbusError):
            continue
        if registers is not None:
            assert registers == good
            right += 1
    assert right


@pytest.mark.parametrize(
    "text", ["0:sdm120:golden.pv", "x:sdm120:golden.pv", "1:sdm121:golden.pv", "1:sdm120:silver.pv", "1"]
)
def test_bad_wiring_is_refused_with_the_reason(text):
    with pytest.raises(EmulatorError, match=r"unit|kind|place"):
        wire([text], Clock())


def test_two_meters_cannot_share_a_unit():
    with pytest.raises(EmulatorError, match="same unit"):
        wire(["1:sdm120:golden.pv", "1:sdm630:home.grid"], Clock())
