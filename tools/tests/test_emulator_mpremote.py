"""The board's serial port serves the real mpremote."""

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from emulator.board import Board, Cause
from wattprogram import Software
from wattprogram.layout import bytecode
from wattprogram.rom import rom_image

PATIENCE_S = 30.0
MAIN = b"""
import asyncio
async def main():
    print("running")
    while True:
        await asyncio.sleep(1)
asyncio.run(main())
"""


@pytest.fixture
async def board(tmp_path) -> AsyncIterator[Board]:
    async with Board(
        tmp_path / "board", repl=tmp_path / "repl", software=lambda: Software({"/main.py": MAIN})
    ) as board:
        async with asyncio.timeout(PATIENCE_S):
            await board.console.wait("running")
        yield board


async def mpremote(board: Board, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mpremote", "connect", board.repl_path, *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode()
    assert process.returncode == 0, text
    return text.replace("\r", "")


async def test_exec_interrupts_the_program_and_soft_resets_first(board):
    assert await mpremote(board, "exec", "import machine; print(6 * 7, machine.reset_cause())") == "42 5\n"
    assert board.causes == [Cause.POWER_ON, Cause.SOFT]


async def test_resume_keeps_the_start_and_its_cause(board):
    assert await mpremote(board, "resume", "exec", "import machine; print(machine.reset_cause())") == "1\n"
    assert board.causes == [Cause.POWER_ON]
    assert "KeyboardInterrupt" in board.console.text()


async def test_files_go_there_and_back(board, tmp_path):
    text = "".join(f"{number}: ä\n" for number in range(500)).encode()
    (tmp_path / "here").write_bytes(text)
    await mpremote(board, "fs", "cp", str(tmp_path / "here"), ":there", "+", "fs", "mkdir", ":folder")
    listing = await mpremote(board, "fs", "ls")
    assert str(len(text)) in listing
    assert "folder/" in listing
    await mpremote(board, "fs", "cp", ":there", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == text
    await mpremote(board, "fs", "rm", ":there")
    assert "there" not in await mpremote(board, "fs", "ls")


async def test_reset_is_a_hard_one_and_runs_the_program(board):
    mark = board.console.total
    await mpremote(board, "reset")
    async with asyncio.timeout(PATIENCE_S):
        await board.wait_starts(2)
        while board.causes[-1] is not Cause.HARD:
            await board.wait_starts(len(board.causes) + 1)
        await board.console.wait("running", mark)


async def test_soft_reset(board):
    await mpremote(board, "soft-reset")
    assert board.causes == [Cause.POWER_ON, Cause.SOFT]


async def test_an_error_on_the_board_is_mpremotes_error(board):
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        await mpremote(board, "exec", "1 / 0")


async def test_a_folder_of_the_host_can_be_mounted(board, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "answer.py").write_text("print('from the host')")
    output = await mpremote(board, "mount", str(tmp_path / "shared"), "exec", "import answer")
    assert "from the host" in output


async def test_the_port_outlives_the_power(board):
    await board.power_cut()
    await board.power_on()
    assert await mpremote(board, "exec", "print('again')") == "again\n"


async def test_the_program_is_deployed_into_rom_and_runs_from_there(tmp_path):
    new = Software({"/main.py": b"import answer; print(answer.__file__, answer.text)"}, rom_image({"/x": b""}))
    image = tmp_path / "new.romfs"
    modules = {"/answer.py": b"text = 'from ROM'", "/much.py": b"x = b'%s'" % (b"-" * 9000)}
    image.write_bytes(rom_image(bytecode(modules)))
    async with Board(tmp_path / "board", repl=tmp_path / "repl", software=lambda: new) as board:
        async with asyncio.timeout(PATIENCE_S):
            await board.console.wait("no module named 'answer'")
        assert "Not a valid ROMFS" not in await mpremote(board, "romfs", "query")
        assert "ROMFS image deployed" in await mpremote(board, "romfs", "deploy", str(image))
        await mpremote(board, "reset")
        async with asyncio.timeout(PATIENCE_S):
            await board.console.wait("/rom/answer.mpy from ROM")
        assert f"ROMFS image size: {image.stat().st_size - 5}" in await mpremote(board, "romfs", "query")
        await board.power_cut()
        assert (board.folder / "rom.img").read_bytes().startswith(image.read_bytes())


async def test_a_board_without_a_rom_partition_says_so(board):
    assert "No ROMFS partitions available" in await mpremote(board, "romfs", "query")
