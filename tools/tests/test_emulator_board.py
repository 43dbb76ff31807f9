"""The emulated chip: starts, resets, watchdog, power, flash, NVS, clocks, and that no process is left."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from emulator.board import Board, Cause
from emulator.console import FILE_BYTES_MAX
from emulator.errors import EmulatorError
from emulator.flash import read_files
from emulator.vm import find_micropython
from wattprogram import Software

PATIENCE_S = 30.0
HEAD = "import machine, esp32, os, sys, time\ncause = machine.reset_cause()\nprint('cause', cause)\n"


async def said(board: Board, text: str, since: int = 0) -> str:
    async with asyncio.timeout(PATIENCE_S):
        return await board.console.wait(text, since)


@pytest.fixture
async def make_board(tmp_path) -> AsyncIterator[Callable[..., Board]]:
    """A board with `main` as its program."""
    boards: list[Board] = []

    def make(main: str, **options) -> Board:
        folder = tmp_path / f"board{len(boards)}"
        boards.append(Board(folder, software=lambda: Software({"/main.py": (HEAD + main).encode()}), **options))
        return boards[-1]

    yield make
    for board in boards:
        await board.stop()


async def test_a_board_starts_and_sees_only_its_flash(make_board):
    board = make_board("print(os.listdir('/'), sys.argv, machine.unique_id().hex())\nopen('/etc/passwd')")
    await board.start()
    text = await said(board, ">>> ")
    assert "cause 1" in text
    assert "['main.py'] []" in text
    assert "ENOENT" in text
    assert board.causes == [Cause.POWER_ON]


async def test_resets_are_told_apart(make_board):
    steps = """
print("here")
if cause == 1: machine.reset()
if cause == 2: machine.soft_reset()
if cause == 5: machine.deepsleep(10)
machine.WDT(timeout=100)
while True: pass
"""
    board = make_board(steps)
    await board.start()
    async with asyncio.timeout(PATIENCE_S):
        await board.wait_starts(5)
    assert board.causes == [Cause.POWER_ON, Cause.HARD, Cause.SOFT, Cause.DEEP_SLEEP, Cause.WATCHDOG]
    assert "MPY: soft reboot" in board.console.text()


async def test_nothing_runs_after_a_reset(make_board):
    board = make_board("""
if cause == 1:
    try: machine.reset()
    finally: open("/after", "w").close()
print(os.listdir("/"))
""")
    await board.start()
    assert "['main.py']" in await said(board, "]")


async def test_a_fed_watchdog_does_not_bite(make_board):
    board = make_board("""
dog = machine.WDT(timeout=1000)
for _ in range(30):
    dog.feed()
    time.sleep_ms(50)
print("fed")
while True: pass
""")
    await board.start()
    await said(board, "fed")
    assert board.causes == [Cause.POWER_ON]
    async with asyncio.timeout(PATIENCE_S):
        await board.wait_starts(2)
    assert board.causes[1] is Cause.WATCHDOG


async def test_nvs_survives_and_what_was_not_committed_does_not(make_board):
    board = make_board("""
nvs = esp32.NVS("wattness")
blob = bytearray(4)
try: print("boot", nvs.get_i32("boot"), nvs.get_blob("key", blob), bytes(blob))
except OSError as error: print(error)
nvs.set_i32("boot", 7)
nvs.set_blob("key", b"abc")
nvs.commit()
nvs.set_i32("boot", 8)
print("same", nvs.get_i32("boot"), "done")
""")
    await board.start()
    assert "ESP_ERR_NVS_NOT_FOUND" in await said(board, "same 8 done")
    await board.power_cut()
    mark = board.console.total
    await board.power_on()
    assert "boot 7 3 b'abc\\x00'" in await said(board, "done", mark)


async def test_flash_survives_reset_and_power_cut(make_board):
    board = make_board("""
with open("/log", "a") as file: file.write("%d " % cause)
print(open("/log").read(), "done")
""")
    await board.start()
    await said(board, "1  done")
    await board.reset()
    await said(board, "1 2  done")
    await board.power_cut()
    await board.power_on()
    await said(board, "1 2 1  done")
    await board.power_cut()
    assert read_files(board.flash_image)["/log"] == b"1 2 1 "


@pytest.mark.parametrize("tear", ["none", "half", "all"])
async def test_power_cut_inside_a_flash_operation(make_board, tear):
    replace = """
