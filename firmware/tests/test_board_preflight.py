"""A radio that has no room in the IDF's heap never begins, and the board says so and goes on."""

import runpy
from pathlib import Path

import pytest

from emulator.board import Cause
from emulator.radio.air import Air
from emulator.radio.bridge import Bridge
from wattwire import frame

_harness = runpy.run_path(str(Path(__file__).with_name("board_world.py")))
CHIP = """
import bluetooth
import esp32
esp32.idf_heap_info = lambda _: [(200000, {free}, 60000, 50000)]
switch = bluetooth.BLE.active
def active(self, on=None):
    if on: print("the radio begins")
    return switch(self, on)
bluetooth.BLE.active = active
"""


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("free", "fits"), [(86_999, False), (87_000, True)])
async def test_a_radio_without_room_never_begins_and_the_meters_go_on(tmp_path, free, fits):
    pack = {"role": "battery", "profile": "jbd", "unit": 9, "period_ms": 30000, "ble": {"name": "pack"}}
    boot = _harness["BOOT"] + CHIP.format(free=free).encode()
    its = _harness["World"](tmp_path, boot=boot, streams=[_harness["PV"], pack], health_ms=60000)
    air = Air()
    async with Bridge(air) as its.board.ble:
        try:
            await its.start()
            await its.until(lambda: len(its.gateway.of_kind(frame.KIND_HEALTH)) >= 2)
            values = its.gateway.of_kind(frame.KIND_HEALTH)[-1].body.values
            reason = "no room for ble and wifi: 71000 bytes of IDF heap, 16000 of them in one piece; there are 70999"
            assert (reason in values.get("no_room_ble", "")) is not fits
            assert values.get("preflight_refusals", 0) == int(not fits)
            assert ("the radio begins" in its.board.console.text()) is fits
            entries = [entry for record in its.gateway.of_kind(frame.KIND_ROWS) for entry in record.body.entries]
            assert {entry.stream for entry in entries} == {0}
            assert its.board.causes == [Cause.POWER_ON]
        finally:
            await its.stop()
    await air.close()
