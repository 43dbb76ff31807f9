"""A board's life: its starts and their causes, what its health record tells, and what its LED says."""

import ast
import json
import runpy
import shutil
from pathlib import Path

import pytest

from emulator.board import Cause
from emulator.flash import read_files
from emulator.line import Fault, FaultKind
from emulator.pins import shown
from wattwire import frame

_harness = runpy.run_path(str(Path(__file__).with_name("board_world.py")))
world, FIRMWARE = _harness["world"], Path(__file__).parents[1]
LED = 2

pytestmark = pytest.mark.timeout(180)


def _patterns():
    """The LED's patterns, from the firmware's own text: the module itself runs on boards only."""
    tree = ast.parse((FIRMWARE / "wattboard/lamp.py").read_text())
    names, patterns = {}, {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            names.update(zip([name.id for name in node.targets[0].elts], ast.literal_eval(node.value), strict=True))
        elif isinstance(node, ast.Assign) and node.targets[0].id == "PATTERNS":
            pairs = zip(node.value.keys, node.value.values, strict=True)
            patterns = {names[key.id]: ast.literal_eval(value) for key, value in pairs}
    return patterns


PATTERNS = _patterns()


@pytest.mark.parametrize("is_low", [False, True])
async def test_the_led_has_four_meanings(tmp_path, is_low):
    async with world(tmp_path, led={"pin": LED, "low": is_low}) as its:

        def says():
            spans = [(level is not is_low, ms) for level, ms in its.board.pins.spans(LED)]
            return shown(spans, PATTERNS)

        if not is_low:
            await its.until(lambda: says() == "metering")
            its.broker.stop()
            await its.until(lambda: says() == "no network")
        its.bus.fault(1, Fault(FaultKind.SILENCE))
        await its.until(lambda: says() == "fault")


def test_patterns_can_be_told_apart():
    assert set(PATTERNS) == {"starting", "metering", "no network", "fault"}
    for name, pattern in PATTERNS.items():
        rounds = [(turn % 2 == 0, float(pattern[turn % len(pattern)])) for turn in range(4 * len(pattern))]
        steady = [(True, 4000.0)]
        assert shown([(False, 500.0), *(rounds if len(pattern) > 1 else steady)], PATTERNS) == name
    assert shown([], PATTERNS) is None


async def test_the_last_starts_and_their_causes_are_told(tmp_path):
    async with world(tmp_path, health_ms=60000) as its:
        await its.until(lambda: its.gateway.of_kind(frame.KIND_HEALTH))
        first = its.gateway.of_kind(frame.KIND_HEALTH)[0].body.values
        assert first["boots"] == "1 power"
        await its.board.power_cut()
        its.board.provision({"/crash.txt": b"uplink\nTraceback:\nRuntimeError: on purpose"})
        await its.board.power_on()
        await its.until(lambda: its.gateway.of_kind(frame.KIND_HEALTH)[-1].boot == 2)
        await its.board.reset(Cause.WATCHDOG)
        await its.until(lambda: its.gateway.of_kind(frame.KIND_HEALTH)[-1].boot == 3)
        values = its.gateway.of_kind(frame.KIND_HEALTH)[-1].body.values
        assert values["boots"] == "3 watchdog\n2 power: RuntimeError: on purpose\n1 power"
        crashes = [record.body.values.get("crash") for record in its.gateway.of_kind(frame.KIND_HEALTH)]
        assert crashes.count("RuntimeError: on purpose") == 1
        await its.board.power_cut()
        assert b"Traceback" in read_files(its.board.flash_image)["/crash.told"]


async def test_health_tells_of_memory_flash_clock_and_bus(tmp_path):
    async with world(tmp_path, health_ms=60000) as its:
        await its.until(lambda: len(its.gateway.of_kind(frame.KIND_HEALTH)) >= 3)
        values = its.gateway.of_kind(frame.KIND_HEALTH)[-1].body.values
        assert 0 < values["heap_low_bytes"] <= values["heap_free_bytes"]
        assert 0 < values["idf_low_bytes"] <= values["idf_free_bytes"]
        assert values["idf_largest_bytes"] <= values["idf_free_bytes"]
        assert 0 < values["flash_free_bytes"] < values["flash_bytes"]
        assert values["log_percent"] in range(101)
        assert values["errors_unit_1"] >= 0
        assert isinstance(values["rssi_dbm"], int)
        assert abs(values["clock_error_ms"]) < 3_600_000
        assert values["clock_offset_ms"] > 0


BOOTS = """
import os, sys
class Module:
    PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = range(1, 6)
for name in ("machine", "esp32", "network"):
    sys.modules[name] = Module()
from wattboard import boots, hal
boots.PATH = ROOT + "/boots"
boots.CRASH_PATH, boots.TOLD_PATH = ROOT + "/crash.txt", ROOT + "/crash.told"
hal.reset_cause = lambda: "watchdog"
def crash(data):
    with open(boots.CRASH_PATH, "wb") as file:
        file.write(data)
for number in range(1, 30):
    crash(b"meter\\n" + b"w" * 90 + b" %d" % number)
    assert boots.begun(number).endswith("w %d" % number)
text = boots.told()
assert len(text) <= boots.TEXT_CHARS, len(text)
lines = text.split("\\n")
assert lines[0].startswith("29 watchdog: www") and lines[0].endswith(" 29"), lines
assert len(lines) <= 8 and lines[5].startswith("24 "), lines
for number in range(30, 40):
    assert boots.begun(number) is None
assert boots.told() == "\\n".join(["%d watchdog" % number for number in range(39, 31, -1)]), boots.told()
for spoilt in (b"", b"\\xff\\xfe\\x00", b"\\n" * 3000):
    crash(spoilt)
    with open(boots.PATH, "wb") as file:
        file.write(spoilt)
    boots.begun(40)
    assert boots.told().startswith("40 watchdog"), boots.told()
"""


def test_the_stack_of_starts_is_bounded_and_takes_spoilt_files(run_micropython, tmp_path):
    run_micropython(f"ROOT = {json.dumps(str(tmp_path))}\n{BOOTS}")
    shutil.rmtree(tmp_path)