text = open("/state").read() if "state" in os.listdir("/") else "new" * 100
print("state", len(text), text == text[:3] * (len(text) // 3))
with open("/state.next", "w") as file: file.write(("%03d" % (int(text[:3]) + 1 if text[0] != "n" else 0)) * 100)
os.rename("/state.next", "/state")
print("replaced")
"""
    board = make_board(replace)
    await board.start()
    await said(board, "replaced")
    cuts = 0
    for operation in (1, 2, 5, 9, 14, 400):
        await board.power_cut()
        board.cut = (operation, tear)
        mark = board.console.total
        try:
            await board.power_on()
            async with asyncio.timeout(PATIENCE_S):
                while board.pid is not None and "replaced" not in board.console.text(mark):
                    await asyncio.sleep(0.01)
        finally:
            cuts += board.pid is None
        await board.power_cut()
        mark = board.console.total
        await board.power_on()
        assert "state 300 True" in await said(board, "replaced", mark)
    assert cuts >= 3


async def test_the_rtc_runs_fast_and_through_a_reset_and_the_ticks_do_not(make_board):
    board = make_board(
        """
ticks, ns = time.ticks_us(), time.time_ns()
time.sleep_ms(100)
ns = time.time_ns() - ns
us = time.ticks_diff(time.ticks_us(), ticks)
print("ratio", us * 60000 >= ns >= (us - 50000) * 60000 > 0, time.RATE, time.localtime()[0])
if cause == 1: machine.RTC().datetime((2030, 5, 6, 0, 7, 8, 9, 0))
print("rtc", time.localtime()[:4], machine.RTC().datetime()[:3])
if cause == 1: machine.reset()
print("done")
""",
        rate=60,
    )
    await board.start()
    text = await said(board, "done")
    assert text.count("ratio True 60") == 2
    assert "ratio True 60 2000" in text
    assert text.count("rtc (2030, 5, 6, 7) (2030, 5, 6)") == 2
    await board.power_cut()
    mark = board.console.total
    await board.power_on()
    assert "60 2000" in await said(board, "rtc", mark)


async def test_ticks_wrap_as_soon_as_wanted(make_board):
    board = make_board(
        """
first = time.ticks_ms()
while time.ticks_ms() >= first: pass
after = time.ticks_diff(time.ticks_ms(), first)
print("wrapped", first > 1 << 29, 0 < after < 1 << 29, time.ticks_add(first, 5000) < first)
""",
        wrap_in_ms=1000,
    )
    await board.start()
    await said(board, "wrapped True True True")


async def test_the_console_log_stays_bounded(make_board):
    board = make_board("for _ in range(3000): print('x' * 300)\nprint('done')")
    await board.start()
    await said(board, "done")
    assert board.console.path.stat().st_size <= FILE_BYTES_MAX
    assert board.console.path.with_suffix(".log.1").stat().st_size <= FILE_BYTES_MAX


async def test_a_stopped_board_leaves_no_process(make_board):
    board = make_board("while True: pass")
    await board.start()
    pid = board.pid
    assert psutil.pid_exists(pid)
    await board.stop()
    assert not psutil.pid_exists(pid)
    assert board.pid is None


async def test_a_killed_supervisor_takes_the_board_along(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "emulator", "board", "--flash", tmp_path / "b", "--repl", tmp_path / "repl",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_S):
        assert b"repl" in await process.stdout.readline()
        (vm,) = psutil.Process(process.pid).children()
        assert (tmp_path / "repl").is_symlink()
        process.kill()
        await process.wait()
        while vm.is_running() and vm.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.01)


async def test_the_command_line_stops_cleanly(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "emulator", "board", "--flash", tmp_path / "b", stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE_S):
        await process.stdout.readline()
        (vm,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    assert not vm.is_running()


def test_a_missing_vm_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setenv("MICROPYTHON", "/nowhere/micropython")
    with pytest.raises(EmulatorError, match="MICROPYTHON=/nowhere/micropython"):
        find_micropython()
    monkeypatch.delenv("MICROPYTHON")
    monkeypatch.setenv("PATH", os.fspath(Path(__file__).parent))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EmulatorError, match="name it: MICROPYTHON="):
        find_micropython()
