"""The start: which program, which configuration, and the way back if they are no good."""

import asyncio
import io
import os
import sys

import esp32
import machine
import vfs

from wattboot import word as words
from wattboot.slot import MOUNT, SlotFs

SAFE, TRIAL, NEW_CONFIG = 1, 2, 4  # what the program is told of this start
CONFIG = "/config.json"
CRASH = "/crash.txt"
CRASH_CHARS = 2000
WATCHDOG_MS = 30000
REPL_WATCHDOG_MS = 1800000


def begin():
    """Settle what this start runs, and return what the program has to know of it.

    A board with a configuration has its watchdog on from here: a program that hangs leads back, too.
    """
    nvs = esp32.NVS("wattness")
    cause = machine.reset_cause()
    counts = cause in (machine.HARD_RESET, machine.WDT_RESET)
    word = words.begun(_read(nvs), counts, cause == machine.PWRON_RESET)
    _write(nvs, word)
    if _is_configured():
        machine.WDT(timeout=WATCHDOG_MS)
    slot = words.slot(word)
    if slot != words.FACTORY and not _mount(words.PATHS[slot]):
        word = words.spoilt(word)
        _write(nvs, word)
        if words.slot(word) != words.FACTORY:
            machine.reset()  # to the program that is kept
    if words.is_trial(word):
        asyncio.create_task(_undo(words.seconds(word)))  # noqa: RUF006 - the scheduler keeps it
    told = SAFE if words.is_safe(word) else 0
    told |= TRIAL if words.is_trial(word) else 0
    told |= NEW_CONFIG if word & words.CONFIG_TRYING else 0
    _forget()
    return told


def ended(error, told):
    """Have the program's end lead to another start; safe mode and a board without a configuration keep the REPL."""
    sys.print_exception(error)
    if not _is_configured():
        return
    if isinstance(error, KeyboardInterrupt) or (told & SAFE):
        machine.WDT(timeout=REPL_WATCHDOG_MS)
        return
    text = io.StringIO()
    sys.print_exception(error, text)
    try:
        with open(CRASH, "w") as file:
            file.write(text.getvalue()[-CRASH_CHARS:])
    except OSError:
        pass  # a full flash must not hinder the reset
    machine.reset()


def _mount(path):
    try:
        files = SlotFs(path)
    except OSError:
        return False
    if MOUNT in sys.path:
        sys.path.remove(MOUNT)
        vfs.umount(MOUNT)  # the image in ROM
    vfs.mount(files, MOUNT)
    sys.path.insert(0, MOUNT)
    return True


async def _undo(seconds):
    """Reset a start on trial that has not proved itself in time: the next one goes back."""
    await asyncio.sleep_ms(1000 * seconds)
    if words.is_trial(_read(esp32.NVS("wattness"))):
        print("wattboot: tried for %d s in vain" % seconds)
        machine.reset()


def _is_configured():
    try:
        os.stat(CONFIG)
    except OSError:
        return False
    return True


def _read(nvs):
    try:
        return nvs.get_i32(words.KEY)
    except OSError:
        return 0


def _write(nvs, word):
    nvs.set_i32(words.KEY, word)
    nvs.commit()


def _forget():
    """Give back the room that only the start needs."""
    for name in [name for name in sys.modules if name.startswith("wattboot")]:
        del sys.modules[name]
