"""Devices read by the gateway itself, end to end: pymodbus servers, own log, intake, store."""

import asyncio
import runpy
from pathlib import Path

import pytest
from pymodbus.constants import ExcCodes

from wattness.errors import ConfigError
from wattness.store.reader import Reader
from wattwire import cose, frame

WORLD = runpy.run_path(str(Path(__file__).with_name("own_world.py")))
FakeMeter, SunSpecInverter = WORLD["FakeMeter"], WORLD["SunSpecInverter"]
config_of, make_key, opened, served = WORLD["config_of"], WORLD["make_key"], WORLD["opened"], WORLD["served"]


async def until(condition, *, every_s=0.02):
    """Wait for what must come; the test's own time limit is the only one."""
    while not (found := await condition()):
        await asyncio.sleep(every_s)
    return found


async def stored(store):
    views = await store.read(lambda reader: list(reader.export_frames()))
    return [frame.decode(cose.parse(view.raw)[1]) for view in views]


async def metered(store, meters, polls=3):
    """Poll each device a few times and seal; gives the records on disk."""
    for meter in meters.meters:
        await meter.meet()
        for _ in range(polls):
            await asyncio.sleep(0.002)
            await meter._poll(meter._own.uptime.now_ms())
        meter._own.seal()

    async def delivered():
        return not any(meter._own._waiting for meter in meters.meters)

    await until(delivered)
    return await stored(store)


async def test_rows_are_signed_and_stored_as_the_gateways(tmp_path):
    make_key(tmp_path)
    async with served(FakeMeter()) as port, opened(config_of(tmp_path, port)) as (store, _, meters, _):
        streams, rows = await metered(store, meters)
        (board,) = await store.read(Reader.boards)
        assert (board.name, board.provenance, board.state) == ("gateway", "gateway", "active")
        assert streams.body.about["provenance"] == "gateway"
        (stream,) = streams.body.streams
        assert (stream.role, stream.profile, stream.rated_w) == ("grid", "eastron_sdm630", 7000)
        names = [point.name for point in stream.points]
        columns = dict(zip(names, rows.body.entries[0].columns, strict=True))
        assert frame.undelta(columns["power"]) == [12345, 12345, 12345]
        assert frame.undelta(columns["energy_import"])[0] == 1_000_500
        assert [view.provenance for view in await store.read(Reader.streams)] == ["gateway"]


async def test_a_sunspec_map_is_walked(tmp_path):
    make_key(tmp_path)
    inverter = SunSpecInverter()
    async with served(inverter) as port:
        config = config_of(tmp_path, port, profile="sunspec", role="pv")
        async with opened(config) as (store, _, meters, _):
            streams, rows = await metered(store, meters)
            (stream,) = streams.body.streams
            assert (stream.profile, stream.serial is not None) == ("sunspec_inverter_int", True)
            columns = dict(zip([point.name for point in stream.points], rows.body.entries[0].columns, strict=True))
            assert frame.undelta(columns["power"]) == [4000] * 3
            assert meters.states() == [{"name": "meter", "state": "metering", "detail": ""}]


async def test_a_value_that_is_not_there_is_never_zero(tmp_path):
    make_key(tmp_path)
    meter = FakeMeter()
    meter.values[52] = float("nan")
    async with served(meter) as port, opened(config_of(tmp_path, port)) as (store, _, meters, _):
        streams, rows = await metered(store, meters)
        names = [point.name for point in streams.body.streams[0].points]
        assert rows.body.entries[0].columns[names.index("power")] == [None] * 3


async def test_a_silent_device_makes_no_rows_and_comes_back(tmp_path):
    make_key(tmp_path)
    meter = FakeMeter()
    async with served(meter) as port, opened(config_of(tmp_path, port)) as (store, _, meters, _):
        (one,) = meters.meters
        await one.meet()
        meter.silent = True
        await one._poll(1000)
        assert (one.state, one.counts["silent_polls"]) == ("silent", 1)
        assert "did not answer" in one.detail
        assert not one._place.rows.times
        meter.silent = False
        await one.meet()
        await one._poll(one._own.uptime.now_ms())
        assert one.state == "metering"
        one._own.seal()

        async def has_rows():
            return any(record.kind == frame.KIND_ROWS for record in await stored(store))

        await until(has_rows)


