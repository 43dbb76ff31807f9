"""What `board doctor` tells of a board and of the air around it, and the bars of whatever takes long."""

import asyncio
import contextlib
import os
import re
import sys
from pathlib import Path

import pytest

from emulator.board import Board
from emulator.radio.air import Air
from emulator.radio.bridge import Bridge
from emulator.radio.monitors import Jbd, Pack, monitor
from emulator.radio.victron import BATTERY, VictronDevice, battery_record
from wattness.cli.progress import bars
from wattprogram import Layout, Software, software

PATIENCE_S = 60.0
SMALL = b"import esp32\nesp32.idf_heap_info = lambda _: [(113840, 60000, 50000, 50000)]\n"


async def doctor(port: Path, *words: str) -> str:
    """Return what the command prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wattness", "board", "doctor", str(port), *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_S):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


@pytest.mark.timeout(120)
async def test_the_doctor_tells_of_memory_and_of_who_is_on_the_air(tmp_path):
    air = Air()
    async with Bridge(air) as address, monitor(air, Jbd(Pack()), "garage pack") as pack:
        victron = VictronDevice(air, "v", bytes(16), BATTERY)
        await victron.show(battery_record(13_000, -1500, 800))
        async with Board(tmp_path, ble=address, heap="512k", software=lambda: software(Layout.MPY)) as board:
            said = await doctor(board.repl_path, "--last-unit", "2")
    await air.close()
    assert re.search(r"^  heap +\d+ bytes free of \d+$", said, re.MULTILINE)
    assert "  IDF heap   108000 bytes free, 90000 in one piece" in said
    assert re.search(r"^! Wi-Fi +not joined$", said, re.MULTILINE)
    assert re.search(r"^! bus +UART 1, 9600 baud, TX 17, RX 16: no units answer$", said, re.MULTILINE)
    assert re.search(r"^  Bluetooth +2 devices$", said, re.MULTILINE)
    assert f"{pack.address.lower()} -60 dBm garage pack" in said
    assert f"{victron.address.lower()} -60 dBm Victron" in said


@pytest.mark.timeout(120)
async def test_the_doctor_leaves_a_radio_alone_that_has_no_room(tmp_path):
    files = {**software(Layout.MPY).files, "/boot.py": SMALL}
    air = Air()
    async with (
        Bridge(air) as address,
        Board(tmp_path, ble=address, heap="512k", software=lambda: Software(files)) as board,
    ):
        said = await doctor(board.repl_path, "--last-unit", "0")
    await air.close()
    assert re.search(r"^! Bluetooth +no room for ble and wifi: 71000 bytes of IDF heap, 16000 ", said, re.MULTILINE)


def test_bars_are_drawn_on_a_screen_and_nowhere_else(monkeypatch, capsys):
    with bars() as progress:
        progress("copying", 1, 2)
    assert capsys.readouterr() == ("", "")
    master, slave = os.openpty()
    with open(slave, "w") as screen:  # noqa: PTH123 - it has no path
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setenv("TERM", "xterm")
        with bars() as progress:
            progress("copying", 1, 2)
            progress("copying", 2, 2)
    drawn = written_on(master)
    os.close(master)
    assert "copying" in drawn
    assert "100 %" in drawn


def written_on(master: int) -> str:
    """All that was written to a pseudo-terminal whose other end is closed: it comes in pieces."""
    written = b""
    with contextlib.suppress(OSError):  # Linux says the end of it with EIO
        while piece := os.read(master, 65536):
            written += piece
    return written.decode()
