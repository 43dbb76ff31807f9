"""The whole board: meter, seal, keep, deliver, obey, and survive."""

import itertools
import runpy
from pathlib import Path

import pytest

from emulator.board import Cause
from emulator.flash import read_files
from emulator.line import Fault, FaultKind
from wattwire import cose, frame, link

_harness = runpy.run_path(str(Path(__file__).with_name("board_world.py")))
world, PV, GRID = _harness["world"], _harness["PV"], _harness["GRID"]
TWO_METERS = ("1:sdm120:home.pv", "2:sdm120:home.grid")

pytestmark = pytest.mark.timeout(180)


async def test_frames_arrive_chained_dated_and_complete(tmp_path):
    async with world(tmp_path, TWO_METERS, streams=[PV, GRID]) as its:
        gateway = its.gateway
        await its.until(lambda: len(gateway.of_kind(frame.KIND_ROWS)) >= 4)
        records = [gateway.records[1, seq] for seq in range(1, gateway.last() + 1)]
        opening = records[0]
        assert opening.kind == frame.KIND_STREAMS
        assert (opening.log, opening.seq, opening.prev, opening.boot) == (1, 1, bytes(16), 1)
        assert opening.body.gateway == bytes.fromhex("ab" * 32)
        assert opening.body.previous is None
        assert [stream.role for stream in opening.body.streams] == ["pv", "grid"]
        for before, after in itertools.pairwise(records):
            payload = cose.parse(gateway.frames[before.log, before.seq])[1]
            assert after.prev == frame.prev_of(payload)
            assert (after.boot, after.up) > (before.boot, before.up)
        rows = gateway.of_kind(frame.KIND_ROWS)
        streams_hash = frame.prev_of(cose.parse(gateway.frames[1, 1])[1])
        assert {record.body.streams_hash for record in rows} == {streams_hash}
        assert rows[-1].unix is not None
        assert gateway.of_kind(frame.KIND_HEALTH)[0].body.values["reset"] == "power"
        # Rows stand at their slots: one constant spacing, unless a read began late.
        entries = [entry for record in rows for entry in record.body.entries]
        assert sum(entry.dt in (0, 30000) for entry in entries) >= len(entries) - 2
        power = frame.undelta(entries[0].columns[0])
        assert all(value is not None for value in power)


async def test_the_key_is_made_once_and_never_printed(tmp_path):
    async with world(tmp_path) as its:
        await its.until(lambda: its.gateway.last() >= 2)
        await its.board.reset()
        await its.until(lambda: its.board.console.text().count(its.public_key.hex()) >= 2)
        files = [path.read_bytes() for path in its.board.folder.iterdir() if path.name == "console.log"]
        assert len(files) == 1


async def test_a_dead_broker_costs_nothing(tmp_path):
    async with world(tmp_path) as its:
        await its.until(lambda: its.gateway.last() >= 2)
        its.broker.stop()
        before = its.gateway.last()
        await its.until(lambda: its.board.console.text().count("uplink:") >= 2)
        its.broker.start()
        await its.until(lambda: its.gateway.last() >= before + 3)
        assert b"online" in its.gateway.states


async def test_only_a_valid_acknowledgement_counts(tmp_path):
    async with world(tmp_path) as its:
        gateway = its.gateway
        gateway.mute = True
        gateway.link_key = bytes(32)
        await its.until(lambda: len(gateway.frames) >= 4)
        gateway.acknowledge()
        await its.until(lambda: "refused: " in its.board.console.text())
        await its.until(lambda: gateway.order.count((1, 1)) >= 2)  # resent: nothing counted
        assert len(gateway.frames) <= 8
        gateway.link_key, gateway.mute = _harness["LINK_KEY"], False
        gateway.acknowledge()
        await its.until(lambda: gateway.last() >= 9)


