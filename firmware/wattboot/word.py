"""The boot word: one number in NVS that says which program and which configuration this start uses.

It is written in one piece, so a power cut leaves the old one or the new one. Its bits are a promise to every later
version: what reads them at the start stays as it was when the board was set up.
"""

TRYING = 1 << 4  # this start tries the program in the other slot
CONFIG_READY = 1 << 5  # the next start tries the configuration in /config.try
CONFIG_TRYING = 1 << 6  # this start does
UNPROVEN = 1 << 7  # this start has shown nothing good yet
FAILED = 1 << 12  # the program in the other slot was tried in vain
CONFIG_FAILED = 1 << 13  # and so was a configuration
BAD_STARTS = 5  # in a row, then safe mode
SECONDS_MAX = 0x7FFF

FACTORY, SLOT_A, SLOT_B = 0, 1, 2
PATHS = ("", "/slot_a", "/slot_b")

_TRIED = 2  # where the number of the slot on trial stands
_BAD, _BAD_MAX = 8, 15
_SECONDS = 16
_LOW = (1 << _SECONDS) - 1
_TRIAL = TRYING | CONFIG_TRYING


def begun(word, cause_counts, power_on):
    """Return the word of a start; `cause_counts` tells whether the start before may have ended by a fault."""
    if is_trial(word):
        word = _failed(word)  # it was tried once, and did not come to be kept
    elif word & UNPROVEN and cause_counts:
        word = _with_bad(word, min(bad(word) + 1, _BAD_MAX))
    elif power_on and is_safe(word):
        word = _with_bad(word, BAD_STARTS - 1)  # whoever took the power away gets one more try
    if word & CONFIG_READY:
        word ^= CONFIG_READY | CONFIG_TRYING
    elif tried(word):
        word |= TRYING
    return word | UNPROVEN


def slot(word):
    """Return the slot whose program this start runs; safe mode goes back to what the board was set up with."""
    if word & TRYING:
        return tried(word)
    return FACTORY if is_safe(word) else word & 3


def is_trial(word):
    """Tell whether this start has to prove itself, or be undone by the next."""
    return bool(word & _TRIAL)


def is_waiting(word):
    """Tell whether a trial goes on, or comes with the next start."""
    return bool(word & (_TRIAL | CONFIG_READY)) or tried(word) != FACTORY


def is_safe(word):
    """Tell whether this start does without metering."""
    return bad(word) >= BAD_STARTS and not is_trial(word)


def bad(word):
    """Return how many starts in a row ended by a fault before they proved anything."""
    return word >> _BAD & _BAD_MAX


def tried(word):
    """Return the slot on trial, or FACTORY."""
    return word >> _TRIED & 3


def seconds(word):
    """Return how long the last trial may take."""
    return word >> _SECONDS


def current(word):
    """Return the slot that is kept."""
    return word & 3


def other(word):
    """Return the slot that a new program goes to: never the one that is kept."""
    return SLOT_B if current(word) == SLOT_A else SLOT_A


def try_slot(word, number, health_s):
    """Have the next start try the program in slot `number`."""
    return _timed(word & ~(FAILED | UNPROVEN), health_s) | number << _TRIED


def try_config(word, health_s):
    """Have the next start try the configuration in /config.try."""
    return _timed(word & ~(CONFIG_FAILED | UNPROVEN), health_s) | CONFIG_READY


def kept(word):
    """Keep what this start tries, and forget the bad starts."""
    if word & TRYING:
        word = word & ~(3 | FAILED) | tried(word)
    if word & CONFIG_TRYING:
        word &= ~CONFIG_FAILED
    return _with_bad(word, 0) & _LOW & ~(_TRIAL | UNPROVEN | 3 << _TRIED)


def survived(word):
    """Forget the bad starts: this one has lived for long enough; a trial it does not end."""
    return word if is_trial(word) else _with_bad(word, 0) & ~UNPROVEN


def excused(word):
    """Note that the end of this start, which is near, is somebody's will and no fault."""
    return word & ~UNPROVEN


def spoilt(word):
    """Give up the slot that cannot be read: on trial or kept, the program of the setting-up takes its place."""
    return _failed(word) | UNPROVEN if is_trial(word) else word & ~3


def _failed(word):
    if word & TRYING:
        word |= FAILED
    if word & CONFIG_TRYING:
        word |= CONFIG_FAILED
    return _with_bad(word, 0) & _LOW & ~(_TRIAL | 3 << _TRIED)


def _with_bad(word, count):
    return word & ~(_BAD_MAX << _BAD) | count << _BAD


def _timed(word, health_s):
    return word & _LOW | max(1, min(health_s, SECONDS_MAX)) << _SECONDS
