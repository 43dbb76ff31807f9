"""The process that keeps the history: `python -m wattness.store.chronicler JSON`, started by the gateway.

A process of its own, of low priority, so that summing up never holds the interpreter that takes frames in. It ends when
its standard input does. Each line of its output is JSON: `{"error": null | text, "fatal": bool}`, when that changes.
"""

import os
import select
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import apsw
import msgspec

from wattness.clock import Clock
from wattness.config import History
from wattness.errors import DamagedError, StoreError

from .historian import Historian
from .history_schema import connect_history, history_path
from .integrity import damage, problem_of
from .retention import DAY_MS
from .schema import connect_to_read

LOOK_S = 5.0  # between looks for new frames, when all is done
PAUSE_S = 0.01  # between steps
RETRY_S = 10.0
NICENESS = 10
FATAL = 3


class Task(msgspec.Struct, frozen=True):
    """What to follow, and how."""

    store: str
    future_ms: int
    history: History
    clock: tuple[int, int, int]


class Said(msgspec.Struct, frozen=True):
    """One line of the output."""

    error: str | None
    fatal: bool = False


class Chronicler:
    """Opens the databases, and works step by step."""

    def __init__(self, task: Task) -> None:
        """Open nothing yet."""
        self._path = Path(task.store)
        self._task = task
        self._clock = Clock(*task.clock)
        self._historian: Historian | None = None

    def step(self) -> bool:
        """Do some work; tells whether there is more. Raises StoreError and apsw.Error."""
        if self._historian is None:
            history = connect_history(history_path(self._path))
            found = problem_of(history)
            if found:
                raise DamagedError(damage(history_path(self._path), found))
            self._historian = Historian(connect_to_read(self._path), history, self._task.future_ms)
        if self._historian.step():
            return True
        return self._historian.retire(
            self._clock.now_ms(),
            raw_ms=self._task.history.raw_days * DAY_MS,
            proof_ms=self._task.history.proof_days * DAY_MS,
        )


def run(chronicler: Chronicler, say: Callable[[Said], None], has_ended: Callable[[float], bool]) -> int:
    """Work until `has_ended` (which waits so many seconds) says so; returns the exit code."""
    said: Said | None = None
    while True:
        try:
            wait_s = PAUSE_S if chronicler.step() else LOOK_S
            now = Said(None)
        except DamagedError as error:
            say(Said(str(error), fatal=True))
            return FATAL
        except (apsw.CorruptError, apsw.NotADBError) as error:
            say(Said(damage("The store or its history", error), fatal=True))
            return FATAL
        except (apsw.Error, StoreError) as error:
            now, wait_s = Said(str(error)), RETRY_S
        if now != said:
            said = now
            say(now)
        if has_ended(wait_s):
            return 0


def main() -> int:
    """Work for the gateway."""
    task = msgspec.json.decode(sys.argv[1], type=Task)
    with suppress(OSError):
        os.nice(NICENESS)
    try:
        return run(Chronicler(task), _say, _has_ended)
    except (KeyboardInterrupt, BrokenPipeError):
        return 0


def _say(said: Said) -> None:
    sys.stdout.write(msgspec.json.encode(said).decode() + "\n")
    sys.stdout.flush()


def _has_ended(wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while True:
        readable, _, _ = select.select([sys.stdin.fileno()], [], [], max(0.0, until - time.monotonic()))
        if not readable:
            return False
        if not os.read(sys.stdin.fileno(), 1024):
            return True


if __name__ == "__main__":
    sys.exit(main())