async def test_nobody_at_the_address(tmp_path):
    make_key(tmp_path)
    async with served() as port:
        pass
    async with opened(config_of(tmp_path, port)) as (_, _, meters, _):
        (one,) = meters.meters
        await one.meet()
        assert one.state == "silent"
        assert "cannot be reached" in one.detail
        first_ms = one._schedule.due_ms
        await one.meet()
        assert one._schedule.due_ms > first_ms + 1000  # the pauses grow


@pytest.mark.parametrize(
    ("profile", "change", "words"),
    [
        ("eastron_sdm630", {"values": {70: 5002.0, 52: 1.0}}, "frequency of 5002"),
        ("eastron_sdm630", {"refuse": ExcCodes.ILLEGAL_ADDRESS}, "refuses all registers"),
        ("eastron_sdm630", {"values": {0: 23010.0}}, "voltage_l1 of 23010"),
        ("sunspec", {}, "no SunSpec map"),
    ],
)
async def test_a_wrong_map_is_said_and_nothing_is_claimed(tmp_path, profile, change, words):
    make_key(tmp_path)
    meter = FakeMeter()
    for name, value in change.items():
        setattr(meter, name, value)
    async with served(meter) as port, opened(config_of(tmp_path, port, profile=profile)) as (store, _, meters, _):
        (one,) = meters.meters
        await one.meet()
        assert one.state == "wrong_map"
        assert words in one.detail
        one._own.seal_health(meters.health(one._own))

        async def told():
            return [record for record in await stored(store) if record.kind == frame.KIND_HEALTH]

        (health,) = await until(told)
        assert health.body.values["device meter"].startswith("wrong_map: ")
        assert health.body.values["devices_metering"] == 0
        assert not any(record.kind == frame.KIND_ROWS for record in await stored(store))


async def test_a_map_that_changes_is_noticed_and_walked_again(tmp_path):
    make_key(tmp_path)
    inverter = SunSpecInverter()
    async with served(inverter) as port:
        config = config_of(tmp_path, port, profile="sunspec", role="pv")
        async with opened(config) as (store, _, meters, _):
            (one,) = meters.meters
            await one.meet()
            await one._poll(one._own.uptime.now_ms())
            inverter.model = 113  # another firmware: what were integers are floats now
            await one._poll(one._own.uptime.now_ms())
            assert (one.state, one.counts["wrong_map_polls"]) == ("wrong_map", 1)
            inverter.model, inverter.serial = 103, "B7654321"  # another inverter in its place
            await one.meet()
            await one._poll(one._own.uptime.now_ms())
            one._own.seal()

            async def two_streams():
                return len(await store.read(Reader.streams)) == 2

            await until(two_streams)


async def test_a_model_for_another_role_is_a_wrong_map(tmp_path):
    make_key(tmp_path)
    async with (
        served(SunSpecInverter()) as port,
        opened(config_of(tmp_path, port, profile="sunspec", role="grid")) as (_, _, meters, _),
    ):
        await meters.meters[0].meet()
        assert meters.meters[0].state == "wrong_map"
        assert "none suits a grid" in meters.meters[0].detail


async def test_glitches_are_left_out_and_three_are_a_wrong_map(tmp_path):
    make_key(tmp_path)
    meter = FakeMeter()
    async with served(meter) as port, opened(config_of(tmp_path, port)) as (_, _, meters, _):
        (one,) = meters.meters
        await one.meet()
        meter.values[70] = 5002.0
        for at in (1, 2):
            await one._poll(1000 * at)
        assert (one.state, one.counts["empty_polls"], one._place.rows.times) == ("metering", 2, [])
        await one._poll(3000)
        assert one.state == "wrong_map"


async def test_registers_that_the_device_lacks_cost_only_their_points(tmp_path):
    make_key(tmp_path)

    class Small(FakeMeter):
        async def _action(self, code, start, *rest):
            if sum(rest[:2]) > 74:
                return ExcCodes.ILLEGAL_ADDRESS
            return await super()._action(code, start, *rest)

    async with served(Small()) as port, opened(config_of(tmp_path, port)) as (store, _, meters, _):
        streams, rows = await metered(store, meters)
        names = [point.name for point in streams.body.streams[0].points]
        columns = dict(zip(names, rows.body.entries[0].columns, strict=True))
        assert columns["energy_export"] == [None] * 3
        assert None not in columns["power"]


