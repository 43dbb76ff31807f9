"""What only an uncommon start needs: a program by air, a trial, a bad start before, or an end.

It is apart from the rest because a chip keeps every name that it has read for ever.
"""

import asyncio
import io
import os
import sys

import machine
import vfs

from wattboot import word as words
from wattboot.slot import SlotFs

SAFE, TRIAL, NEW_CONFIG = 1, 2, 4  # what the program is told of this start
KEY, MOUNT = "prog", "/rom"
CONFIG = "/config.json"
CRASH = "/crash.txt"
CRASH_CHARS = 2000
REPL_WATCHDOG_MS = 1800000


def decide(nvs, word, counts, power_on):
    """Find out what this start runs and tries, see to it, and return what the program has to know."""
    word = words.begun(word, counts, power_on)
    _write(nvs, word)
    slot = words.slot(word)
    if slot != words.FACTORY and not _mount(words.PATHS[slot]):
        word = words.spoilt(word)
        _write(nvs, word)
        if words.slot(word) != words.FACTORY:
            machine.reset()  # to the program that is kept
    if words.is_trial(word):
        asyncio.create_task(_undo(nvs, words.seconds(word)))  # noqa: RUF006 - the scheduler keeps it
    told = SAFE if words.is_safe(word) else 0
    told |= TRIAL if words.is_trial(word) else 0
    return told | (NEW_CONFIG if word & words.CONFIG_TRYING else 0)


def ended(error, told):
    """Have the program's end lead to another start; safe mode and a board without a configuration keep the REPL."""
    sys.print_exception(error)
    try:
        os.stat(CONFIG)
    except OSError:
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


async def _undo(nvs, seconds):
    """Reset a start on trial that has not proved itself in time: the next one goes back."""
    await asyncio.sleep_ms(1000 * seconds)
    if words.is_trial(nvs.get_i32(KEY)):
        print("wattboot: tried for", seconds, "s in vain")
        machine.reset()


def _write(nvs, word):
    nvs.set_i32(KEY, word)
    nvs.commit()
