"""Setting up boards over their serial ports, and what is said when that cannot be."""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from emulator.board import Board
from emulator.bootloader import ESP32_S3, Bootloader
from wattness.serialboard import facts, repl
from wattness.serialboard.install import Installed, install
from wattness.serialboard.port import BoardError, open_port, port_error
from wattness.serialboard.repl import OnBoardError, Repl
from wattness.serialboard.transfer import listed
from wattprogram import Layout, Software, software
from wattprogram.rom import rom_image

PATIENCE_S = 50.0
HEAP = "512k"
OLD = {"/main.py": b"print('old')", "/wattboard/hal.py": b"old", "/wattboard/gone.py": b"old", "/slot_a": b"wnr1"}
OWNERS = {"/profiles/my_own.json": b"{}", "/config.json": b"{}", "/log/1/1": b"frames"}


@contextlib.asynccontextmanager
async def board(folder: Path, files: dict[str, bytes], rom_bytes: int | None = None) -> AsyncIterator[Board]:
    """A running board with these files, and perhaps a ROM partition."""
    rom = b"" if rom_bytes is None else rom_image({"/x": b""})
    async with Board(folder, repl=folder / "port", heap=HEAP, software=lambda: Software(files, rom)) as made:
        yield made


async def put_on(made: Board) -> tuple[Installed, dict[str, str], list[tuple[str, int, int]]]:
    """Install in a thread; returns what was done, what is on the flash then, and the progress."""
    steps: list[tuple[str, int, int]] = []

    def work() -> tuple[Installed, dict[str, str]]:
        with Repl(str(made.repl_path)) as line:
            done = install(line, lambda *step: steps.append(step))
            held = listed(line, ("",))
            line.reset()
        return done, held

    done, held = await asyncio.to_thread(work)
    return done, held, steps