async def test_lessons_are_kept_until_all_is_read(tmp_path):
    make_key(tmp_path)

    class Minds(FakeMeter):
        """Register 50 is not there, and no read may go over 70 either."""

        async def _action(self, code, start, *rest):
            first, count = rest[:2]
            if first <= 50 < first + count or first < 70 < first + count:
                return ExcCodes.ILLEGAL_ADDRESS
            return await super()._action(code, start, *rest)

    meter = Minds()
    async with served(meter) as port, opened(config_of(tmp_path, port)) as (_, _, meters, _):
        (one,) = meters.meters
        await one.meet()
        for at in range(1, 4):
            await one._poll(100 * at)
        assert one.device.is_complete
        meter.requests.clear()
        await one._poll(500)
        assert len(meter.requests) == 3, "0 to 5, 52, and 70 to 75"
        assert len(one._place.rows.times) == 4


async def test_exponents_that_change_seal_the_frame(tmp_path):
    make_key(tmp_path)

    class Scaled(SunSpecInverter):
        factor = 0

        def map(self):
            words = super().map()
            words[70 + 15] = self.factor & 0xFFFF
            return words

    inverter = Scaled()
    async with (
        served(inverter) as port,
        opened(config_of(tmp_path, port, profile="sunspec", role="pv")) as (store, _, meters, _),
    ):
        (one,) = meters.meters
        await one.meet()
        await one._poll(one._own.uptime.now_ms())
        inverter.factor = -1
        records = await metered_again(store, one)
        kinds = [record.kind for record in records]
        assert kinds == [1, 2, 1, 2]
        powers = [record.body.streams[0].points[0] for record in records if record.kind == frame.KIND_STREAMS]
        assert [power.exponent for power in powers] == [0, -1]


async def metered_again(store, one):
    await asyncio.sleep(0.01)
    await one._poll(one._own.uptime.now_ms())
    one._own.seal()

    async def delivered():
        return not one._own._waiting

    await until(delivered)
    return await stored(store)


async def test_the_whole_task_polls_by_itself(tmp_path):
    make_key(tmp_path)
    meter = FakeMeter()
    async with served(meter) as port, opened(config_of(tmp_path, port)) as (store, _, meters, _):
        work = asyncio.create_task(meters.run())
        (one,) = meters.meters

        async def enough():
            return one.counts["polls"] >= 3

        await until(enough)
        one._own.seal()

        async def has_rows():
            return {record.kind for record in await stored(store)} == {1, 2, 3}

        await until(has_rows)
        work.cancel()
        await asyncio.wait([work])


@pytest.mark.parametrize(
    ("extra", "profile", "words"),
    [
        ('points = ["tide"]\n', "eastron_sdm630", r"device\[0\].*no point 'tide'"),
        ("", "atlantis", "no profile 'atlantis'"),
        ("", "jsy_mk_194", "read it with a board"),
    ],
)
async def test_settings_that_cannot_be_are_refused_at_the_start(tmp_path, extra, profile, words):
    make_key(tmp_path)
    with pytest.raises(ConfigError, match=words):
        async with opened(config_of(tmp_path, 1, extra=extra, profile=profile)):
            pass


async def test_without_its_key_nothing_begins(tmp_path):
    with pytest.raises(ConfigError, match=r"wattness device key new device\.key"):
        async with opened(config_of(tmp_path, 1)):
            pass


async def test_unsettled_points_are_named_in_the_record(tmp_path):
    make_key(tmp_path)
    profiles = Path(__file__).parents[2] / "firmware" / "profiles" / "sunspec_battery.json"
    assert '"unsettled"' in profiles.read_text()

    class Battery(SunSpecInverter):
        def map(self):
            words = super().map()
            words[70:] = [802, 62, *([0xFFFF] * 62), 0xFFFF, 0]
            words[70 + 47], words[70 + 63] = 1500, 0
            return words

    battery = Battery()
    async with (
        served(battery) as port,
        opened(config_of(tmp_path, port, profile="sunspec", role="battery")) as (store, _, meters, _),
    ):
        records = await metered(store, meters)
        streams = records[0].body
        unsettled = streams.about["unsettled_0"].split(",")
        assert "power" in unsettled
