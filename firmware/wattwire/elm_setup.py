"""What an ELM327 must be told before it asks: dialogues as generators, sans-I/O.

A dialogue yields (command, timeout_ms), is sent the answer's lines, or None if there was none in time, and returns its
result. Clones lack commands at random: what is not needed may be refused with `?`.
"""

from collections import namedtuple

from . import elm327
from .errors import WireError

COMMAND_MS = 2000
RESET_MS = 4000
SEARCH_MS = 12000  # the first request may have to look for the protocol
SOCKET_MV = 6000  # an adapter that measures less is in no car
CAN_PROTOCOLS = ("6", "8", "7", "9")  # in the order of trial: 11 bit at 500 and 250 kbit/s, then 29 bit
PROBE = "0100"
FUNCTIONAL = ("7DF", "18DB33F1")  # headers that every ECU listens to

# `millivolts` is None from an adapter that cannot measure; `lacks` are the commands that it does not know.
Adapter = namedtuple("Adapter", ["identity", "millivolts", "lacks"])


def adapter():
    """Reset the adapter and prove what it is; return Adapter, or raise WireError."""
    lacks = []
    yield ("ATZ", RESET_MS)  # whatever it prints; some clones print nothing
    for command in ("ATE0", "ATL0", "ATS0"):
        yield from _tell(command, lacks)
    lines = yield ("ATI", COMMAND_MS)
    name = None if lines is None else elm327.identity(lines)
    if name is None:
        raise WireError("no_adapter", "what answers is no ELM327")
    yield from _tell("ATH1", lacks)
    if "ATH1" in lacks:
        raise WireError("no_headers", "without ATH1 nobody knows which ECU answers")
    for command in ("ATAT1", "ATST96"):
        yield from _tell(command, lacks)
    voltage = yield from battery()
    return Adapter(name, voltage, lacks)


def battery():
    """Measure the 12-V battery, which wakes no ECU; return mV, or None from an adapter that cannot."""
    lines = yield ("ATRV", COMMAND_MS)
    try:
        return None if lines is None else elm327.millivolts(lines)
    except WireError as error:
        if error.reason in ("unknown_command", "bad_voltage"):
            return None
        raise


def bus(protocol=None):
    """Find the car's CAN bus and return its protocol's number as text; raises WireError: asleep, or no CAN."""
    if protocol is not None:
        yield from _need("ATSP" + protocol)
        return protocol
    yield from _need("ATSP0")
    error = yield from _probe()
    if error is None:
        lines = yield ("ATDPN", COMMAND_MS)
        number = "" if lines is None else "".join(lines).upper().strip(" ").lstrip("A")
        if number in CAN_PROTOCOLS:
            return number
    for candidate in CAN_PROTOCOLS:
        yield from _need("ATTP" + candidate)
        error = yield from _probe()
        if error is None:
            return candidate
    raise error


def _probe():
    """Ask what every car with OBD must answer; return None, or the WireError that came of it."""
    lines = yield (PROBE, SEARCH_MS)
    if lines is None:
        return WireError("timeout", PROBE)
    try:
        answers = elm327.frames(lines, PROBE)
    except WireError as error:
        return error
    for line in answers:
        if "4100" in line.replace(" ", ""):
            return None
    return WireError("no_can_bus", "the car does not answer as on a CAN bus")


class Ears:
    """What an adapter was told of whom to hear, since it was reset; it forgets nothing else when headers change."""

    def __init__(self, answers=()):
        self.pattern = _common(list(answers))  # lets all ECUs of a car through, if the adapter knows such patterns
        self.is_wide = False
        self.has_flow = False


def _common(answers):
    """Return the digits that all of `answers` have, X where they differ."""
    if not answers or len({len(each) for each in answers}) != 1:
        return None
    digits = []
    for place in range(len(answers[0])):
        digits.append(answers[0][place] if len({each[place] for each in answers}) == 1 else "X")
    return "".join(digits)


def select(header, answer, lacks, ears):
    """Speak to one ECU from now on; `answer` is the header of its answers, None where every ECU may answer."""
    if len(header) > 3:
        yield from _need("ATCP" + header[:2])
        yield from _need("ATSH" + header[2:])
    else:
        yield from _need("ATSH" + header)
    if answer is None:
        for command in ("ATAR", "ATFCSM0"):
            yield from _tell(command, lacks)
        ears.is_wide = ears.has_flow = False
        return
    if ears.pattern is not None and not ears.is_wide:
        ears.is_wide = yield from _tell("ATCRA" + ears.pattern, lacks)
        if not ears.is_wide:
            ears.pattern = None
    if not ears.is_wide:
        yield from _tell("ATCRA" + answer, lacks)
    # Without its own flow control we get what the adapter's default brings: the rest is cut, and void.
    yield from _tell("ATFCSH" + header, lacks)
    if not ears.has_flow:
        for command in ("ATFCSD300000", "ATFCSM1"):
            yield from _tell(command, lacks)
        ears.has_flow = True


def _tell(command, lacks):
    """Give a command that a clone may lack; return whether it was taken."""
    lines = yield (command, COMMAND_MS)
    if lines is None:
        raise WireError("timeout", command)
    word = command[:6] if command.startswith("ATFC") else command[:5]
    taken = elm327.accepted(lines, command)
    if not taken and word not in lacks:
        lacks.append(word)
    return taken


def _need(command):
    lines = yield (command, COMMAND_MS)
    if lines is None:
        raise WireError("timeout", command)
    if not elm327.accepted(lines, command):
        raise WireError("unknown_command", command)
