"""A device as the board reads it: profiles bound, answers tried again, scale factors followed, roles oriented."""

import hashlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattboard import catalog, device, lessons
from wattboard.errors import ConfigError, SilentError, UnsuitableError
from wattwire import exponents, plan
from wattwire import sunspec as walking
from wattwire.errors import WireError
from wattwire.modbus import ModbusError
from wattwire.schedule import Schedule

PROFILES = Path(__file__).parents[1] / "profiles"
INVERTER = {"role": "pv", "profile": "sunspec", "unit": 3, "period_ms": 1000, "points": ["power", "energy_export"]}
NO_SCALE = 0x8000


class Line:
    """Stands for `wattboard.bus.Bus`: registers of one unit, and what goes wrong next."""

    def __init__(self, registers: dict[int, int], unit: int = 3):
        self.registers = registers
        self.unit = unit
        self.troubles: list[Exception] = []
        self.reads = 0
        self.baud = 9600

    async def read(self, unit: int, read, pace) -> bytes:
        self.reads += 1
        if self.troubles:
            raise self.troubles.pop(0)
        if unit != self.unit:
            raise WireError("timeout")
        if read.address not in self.registers:
            raise ModbusError(2)
        return b"".join(
            self.registers.get(address, 0xFFFF).to_bytes(2, "big")
            for address in range(read.address, read.address + read.count)
        )


def made(settings: dict, line: Line, path: str = "$") -> device.Device:
    """Return the device of a stream's settings."""
    return device.Device(settings, catalog.read(settings, path), line, path)


def sunspec(power: int = 1234, scale: int = -1, model: int = 103) -> dict[int, int]:
    """Return the map of an inverter: common model with a serial number, then model 103."""
    registers = {40000: 0x5375, 40001: 0x6E53, 40002: 1, 40003: 66}
    registers.update(dict.fromkeys(range(40004, 40070), 0))
    serial = b"SN1234".ljust(32, b"\0")
    for index in range(16):
        registers[40052 + index] = int.from_bytes(serial[2 * index : 2 * index + 2], "big")
    base = 40070
    registers.update({base: model, base + 1: 50})
    registers.update({base + 2 + index: NO_SCALE for index in range(50)})
    registers.update({base + 14: power, base + 15: scale & 0xFFFF})
    registers.update({base + 24: 0, base + 25: 5000, base + 26: 0})
    registers.update({base + 52: 0xFFFF, base + 53: 0})
    return registers


@pytest.fixture(autouse=True)
def profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(catalog, "PLACES", (f"{PROFILES}/",))
    monkeypatch.setattr(lessons, "PATH", str(tmp_path / "learned"))


async def test_a_sunspec_device_is_found_and_named():
    line = Line(sunspec())
    inverter = made(INVERTER, line, "$.streams[0]")
    before = inverter.stream()
    assert (before.profile, before.points) == ("sunspec", ())
    assert not inverter.known
    await inverter.identify()
    assert await inverter.poll() == ([1234, 5000], True)
    stream = inverter.stream()
    assert stream.profile == "sunspec_inverter_int"
    assert stream.profile_hash == hashlib.sha256((PROFILES / "sunspec_inverter_int.json").read_bytes()).digest()[:16]
    assert stream.serial == hashlib.sha256(b"SN1234").digest()[:16]
    assert [(point.name, point.unit, point.exponent) for point in stream.points] == [
        ("power", "W", -1),
        ("energy_export", "Wh", 0),
    ]
    assert stream.points[1].modulus == 1 << 32
    assert await inverter.poll() == ([1234, 5000], False)


async def test_a_changing_scale_factor_is_told_and_in_the_end_the_finest_stays():
    line = Line(sunspec(scale=0))
    inverter = made(INVERTER, line, "$")
    await inverter.identify()
    assert await inverter.poll() == ([1234, 5000], False), "the profile's own exponent"
    changes = 0
    for turn in range(40):
        scale = turn % 2 - 1
        line.registers.update(sunspec(scale=scale))
        row, changed = await inverter.poll()
        changes += changed
        exponent = inverter.stream().points[0].exponent
        assert row[0] * 10**exponent == pytest.approx(1234 * 10**scale)
    assert changes == exponents.CHANGES_MAX + 1, "one more, to the finer of the two"
    assert inverter.stream().points[0].exponent == -1


