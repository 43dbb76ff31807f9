"""The board's raw REPL, by mpremote's own transport."""

import contextlib
import io
import json
import logging
import struct
import time
from collections.abc import Iterator
from typing import Any, Self

from mpremote.transport import TransportError  # type: ignore[import-untyped]
from mpremote.transport_serial import SerialTransport  # type: ignore[import-untyped]

from .port import BAUD, BoardError, port_error, why_not

log = logging.getLogger(__name__)

ENTER_S = 5.0
ENTER_TRIES = 2  # a program may sit out one Ctrl-C
SILENCE_S = 10.0
SHOWN_CHARS = 60
BOOT_LOADER = ("invalid header", "rst:0x", "waiting for download")  # what a chip without MicroPython prints
FLASH_HINT = "put MicroPython on it with `wattness board flash`"

# A start that somebody ends on purpose is no bad start; five of those lead to safe mode.
RESTART = """
import time, machine
try:
    import esp32
    from wattboot import word
    n = esp32.NVS("wattness")
    n.set_i32(word.KEY, word.excused(n.get_i32(word.KEY)))
    n.commit()
except (ImportError, AttributeError, OSError): pass
time.sleep_ms(100)
machine.reset()
"""


class OnBoardError(BoardError):
    """What ran on the board ended with an exception; `kind` is its name and `detail` its text."""

    def __init__(self, traceback: str) -> None:
        """`traceback` is what the board printed."""
        last = (traceback.strip().splitlines() or ["nothing"])[-1]
        self.kind, _, self.detail = last.partition(": ")
        super().__init__(f"The board says: {last}.")


class Repl:
    """The raw REPL of the board at `port`: `with` takes it from the running program. Raises BoardError."""

    def __init__(self, port: str, *, resume: bool = False) -> None:
        """`resume` keeps what runs in memory; else the VM starts anew, without the program."""
        self.port = port
        self._resume = resume
        self._transport: Any = None

    def __enter__(self) -> Self:
        try:
            self._transport = SerialTransport(self.port, BAUD, timeout=SILENCE_S)
        except (TransportError, OSError, ValueError) as error:
            raise why_not(self.port) or BoardError(f"{self.port} cannot be opened: {error}.") from None
        try:
            self._enter()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._transport.exit_raw_repl()
        self.close()

    def close(self) -> None:
        """Let the port go."""
        with contextlib.suppress(OSError):
            self._transport.close()

    def run(self, code: str, timeout_s: float = SILENCE_S) -> str:
        """Run code on the board and return what it printed; OnBoardError if it raised."""
        with self._translated():
            output, errors = self._transport.exec_raw(code, timeout_s)
        if errors:
            raise OnBoardError(errors.decode(errors="replace"))
        return str(output.decode(errors="replace").replace("\r", ""))

    def ask(self, code: str, timeout_s: float = SILENCE_S) -> Any:
        """Run code on the board whose last line is JSON, and return that."""
        lines = self.run(code, timeout_s).splitlines()
        try:
            return json.loads(lines[-1] if lines else "")
        except ValueError:
            raise BoardError("The board's answer cannot be read; unplug it, plug it in and try again.") from None

    def reset(self) -> None:
        """Start the board and its program anew; nothing can be asked after this."""
        with self._translated():
            self._transport.exec_raw_no_follow(RESTART)
            time.sleep(0.5)  # what closes the port must not come first

    def _enter(self) -> None:
        seen = io.StringIO()
        for _ in range(ENTER_TRIES):
            try:
                with (
                    contextlib.redirect_stdout(seen),
                    self._translated(),
                ):  # the transport prints what it did not expect
                    self._transport.enter_raw_repl(soft_reset=not self._resume, timeout_overall=ENTER_S)
            except TransportError:
                continue
            else:
                return
        raise _no_repl(self.port, seen.getvalue())

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise port_error(self.port, error) from None
        except TransportError as error:
            if not self._transport.in_raw_repl:
                raise
            log.debug("transport error=%s", error)
            raise BoardError("The board stopped answering; unplug it, plug it in and try again.") from None
        except struct.error:
            raise BoardError("The board stopped answering; unplug it, plug it in and try again.") from None


def _no_repl(port: str, seen: str) -> BoardError:
    """Say why there is no REPL, from the bytes that came instead, as the transport printed them."""
    text = " ".join(line[2:-1] for line in seen.splitlines() if line[:2] in {"b'", 'b"'}).strip()
    if not text:
        return BoardError(
            f"Nothing answers at {port}: check the cable and the board's power, press its RESET button and try again; "
            f"if it has no MicroPython yet, {FLASH_HINT}."
        )
    if any(mark in text for mark in BOOT_LOADER):
        return BoardError(f"The board at {port} has no MicroPython: {FLASH_HINT}.")
    shown = "".join(each if each.isprintable() else "." for each in text)[-SHOWN_CHARS:]
    return BoardError(
        f"What is at {port} does not answer as MicroPython (it says {shown!r}): press its RESET button and try again; "
        f"if it has another program, {FLASH_HINT}."
    )