async def test_a_power_cut_anywhere_continues_the_log(tmp_path):
    async with world(tmp_path) as its:
        for number, cut in enumerate((None, (9, "none"), (30, "half"), (33, "all")), 1):
            await its.until(lambda number=number: its.gateway.last() >= 3 * number)
            await its.board.power_cut()
            its.board.cut = cut  # at that flash operation of the next boot
            await its.board.power_on()
            if cut is not None:
                await its.board.wait_off()
                await its.board.power_on()
        await its.until(lambda: its.gateway.last() >= 16)
        records = [its.gateway.records[1, seq] for seq in range(1, its.gateway.last() + 1)]
        assert records[-1].boot == 8
        for boot in {record.boot for record in records}:
            assert next(record.kind for record in records if record.boot == boot) == frame.KIND_STREAMS
        assert all((a.boot, a.up) < (b.boot, b.up) for a, b in itertools.pairwise(records))


async def test_commands(tmp_path):
    async with world(tmp_path) as its:
        gateway = its.gateway
        await its.until(lambda: gateway.last() >= 2)
        counter = gateway.command("resync")
        await its.until(lambda: len(gateway.of_kind(frame.KIND_STREAMS)) == 2)
        gateway.command("identify", counter=counter)  # a replay
        await its.until(lambda: "replayed" in its.board.console.text())
        gateway.command("resend", [1, 1])
        await its.until(lambda: gateway.order.count((1, 1)) >= 2)
        gateway.command("config", ['{"gateway": "no"}'])
        await its.until(lambda: "config refused: $." in its.board.console.text())
        gateway.command("reset")
        await its.board.wait_starts(2)
        assert its.board.causes[-1] is Cause.HARD
        await its.until(lambda: gateway.of_kind(frame.KIND_HEALTH)[-1].boot == 2)
        values = gateway.of_kind(frame.KIND_HEALTH)[-1].body.values
        assert values["reset"] == "hard"
        assert values["command"] > counter


async def test_a_new_gateway_gets_a_new_log(tmp_path):
    async with world(tmp_path) as its:
        gateway = its.gateway
        await its.until(lambda: gateway.last() >= 3)
        await its.board.power_cut()
        last = max(seq for log, seq in gateway.frames if log == 1)
        its.configure(gateway="cd" * 32)
        await its.board.power_on()
        await its.until(lambda: gateway.last(2) >= 2)
        opening = gateway.records[2, 1]
        assert opening.body.gateway == bytes.fromhex("cd" * 32)
        assert opening.body.previous[0] >= last
        if opening.body.previous[0] == last:
            assert opening.body.previous[1] == frame.prev_of(cose.parse(gateway.frames[1, last])[1])


async def test_what_remains_of_a_spoilt_log_comes_before_the_next(tmp_path):
    async with world(tmp_path) as its:
        gateway = its.gateway
        seen = set()
        gateway.drop = lambda record: seen.add(record.seq) or True  # nothing is held yet
        await its.until(lambda: len(seen) >= 5)
        await its.board.power_cut()
        path, data = max(read_files(its.board.flash_image, "/log/1").items())
        its.board.provision({path: data[:-1] + bytes((data[-1] ^ 1,))})
        gateway.drop = lambda _: False
        await its.board.power_on()
        await its.until(lambda: gateway.last(2) >= 2)
        first_log = [key for key in gateway.order if key[0] == 1]
        assert gateway.order[: len(first_log)] == first_log
        assert gateway.last(1) >= 3
        last, prev = gateway.records[2, 1].body.previous
        assert (last, prev) == (gateway.last(1), frame.prev_of(cose.parse(gateway.frames[1, last])[1]))
        assert [path for path in read_files(its.board.flash_image, "/log") if "old" in path] == []


