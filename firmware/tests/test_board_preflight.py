"""A radio that has no room in the IDF's heap is left alone, and the board says so and goes on."""

import runpy
from pathlib import Path

import pytest

from emulator.board import Cause
from emulator.radio.air import Air
from emulator.radio.bridge import Bridge
from wattwire import frame

_harness = runpy.run_path(str(Path(__file__).with_name("board_world.py")))
SMALL = b"""
import esp32
esp32.idf_heap_info = lambda _: [(113840, 70000, 60000, 50000)]
"""


@pytest.mark.timeout(90)
async def test_a_radio_without_room_is_refused_and_the_meters_go_on(tmp_path):
    pack = {"role": "battery", "profile": "jbd", "unit": 9, "period_ms": 30000, "ble": {"name": "pack"}}
    boot = _harness["BOOT"] + SMALL
    its = _harness["World"](tmp_path, boot=boot, streams=[_harness["PV"], pack], health_ms=60000)
    air = Air()
    async with Bridge(air) as its.board.ble:
        try:
            await its.start()
            await its.until(lambda: len(its.gateway.of_kind(frame.KIND_HEALTH)) >= 2)
            values = its.gateway.of_kind(frame.KIND_HEALTH)[-1].body.values
            assert "no room for ble and wifi: 71000 bytes of IDF heap" in values["no_room_ble"]
            assert values["preflight_refusals"] == 1
            entries = [entry for record in its.gateway.of_kind(frame.KIND_ROWS) for entry in record.body.entries]
            assert {entry.stream for entry in entries} == {0}
            assert its.board.causes == [Cause.POWER_ON]
        finally:
            await its.stop()
    await air.close()
