"""Flashing: the real esptool against a boot loader that speaks its protocol."""

import asyncio
import os
from pathlib import Path

import pytest

from emulator.bootloader import ESP32_S3, Bootloader
from wattness.serialboard.flash import check_sha256, flash, read_image
from wattness.serialboard.port import BoardError

BANNER = b"MicroPython v1.26.1 on 2025-09-11; "


def image_file(folder: Path, *, chip_id: int = ESP32_S3, banner: bytes = BANNER, magic: int = 0xE9) -> Path:
    """A file that looks like MicroPython for a chip, large enough for several blocks."""
    path = folder / "image.bin"
    header = bytes((magic, 1, 2, 0x20)) + bytes(8) + chip_id.to_bytes(2, "little") + bytes(10)
    path.write_bytes(header + banner + os.urandom(40_000))
    return path


def nobody(what: str, done: int, total: int) -> None:
    """Nobody watches."""


async def test_an_image_is_written_where_the_chip_wants_it_and_verified(tmp_path):
    image = read_image(image_file(tmp_path))
    shown = []
    async with Bootloader() as chip:
        name = await asyncio.to_thread(flash, chip.url, image, lambda *step: shown.append(step))
    assert name == "ESP32-S3"
    assert chip.flash.startswith(image.data)
    assert chip.stub
    assert not chip.erased
    steps = [step for step in shown if step[0] == "flashing"]
    assert len(steps) > 2
    assert steps[-1][1] == steps[-1][2]


async def test_the_whole_flash_is_erased_on_request(tmp_path):
    image = read_image(image_file(tmp_path))
    async with Bootloader() as chip:
        chip.flash[0x300000] = 0
        await asyncio.to_thread(lambda: flash(chip.url, image, nobody, erase=True))
    assert chip.erased
    assert chip.flash[0x300000] == 0xFF
    assert chip.flash.startswith(image.data)


async def test_an_image_for_another_chip_is_refused_before_anything_is_written(tmp_path):
    image = read_image(image_file(tmp_path, chip_id=0))
    async with Bootloader() as chip:
        with pytest.raises(BoardError, match="image is for an ESP32, the board is an ESP32-S3; nothing was written"):
            await asyncio.to_thread(flash, chip.url, image, nobody)
    assert not chip.blocks
    assert set(chip.flash) == {0xFF}


async def test_an_image_larger_than_the_flash_is_refused(tmp_path):
    path = image_file(tmp_path)
    with path.open("ab") as file:
        file.write(bytes(5 << 20))
    async with Bootloader() as chip:
        with pytest.raises(BoardError, match=r"will not fit in 4194304 bytes of flash"):
            await asyncio.to_thread(flash, chip.url, read_image(path), nobody)
    assert not chip.blocks


async def test_a_cable_that_goes_half_way_says_so_and_a_second_try_helps(tmp_path):
    image = read_image(image_file(tmp_path))
    async with Bootloader(hangs_up_after=1) as chip:
        with pytest.raises(BoardError, match=r"Flashing ended half-way .* try again"):
            await asyncio.to_thread(flash, chip.url, image, nobody)
    async with Bootloader() as chip:
        assert await asyncio.to_thread(flash, chip.url, image, nobody) == "ESP32-S3"


async def test_who_is_no_chip_is_told_how_to_become_one(tmp_path):
    async def deaf(reader, writer):
        await reader.read()
        writer.close()

    image = read_image(image_file(tmp_path))
    async with await asyncio.start_server(deaf, "127.0.0.1", 0) as server:
        url = f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(BoardError, match=r"No ESP32 answers at .* hold the board's BOOT button"):
            await asyncio.to_thread(flash, url, image, nobody)


def test_no_port_is_said_as_such(tmp_path):
    with pytest.raises(BoardError, match="There is no port /dev/ttyUSB99"):
        flash("/dev/ttyUSB99", read_image(image_file(tmp_path)), nobody)


def test_what_is_no_image_is_refused(tmp_path):
    for options in ({"magic": 0x7F}, {"banner": b"Arduino"}):
        with pytest.raises(BoardError, match=r"no MicroPython image for an ESP32: take the \.bin"):
            read_image(image_file(tmp_path, **options))
    with pytest.raises(BoardError, match=r"holds MicroPython 1\.22\.2; take 1\.23 or later"):
        read_image(image_file(tmp_path, banner=b"MicroPython v1.22.2 on 2024-02-22"))
    (tmp_path / "image.bin").write_bytes(b"")
    with pytest.raises(BoardError, match="no MicroPython image"):
        read_image(tmp_path / "image.bin")
    with pytest.raises(BoardError, match="cannot be read: No such file"):
        read_image(tmp_path / "none.bin")


def test_the_sha256_must_be_the_makers(tmp_path):
    image = read_image(image_file(tmp_path))
    check_sha256(image, image.sha256.upper())
    with pytest.raises(BoardError, match="download it again"):
        check_sha256(image, "0" * 64)
    with pytest.raises(BoardError, match="64 hexadecimal digits"):
        check_sha256(image, image.sha256[:-1])