async def run(*words: str, home: Path, send: bytes | None = None) -> tuple[int, str]:
    """Run the gateway's command line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wattness", "--home", str(home), *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_S):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_the_program_goes_into_rom_and_old_copies_and_slots_go(tmp_path):
    async with board(tmp_path, {**OLD, **OWNERS, "/profiles/eastron_sdm120.json": b"old"}, rom_bytes=1) as made:
        done, held, steps = await put_on(made)
        assert done.layout is Layout.ROM
        assert done.removed == 3
        assert not done.has_key
        assert set(held) == {"/main.py", *OWNERS}
        assert {step[0] for step in steps} >= {"erasing", "copying"}
        assert all(0 <= at <= total for _, at, total in steps)
        async with asyncio.timeout(PATIENCE_S):
            await made.console.wait("wattness: ")
        again, _, _ = await put_on(made)
        assert (again.written_bytes, again.removed) == (0, 0)


async def test_without_a_rom_partition_it_goes_into_files(tmp_path):
    async with board(tmp_path, {**OLD, **OWNERS}) as made:
        done, held, _ = await put_on(made)
        assert done.layout is Layout.MPY
        assert done.removed == 2
        assert set(held) == set(software(Layout.MPY).files) | set(OWNERS)
        async with asyncio.timeout(PATIENCE_S):
            await made.console.wait("wattness: ")
        again, _, _ = await put_on(made)
        assert (again.written_bytes, again.removed) == (0, 0)


async def test_a_full_flash_is_told_before_anything_is_removed(tmp_path):
    async with board(tmp_path, {"/main.py": b"", "/log/1/1": os.urandom(1_900_000)}) as made:
        with pytest.raises(BoardError, match=r"flash is too full: .* let it deliver what it has logged"):
            await put_on(made)


async def test_flash_puts_micropython_on_a_board_and_waits_for_it(tmp_path):
    image = tmp_path / "image.bin"
    data = bytes((0xE9, 1, 2, 0x20)) + bytes(8) + ESP32_S3.to_bytes(2, "little") + b"MicroPython v1.29.0" + bytes(9000)
    image.write_bytes(data)
    async with board(tmp_path / "board", {"/main.py": b""}) as made, Bootloader() as chip:
        chip.repl = made.repl_path
        words = ("board", "flash", chip.url, "--image", str(image), "--no-program")
        code, said = await run(*words, home=tmp_path)
        assert code == 2
        assert "name the image's SHA-256 with --sha256" in said
        assert not chip.blocks
        code, said = await run(*words, "--sha256", hashlib.sha256(data).hexdigest(), home=tmp_path)
        assert code == 0, said
        assert "The ESP32-S3 runs MicroPython 1.29.0." in said
        assert chip.flash.startswith(data)


async def test_a_board_with_another_firmware_or_none_is_told_from_a_silent_one(tmp_path, monkeypatch):
    monkeypatch.setattr(repl, "ENTER_S", 0.3)
    master, slave = os.openpty()
    port = str(tmp_path / "port")
    Path(port).symlink_to(os.ttyname(slave))
    heard: list[bytes] = []
    answers = {"other": b"Hello from Arduino\r\n", "bare": b"invalid header: 0xffffffff\r\n", "silent": b""}
    texts = {
        "other": r"does not answer as MicroPython \(it says '.*Arduino",
        "bare": "has no MicroPython",
        "silent": "Nothing",
    }
    kind = ""

    def answer() -> None:
        heard.append(os.read(master, 4096))
        os.write(master, answers[kind])

    asyncio.get_running_loop().add_reader(master, answer)
    try:
        for kind, text in texts.items():  # noqa: B007 - read by `answer`
            with pytest.raises(BoardError, match=text):
                await asyncio.to_thread(Repl(port).__enter__)
    finally:
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)
        os.close(slave)
    assert heard


async def test_micropython_that_is_too_old_or_for_another_board_is_refused(tmp_path, monkeypatch):
    async with board(tmp_path, {"/main.py": b""}) as made:

        def look() -> facts.Facts:
            with Repl(str(made.repl_path)) as line:
                return facts.look(line)

        found = await asyncio.to_thread(look)
        assert found.version >= facts.VERSION_LEAST
        assert not found.rom_bytes
        real = facts.LOOK
        for change, text in (
            ('f["version"] = [1, 22, 2]', r"MicroPython 1\.22\.2 is too old: 1\.23 or later"),
            ('f["missing"] = ["network"]', "not an ESP32 with Wi-Fi: its MicroPython lacks network"),
            ('f["name"] = "circuitpython"', "runs circuitpython, not MicroPython"),
        ):
            monkeypatch.setattr(facts, "LOOK", real.replace("print(json", f"{change}\nprint(json"))
            with pytest.raises(BoardError, match=text):
                await asyncio.to_thread(look)


async def test_an_exception_on_the_board_is_one_sentence(tmp_path):
    async with board(tmp_path, {"/main.py": b""}) as made:

        def fail() -> None:
            with Repl(str(made.repl_path)) as line:
                line.run("1 / 0")

        with pytest.raises(OnBoardError, match=r"^The board says: ZeroDivisionError: divide by zero\.$"):
            await asyncio.to_thread(fail)


def test_a_port_that_is_not_there_busy_forbidden_or_no_port(tmp_path):
    with pytest.raises(BoardError, match="There is no port /dev/ttyUSB99"):
        open_port("/dev/ttyUSB99")
    (tmp_path / "file").touch()
    with pytest.raises(BoardError, match="cannot be used as a serial port"):
        open_port(str(tmp_path / "file"))
    master, slave = os.openpty()
    try:
        fcntl.flock(slave, fcntl.LOCK_EX)
        with pytest.raises(BoardError, match="is busy: another program has it"):
            open_port(os.ttyname(slave))
    finally:
        os.close(master)
        os.close(slave)
    refused = port_error("/dev/ttyUSB0", PermissionError(13, "no"))
    assert "sudo usermod -aG dialout $USER" in str(refused)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--stream", "grid"), "is not ROLE:PROFILE:UNIT"),
        (("--stream", "roof:eastron_sdm120:1"), "the role must be one of"),
        (("--stream", "grid:eastron_sdm120:300"), "the unit must be 1 to 247"),
        (("--stream", "grid:no_such:1"), "There is no profile 'no_such'"),
        (("--bus", "9600"), "is not UART,BAUD,TX,RX"),
        ((), "There is no port /dev/ttyUSB99"),
    ],
)
async def test_what_enrol_cannot_do_is_said_before_the_board_is_touched(tmp_path, words, text):
    assert (await run("init", home=tmp_path))[0] == 0
    assert (await run("key", "new", home=tmp_path))[0] == 0
    code, said = await run("board", "enrol", "/dev/ttyUSB99", *words, home=tmp_path)
    assert code == 2
    assert text in said
    assert said.count("\n") == 1


async def test_wifi_comes_from_a_private_file_or_a_person_and_a_bad_configuration_changes_nothing(tmp_path):
    home = tmp_path / "home"
    for words in (("init",), ("key", "new")):
        assert (await run(*words, home=home))[0] == 0
    wifi = tmp_path / "wifi.json"
    async with board(tmp_path / "board", software(Layout.MPY).files) as made:
        words = ("board", "enrol", str(made.repl_path), "--stream", "grid:eastron_sdm630:2")
        code, said = await run(*words, home=home)
        assert (code, "Nobody can be asked for the Wi-Fi here" in said) == (2, True)
        wifi.write_text('{"ssid": "home", "password": "secret-words"}')
        wifi.chmod(0o644)
        code, said = await run(*words, "--wifi", str(wifi), home=home)
        assert (code, "chmod 600" in said) == (2, True)
        wifi.chmod(0o600)
        code, said = await run(*words, "--wifi", str(wifi), "--bus", "9,9600,17,16", home=home)
        assert (code, "refuses this configuration: $.bus.uart: must be 0 to 2" in said) == (2, True), said
        code, said = await run(*words, "--wifi", str(wifi), home=home)
        assert code == 0, said
        assert "secret" not in said
        code, said = await run("board", "list", "--json", home=home)
        assert len(json.loads(said)) == 1
        assert "secret" not in made.console.text()
