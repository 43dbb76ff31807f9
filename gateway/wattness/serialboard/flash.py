"""MicroPython onto a chip, by esptool: the image is checked whole before anything touches the board."""

import hashlib
import logging
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import esptool  # type: ignore[import-untyped]
from esptool.logger import TemplateLogger, log  # type: ignore[import-untyped]
from esptool.targets import ROM_LIST  # type: ignore[import-untyped]
from serial import SerialException

from .facts import VERSION_LEAST, dotted
from .port import BoardError, why_not
from .repl import Repl
from .transfer import Progress

logger = logging.getLogger(__name__)

IMAGE_MAGIC = 0xE9
IMAGE_BYTES_MAX = 16 << 20
CHIP_AT = 12  # in an image's header: two bytes
BANNER = re.compile(rb"MicroPython v(\d+)\.(\d+)(?:\.(\d+))?")
FAST_BAUD = 460_800
CONNECT_TRIES = 4
BOOT_S, BOOT_TRIES = 1.0, 10
SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class Image(NamedTuple):
    """A MicroPython image for an ESP32, checked."""

    data: bytes
    sha256: str
    chip_id: int
    version: tuple[int, ...]


class _Log(TemplateLogger):  # type: ignore[misc]
    """What esptool says, as our own progress and log."""

    def __init__(self) -> None:
        self.progress: Progress | None = None

    def print(self, *args: Any, **_: Any) -> None:
        logger.debug("esptool text=%s", " ".join(map(str, args)).strip())

    def note(self, message: str) -> None:
        self.print(message)

    def warning(self, message: str) -> None:
        self.print(message)

    def error(self, message: str) -> None:
        self.print(message)

    def warn(self, message: str, suggestion: str | None = None) -> None:
        self.print(message, suggestion)

    def err(self, message: str, suggestion: str | None = None) -> None:
        self.print(message, suggestion)

    def stage(self, finish: bool = False) -> None:  # noqa: FBT001, FBT002 - esptool's form
        """Nothing is to be folded up."""

    def progress_bar(self, cur_iter: int, total_iters: int, *_: Any, **__: Any) -> None:
        if self.progress is not None:
            self.progress("flashing", cur_iter, total_iters)

    def set_verbosity(self, verbosity: str) -> None:
        """There is one."""


_LOG = _Log()
log.set_logger(_LOG)  # esptool takes one, once


def read_image(path: Path) -> Image:
    """Return the image in a file; raises BoardError for what is not MicroPython for an ESP32."""
    try:
        with path.open("rb") as file:
            data = file.read(IMAGE_BYTES_MAX + 1)
    except OSError as error:
        raise BoardError(f"{path} cannot be read: {error.strerror}.") from None
    banner = BANNER.search(data)
    if len(data) > IMAGE_BYTES_MAX or len(data) < CHIP_AT + 2 or data[0] != IMAGE_MAGIC or banner is None:
        raise BoardError(
            f"{path} is no MicroPython image for an ESP32: take the .bin file (not .app-bin, .uf2 or .elf) for your "
            "board from MicroPython's download page."
        )
    version = tuple(int(part) for part in banner.groups() if part is not None)
    if version < VERSION_LEAST[: len(version)]:
        raise BoardError(f"{path} holds MicroPython {dotted(version)}; take {dotted(VERSION_LEAST[:2])} or later.")
    chip_id = int.from_bytes(data[CHIP_AT : CHIP_AT + 2], "little")
    return Image(data, hashlib.sha256(data).hexdigest(), chip_id, version)


def check_sha256(image: Image, expected: str) -> None:
    """Raise BoardError if the image is not the one whose SHA-256 its maker names."""
    if not SHA256.fullmatch(expected):
        raise BoardError("A SHA-256 has 64 hexadecimal digits; copy it from where the image came from.")
    if image.sha256 != expected.lower():
        raise BoardError(f"The image has the SHA-256 {image.sha256}, not the one given: download it again.")


def flash(port: str, image: Image, progress: Progress, *, erase: bool = False) -> str:
    """Write the image and start it; returns the chip's name. Raises BoardError."""
    _LOG.progress = progress
    progress("connecting", 0, 1)
    try:
        esp = esptool.detect_chip(port, connect_attempts=CONNECT_TRIES)
    except (esptool.FatalError, SerialException, OSError) as error:
        raise why_not(port) or _unreached(port, error) from None
    try:
        with esp:
            return _write(esp, image, erase=erase)
    except (esptool.FatalError, SerialException, OSError) as error:
        raise BoardError(
            f"Flashing ended half-way ({_first(error)}): the board does not start now, but is not broken; try again "
            "with a shorter cable or another USB port."
        ) from None


def wait_for_repl(port: str, progress: Progress) -> None:
    """Return when MicroPython answers after its first start; raises BoardError."""
    for attempt in range(BOOT_TRIES):
        progress("starting", attempt, BOOT_TRIES)
        time.sleep(BOOT_S)
        try:
            with Repl(port):
                progress("starting", BOOT_TRIES, BOOT_TRIES)
                return
        except BoardError as error:
            last = error
    raise last


def _write(esp: Any, image: Image, *, erase: bool) -> str:
    chip = str(esp.CHIP_NAME)
    if image.chip_id != esp.IMAGE_CHIP_ID:
        raise BoardError(
            f"The image is for an {chip_name(image.chip_id)}, the board is an {chip}; nothing was written. "
            f"Take the image for the {chip}."
        )
    esp = esptool.run_stub(esp)
    if esp.IS_STUB:
        esp.change_baud(FAST_BAUD)
    esptool.attach_flash(esp)
    esptool.write_flash(esp, [(esp.BOOTLOADER_FLASH_OFFSET, image.data)], erase_all=erase)
    esptool.reset_chip(esp, "hard-reset")
    return chip


def chip_name(chip_id: int) -> str:
    """Return what a chip with that number is called."""
    return next((str(each.CHIP_NAME) for each in ROM_LIST if chip_id == each.IMAGE_CHIP_ID), f"unknown chip {chip_id}")


def _unreached(port: str, error: Exception) -> BoardError:
    return BoardError(
        f"No ESP32 answers at {port} ({_first(error)}): hold the board's BOOT button, press and let go RESET, let go "
        "BOOT, and try again; if that does not help, the cable carries no data or this is another kind of board."
    )


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
