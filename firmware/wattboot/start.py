"""The start: which program, which configuration, and the way back if they are no good."""

import os
import sys

import esp32
import machine

WATCHDOG_MS = 30000
UNPROVEN = 1 << 7  # as wattboot/word.py has it


def begin():
    """Settle what this start runs, and return what the program has to know of it (wattboot/rare.py).

    A board with a configuration has its watchdog on from here: a program that hangs leads back, too.
    """
    nvs = esp32.NVS("wattness")
    cause = machine.reset_cause()
    counts = cause in (machine.HARD_RESET, machine.WDT_RESET)
    ordinary = UNPROVEN
    try:
        os.stat("/config.json")
        machine.WDT(timeout=WATCHDOG_MS)
    except OSError:
        ordinary = 0  # it waits for a person, and has nothing to prove
    try:
        word = nvs.get_i32("prog")
    except OSError:
        word = 0
    told = 0
    if word & ~UNPROVEN or (word and counts):
        from wattboot import rare

        told = rare.decide(nvs, word, counts, cause == machine.PWRON_RESET)
    elif word != ordinary:
        nvs.set_i32("prog", ordinary)
        nvs.commit()
    for name in [name for name in sys.modules if name.startswith("wattboot")]:
        del sys.modules[name]  # it gives back the room that only the start needs
    return told
