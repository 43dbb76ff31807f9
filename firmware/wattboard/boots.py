"""The last starts of the board, why each happened, and the last words before it; on loan at the start and in vitals."""

import os

from wattboard import hal
from wattboard.supervise import CRASH_PATH

PATH = "/boots"
TOLD_PATH = "/crash.told"  # what crashed, once a line of it is here; the whole stays on flash for a person
COUNT = 8
WORDS_CHARS = 60
TEXT_CHARS = 480  # of the file, and of a health record
LAST_WORDS_CHARS = 120


def begun(number):
    """Note the start `number`, and return the last words of the one before it, or None."""
    words = _last_words()
    line = "%d %s" % (number, hal.reset_cause())
    if words:
        line += ": " + words[-WORDS_CHARS:]
    lines = told().split("\n")[: COUNT - 1]
    lines.insert(0, line)
    text = "\n".join(lines)[:TEXT_CHARS].strip()
    try:
        with open(PATH, "w") as file:  # LittleFS puts the whole of it in the old one's place at close
            file.write(text)
    except OSError:
        pass  # a full flash keeps the older ones
    return words


def told():
    """Return the last starts, the newest first, each in a line: its number, its cause, and what was said before it."""
    try:
        with open(PATH) as file:
            return file.read(TEXT_CHARS)
    except (OSError, ValueError):
        return ""


def _last_words():
    try:
        with open(CRASH_PATH) as file:
            lines = file.read().strip().split("\n")
        os.rename(CRASH_PATH, TOLD_PATH)
    except (OSError, ValueError):
        return None
    return lines[-1][-LAST_WORDS_CHARS:] or None