async def test_a_device_of_another_kind_is_unsuitable_and_may_change():
    line = Line(sunspec(model=203))
    inverter = made(INVERTER, line, "$")
    with pytest.raises(UnsuitableError):
        await inverter.identify()
    with pytest.raises(SilentError):
        await inverter.poll()
    line.registers = sunspec()
    await inverter.identify()
    assert inverter.known


async def test_silence_ends_a_poll_at_once():
    line = Line(sunspec(), unit=9)
    inverter = made(INVERTER, line, "$")
    with pytest.raises(SilentError):
        await inverter.identify()
    assert line.reads == 3 * walking.TRIES, "at each base"


async def test_a_bad_answer_is_asked_for_again_and_then_has_no_value():
    line = Line(sunspec())
    inverter = made(INVERTER, line, "$")
    await inverter.identify()
    await inverter.poll()
    line.troubles = [WireError("bad_crc")]
    assert await inverter.poll() == ([1234, 5000], False)
    line.troubles = [WireError("bad_crc"), ModbusError(6)]
    assert await inverter.poll() is None
    line.troubles = [ModbusError(2)]
    reads = line.reads
    assert await inverter.poll() is None
    assert line.reads == reads + 2, "asked once more, it gives what it refused: nothing to learn"
    line.troubles = [WireError("timeout"), WireError("timeout")]
    with pytest.raises(SilentError):
        await inverter.poll()
    assert inverter.errors == 6


async def test_power_is_oriented_for_the_role():
    meter = dict.fromkeys(range(400), 0)
    meter.update({12: 0x447A, 13: 0, 72: 0x3F80, 74: 0x4000})  # 1000 W drawn, 1 kWh import, 2 kWh export
    settings = {"profile": "eastron_sdm120", "unit": 3, "points": ["power", "energy_import", "energy_export"]}
    rows = {}
    for role in ("grid", "pv"):
        read = made({**settings, "role": role}, Line(meter), "$")
        await read.identify()
        (row, _), stream = await read.poll(), read.stream()
        rows[role] = {point.name: value * 10**point.exponent for point, value in zip(stream.points, row, strict=True)}
    assert rows["grid"] == pytest.approx({"power": 1000, "energy_import": 1000, "energy_export": 2000})
    assert rows["pv"] == pytest.approx({"power": -1000, "energy_import": 1000, "energy_export": 2000})


@pytest.mark.parametrize(
    ("changes", "path"),
    [({"profile": "none"}, "$.streams[1].profile"), ({"points": ["speed"]}, "$.streams[1].points")],
)
def test_a_wrong_configuration_names_its_key(changes, path):
    settings = {"role": "grid", "profile": "eastron_sdm120", "unit": 1, **changes}
    with pytest.raises(ConfigError) as found:
        made(settings, Line({}), "$.streams[1]")
    assert str(found.value).startswith(path)


async def test_silence_at_one_base_leads_to_the_next():
    line = Line({address % 40000: value for address, value in sunspec().items()})
    line.troubles = [WireError("timeout")] * walking.TRIES
    inverter = made(INVERTER, line)
    await inverter.identify()
    assert (inverter.known, inverter.stream().profile) == (True, "sunspec_inverter_int")


async def test_a_map_that_noise_cut_short_is_walked_again():
    line = Line(sunspec())
    inverter = made(INVERTER, line)
    read, asked = line.read, []

    async def noisy(unit: int, plan, pace) -> bytes:
        asked.append(plan.address)
        if plan.address == 40070:
            raise WireError("bad_crc")
        return await read(unit, plan, pace)

    line.read = noisy
    with pytest.raises(SilentError) as found:
        await inverter.identify()
    assert found.type is SilentError
    assert asked.count(40070) == walking.TRIES
    line.read = read
    await inverter.identify()
    assert inverter.known


async def test_what_the_sources_leave_open_is_told_until_the_owner_confirms_it():
    meter = Line(dict.fromkeys(range(200), 1))
    settings = {"profile": "carlo_gavazzi_em24_rtu", "role": "grid", "unit": 3}
    assert made(settings, meter).unsettled() == ["energy_import"]
    assert made(settings | {"confirmed": ["energy_import"]}, meter).unsettled() == []
    assert made(settings | {"points": ["power"]}, meter).unsettled() == []
    assert made({"profile": "eastron_sdm120", "role": "grid", "unit": 3}, meter).unsettled() == []
    row, _ = await made(settings, meter).poll()
    assert None not in row, "it is read and shown all the same"


