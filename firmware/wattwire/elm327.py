"""What an ELM327 says: answers up to the prompt, echoes, chatter, error words. What it must be told is `elm_setup`.

Sans-I/O. An adapter answers one command at a time, and ends every answer with the prompt `>`. A character sent before
the prompt interrupts it and is lost, so a command follows only a prompt; after silence `WAKE` brings one.
"""

from .errors import WireError

PROMPT = 0x3E
ANSWER_MAX = 4096  # bytes of one answer: a message of 4095 bytes is never asked for
WAKE = b" "  # interrupts what the adapter is at, and is nothing to one that waits; a return would repeat a command
NO_DATA = "no_data"
SLEEPS = ("no_data", "can_error", "unable_to_connect", "bus_init_error")  # what a bus says whose car is asleep
# The adapter's words, the longer before those that they contain.
WORDS = (
    ("BUS INIT", "bus_init_error"),  # where it went well it was taken away
    ("UNABLE TO CONNECT", "unable_to_connect"),
    ("BUFFER FULL", "buffer_full"),
    ("RX ERROR", "rx_error"),
    ("DATA ERROR", "data_error"),
    ("CAN ERROR", "can_error"),
    ("BUS ERROR", "bus_error"),
    ("BUS BUSY", "bus_busy"),
    ("FB ERROR", "feedback_error"),
    ("LV RESET", "low_voltage_reset"),
    ("LP ALERT", "low_power_alert"),
    ("ACT ALERT", "activity_alert"),
    ("NO DATA", "no_data"),
    ("STOPPED", "stopped"),
    ("ERR", "adapter_error"),
    ("?", "unknown_command"),
)
SEARCHING = "SEARCHING"
BUS_INIT = "BUS INIT"


class Reader:
    """Feed it what the link gave; it returns an answer's lines once the prompt is there."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list | None:
        """Return the lines up to the prompt, or None; bytes behind the prompt, which nobody asked for, are dropped.

        Raises WireError (too_long) if the prompt does not come; what was heard is forgotten then.
        """
        for byte in data:
            if byte == PROMPT:
                lines = split(bytes(self._buffer))
                self._buffer = bytearray()
                return lines
            if byte:  # adapters put zeros between
                self._buffer.append(byte)
        if len(self._buffer) > ANSWER_MAX:
            self._buffer = bytearray()
            raise WireError("too_long", "no prompt within %d bytes" % ANSWER_MAX)
        return None

    def clear(self) -> None:
        """Forget what was heard."""
        self._buffer = bytearray()


def split(data: bytes) -> list:
    """Return the lines in `data` that are not empty; a byte that is no ASCII shows as �, which no answer has."""
    text = "".join([chr(byte) if byte < 0x80 else "\ufffd" for byte in data])
    return [line.strip(" ") for line in text.replace("\n", "\r").split("\r") if line.strip(" ")]


def content(lines: list, command: str) -> list:
    """Return an answer's lines without the echo of `command` and without chatter; raises WireError on an error word."""
    found = []
    for index, line in enumerate(lines):
        upper = line.upper()
        if index == 0 and upper.replace(" ", "") == command.upper().replace(" ", ""):
            continue
        if not found:
            upper = _without_chatter(upper)
        _refuse_words(upper)
        if upper:
            found.append(upper)
    return found


def _without_chatter(upper: str) -> str:
    """Return what follows `SEARCHING...` or a bus initialisation that went well, in a line that begins with it."""
    if upper.startswith(SEARCHING):
        return upper[len(SEARCHING) :].lstrip(".").strip(" ")
    if upper.startswith(BUS_INIT):
        rest = upper[len(BUS_INIT) :].lstrip(":. ")
        return rest[2:].strip(" ") if rest.startswith("OK") else upper
    return upper


def _refuse_words(upper: str) -> None:
    for word, reason in WORDS:
        if word in upper:
            raise WireError(reason, upper[:40])


def frames(lines: list, command: str) -> list:
    """Return the lines of an answer to an OBD request that must be frames; raises WireError if there are none."""
    found = content(lines, command)
    if not found:
        raise WireError("no_answer", "the adapter said nothing")
    return found


def accepted(lines: list, command: str) -> bool:
    """Tell whether the adapter took an AT command: a clone says `?` to what it lacks. Raises WireError otherwise."""
    try:
        return content(lines, command) == ["OK"]
    except WireError as error:
        if error.reason == "unknown_command":
            return False
        raise


def identity(lines: list) -> str | None:
    """Return what an adapter calls itself in answer to ATI or ATZ, or None if this is no OBD adapter."""
    for line in lines:
        upper = line.upper()
        if ("ELM327" in upper or "OBD" in upper or "STN" in upper) and "\ufffd" not in upper:
            return line
    return None


def millivolts(lines: list, command: str = "ATRV") -> int:
    """Return the voltage that ATRV gave, as `12.6V`; raises WireError."""
    found = content(lines, command)
    text = found[0] if len(found) == 1 else ""
    whole, dot, part = text.rstrip("V").partition(".")
    if not (whole + part).isdigit() or not dot or len(whole) > 2 or len(part) not in (1, 2) or not text.endswith("V"):
        raise WireError("bad_voltage", "%s" % found[:1])
    return 1000 * int(whole) + int(part) * (100 if len(part) == 1 else 10)