async def test_a_dead_meter_does_not_starve_the_other(tmp_path):
    async with world(tmp_path, TWO_METERS, streams=[PV, GRID]) as its:
        gateway = its.gateway
        its.bus.fault(2, Fault(FaultKind.SILENCE))
        await its.until(lambda: len(gateway.of_kind(frame.KIND_ROWS)) >= 5)
        counts = [
            {entry.stream: len(entry.columns[0]) for entry in record.body.entries}
            for record in gateway.of_kind(frame.KIND_ROWS)[-3:]
        ]
        assert all(count.get(0, 0) >= 1 and 1 not in count for count in counts)
        its.bus.heal(2)
        seen = len(gateway.of_kind(frame.KIND_ROWS))
        await its.until(
            lambda: any(
                entry.stream == 1 for record in gateway.of_kind(frame.KIND_ROWS)[seen:] for entry in record.body.entries
            )
        )


async def test_a_faulty_line_gives_fewer_values_and_never_wrong_ones(tmp_path):
    async with world(tmp_path, ("1:sdm120:golden.pv",)) as its:
        gateway = its.gateway
        await its.until(lambda: gateway.last() >= 3)
        its.bus.fault(1, Fault(FaultKind.ANY, share=0.4))
        await its.until(lambda: len(gateway.of_kind(frame.KIND_ROWS)) >= 8)
        points = [point.name for point in gateway.of_kind(frame.KIND_STREAMS)[0].body.streams[0].points]
        exponents = {
            point.name: point.exponent for point in gateway.of_kind(frame.KIND_STREAMS)[0].body.streams[0].points
        }
        volts = []
        for record in gateway.of_kind(frame.KIND_ROWS):
            for entry in record.body.entries:
                volts += frame.undelta(entry.columns[points.index("voltage")])
        assert all(200 <= volt * 10 ** exponents["voltage"] <= 260 for volt in volts if volt is not None)


SABOTAGE = b"""
import asyncio
import machine
from wattboard import hal, supervise, uplink
if machine.reset_cause() != machine.WDT_RESET:
    hal.watchdog = lambda: machine.WDT(timeout=2000)
    supervise.STALLED_MS = 1000
    async def run(self):
        {what}
    uplink.Uplink.run = run
"""


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (b"raise RuntimeError('dead on purpose')", "RuntimeError: dead on purpose"),
        (b"await asyncio.sleep(1000)", "uplink made no progress"),
    ],
)
async def test_a_dead_or_stalled_task_resets_through_the_watchdog(tmp_path, what, words):
    async with world(tmp_path) as its:
        await its.until(lambda: its.gateway.last() >= 2)
        await its.board.power_cut()
        its.board.provision({"/boot.py": SABOTAGE.replace(b"{what}", what)})
        await its.board.power_on()
        await its.board.wait_starts(3)
        assert its.board.causes[-1] is Cause.WATCHDOG
        await its.until(lambda: its.gateway.of_kind(frame.KIND_HEALTH)[-1].boot == 3)
        values = its.gateway.of_kind(frame.KIND_HEALTH)[-1].body.values
        assert (values["reset"], values["crash"]) == ("watchdog", words)


async def test_a_wrong_profile_is_told_and_leaves_the_repl(tmp_path):
    async with world(tmp_path) as its:
        await its.until(lambda: its.gateway.last() >= 2)
        await its.board.power_cut()
        its.board.provision({"/profiles/eastron_sdm120.json": b"{}"})
        await its.board.power_on()
        await its.until(lambda: "wattness: config: $.streams[0].profile" in its.board.console.text())


async def test_sunspec_is_walked(tmp_path):
    streams = [{"role": "pv", "profile": "sunspec", "unit": 3, "period_ms": 30000}]
    async with world(tmp_path, ("3:sunspec_inverter:golden.pv",), streams=streams) as its:
        await its.until(lambda: len(its.gateway.of_kind(frame.KIND_ROWS)) >= 2)
        stream = its.gateway.of_kind(frame.KIND_STREAMS)[-1].body.streams[0]
        assert stream.profile == "sunspec_inverter_int"
        assert stream.serial is not None
        assert "energy_export" in [point.name for point in stream.points]


def test_topics_are_those_of_the_wire():
    assert link.topic(bytes(8), "frame") == "wattness/1/0000000000000000/frame"