class Minds(Line):
    """A device that minds reads over register 50, and has no register 70."""

    async def read(self, unit: int, read, pace) -> bytes:
        end = read.address + read.count
        if read.address < 50 < end or read.address <= 70 < end:
            self.reads += 1
            raise ModbusError(2)
        return await super().read(unit, read, pace)


async def test_what_a_device_refuses_is_learned_and_tried_again_with_the_next_full_poll():
    line = Minds(dict.fromkeys(range(200), 0))
    settings = {
        "profile": "eastron_sdm630",
        "role": "grid",
        "unit": 3,
        "points": ["power", "energy_import", "frequency"],
    }
    settings["points"] += ["power_l1", "voltage_l1"]
    meter = made(settings, line)
    await meter.poll(1)  # register 50, and that 70 is not there
    await meter.poll(1)  # that no read may go over it either
    before = line.reads
    assert await meter.poll(1) == ([0, 0, None, 0, 0], False)
    assert line.reads - before == 3, "0 to 13, 52, and 72; not 70"
    assert meter.is_complete
    before = line.reads
    await meter.poll()
    assert line.reads - before > 3, "what it did not have it may have by now"


async def test_what_was_learned_is_known_after_a_start_until_it_is_no_longer_true(tmp_path: Path):
    line = Minds(dict.fromkeys(range(200), 0))
    points = ["power", "energy_import", "frequency", "power_l1", "voltage_l1"]
    settings = {"profile": "eastron_sdm630", "role": "grid", "unit": 3, "points": points}
    first = made(settings, line)
    while not first.is_complete:
        await first.poll(1)
    written = (tmp_path / "learned").read_text()
    again = made(settings, line)
    before = line.reads
    assert await again.poll() == ([0, 0, None, 0, 0], False)
    assert line.reads - before == 3, "nothing is found out anew"
    assert (tmp_path / "learned").read_text() == written
    line.read = Line.read.__get__(line)  # another device in its place, which minds nothing
    row, _ = await again.poll()
    assert None not in row
    assert json.loads((tmp_path / "learned").read_text())[2:] == [[], []]
    lessons.remember(4, bytes.fromhex(json.loads(written)[1]), plan.Learned(((4, 50),), ()))
    other = made(settings, line)
    await other.poll()
    assert other._learned is None, "each unit for itself"


@given(st.text(max_size=60) | st.binary(max_size=60), st.integers(0, 4000))
def test_a_spoilt_file_of_lessons_teaches_nothing_or_what_it_says(content: str | bytes, cut: int):
    learned = plan.Learned(((4, 50),), ((4, 70, 72), (3, 1, 2)))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "learned"
        patch.setattr(lessons, "PATH", str(path))
        for unit in range(20):
            lessons.remember(unit, bytes(16), learned)
        assert lessons.recall(19, bytes(16)) == learned
        assert lessons.recall(19, bytes(15) + b"1") is None
        assert lessons.recall(11, bytes(16)) is None, "eight are kept"
        path.write_bytes(path.read_bytes()[:cut])
        assert lessons.recall(12, bytes(16)) in (learned, None)
        path.write_bytes(content if isinstance(content, bytes) else content.encode(errors="replace"))
        assert lessons.recall(19, bytes(16)) is None


async def test_what_is_learned_in_full_polls_stays_until_all_is_read():
    line = Minds(dict.fromkeys(range(200), 0))
    points = ["power", "energy_import", "frequency", "power_l1", "voltage_l1"]
    meter = made({"profile": "eastron_sdm630", "role": "grid", "unit": 3, "points": points}, line)
    schedule = Schedule(1000, 0)
    rows = []
    for second in range(5):
        level = schedule.level(1000 * second)
        rows.append((await meter.poll(level))[0])
        if meter.is_complete:
            schedule.took(level, 1000 * second)
    assert [0, 0, None, 0, 0] in rows
    assert level < device.FULL


async def test_a_device_that_refuses_all_is_silent():
    meter = made({"profile": "eastron_sdm120", "role": "grid", "unit": 3}, Line({}))
    assert await meter.poll(1) is None
    with pytest.raises(SilentError):
        await meter.poll(1)
    meter.bus.registers = dict.fromkeys(range(200), 0)
    row, _ = await meter.poll()
    assert None not in row
