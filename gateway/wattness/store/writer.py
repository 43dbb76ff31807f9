"""The one thread that writes: commands share transactions, and return when theirs is on the disk."""

import asyncio
import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import apsw

from wattness.errors import StoreError

from .integrity import damage

log = logging.getLogger(__name__)
T = TypeVar("T")

FEW = 16  # a board's window, and a little: what waits for their acknowledgement is all there is

# The disk's or the system's fault, which every command of the transaction shares; other errors are one command's own.
_TROUBLE = (
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.FullError,
    apsw.InterruptError,
    apsw.IOError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.NotADBError,
    apsw.PermissionsError,
    apsw.ProtocolError,
    apsw.ReadOnlyError,
)


class _Command(NamedTuple):
    run: Callable[[], Any]
    weight: int
    done: asyncio.Future[Any]


class Writer:
    """Runs commands in a thread of its own, many in one transaction, at most one transaction per window.

    After few frames the window is a third: a board with a backlog sends the next ones when these are acknowledged.
    """

    def __init__(
        self, connection: apsw.Connection, forget: Callable[[], None], window_ms: int, weight_max: int
    ) -> None:
        """`forget` drops everything remembered of the database, after a roll-back."""
        self._connection = connection
        self._forget = forget
        self._window_s = window_ms / 1000
        self._weight_max = weight_max
        self._queue: queue.SimpleQueue[_Command | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._closed = False
        self.trouble = ""  # why nothing can be written, in a sentence; empty when all is well
        self.troubles: Counter[tuple[str, str]] = Counter()  # how often it began, by reason, since the last look

    @property
    def failing(self) -> bool:
        """Whether the disk did not take the last thing that was to be written."""
        return bool(self.trouble)

    def start(self) -> None:
        """Begin to run commands."""
        self._thread.start()

    async def close(self) -> None:
        """Commit what is queued and end the thread."""
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    async def run(self, command: Callable[[], T], weight: int = 1) -> T:
        """Run `command` in the writer's thread and return its result once it is durable. Raises StoreError."""
        if self._closed:
            raise StoreError("The store is closed.")
        done: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Command(command, weight, done))
        return await done

    def _run(self) -> None:
        open_for_more = True
        while open_for_more:
            group, open_for_more = self._gather()
            if group:
                began = time.monotonic()
                results = self._commit(group)
                self._loop.call_soon_threadsafe(_settle, group, results)
                if open_for_more and self._queue.qsize() < self._weight_max:
                    few = sum(command.weight for command in group) < FEW
                    window_s = self._window_s / 3 if few else self._window_s
                    time.sleep(max(0.0, began + window_s - time.monotonic()))

    def _gather(self) -> tuple[list[_Command], bool]:
        """Wait for a command, and take what else has come by then."""
        group: list[_Command] = []
        weight = 0
        while not group or (weight < self._weight_max and not self._queue.empty()):
            command = self._queue.get()
            if command is None:
                return group, False
            group.append(command)
            weight += command.weight
        return group, True

    def _commit(self, group: list[_Command]) -> list[Any]:
        """Return each command's result, or the exception it ends with."""
        try:
            results = self._transaction(group)
        except _TROUBLE as error:
            self._roll_back()
            self._report(error)
            return [StoreError(self.trouble)] * len(group)
        except Exception as error:  # noqa: BLE001 — a supervisor: whatever it is belongs to one command, not to the thread
            self._roll_back()
            if len(group) == 1:
                return [error]
            return [self._commit([command])[0] for command in group]
        return results

    def _transaction(self, group: list[_Command]) -> list[Any]:
        before = self._connection.total_changes()
        self._connection.execute("BEGIN IMMEDIATE")
        results = [command.run() for command in group]
        self._connection.execute("COMMIT")
        if self.trouble and self._connection.total_changes() != before:
            self.trouble = ""
            log.warning("store recovered")
        return results

    def _roll_back(self) -> None:
        self._forget()
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except apsw.Error as error:
                log.warning("store roll-back failed error=%s", error)

    def _report(self, error: apsw.Error) -> None:
        reason, sentence = _explained(error, self._connection.filename)
        if sentence != self.trouble:
            self.trouble = sentence
            self.troubles["store", reason] += 1
            log.error("store failed error=%s", sentence)


def _explained(error: apsw.Error, path: str) -> tuple[str, str]:
    """Return the reason's code, and a sentence with the remedy."""
    if isinstance(error, apsw.FullError):
        return "disk_full", f"The disk of {path} is full: make room; until then nothing is acknowledged or lost."
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return "damaged", damage(path, error)
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return "locked", f"Another program holds {path}: end it; until then nothing is acknowledged or lost."
    return "disk_failed", f"The database did not take it: {error}; until it does nothing is acknowledged or lost."


def _settle(group: list[_Command], results: list[Any]) -> None:
    for command, result in zip(group, results, strict=True):
        if command.done.done():
            continue
        if isinstance(result, Exception):
            command.done.set_exception(result)
        else:
            command.done.set_result(result)
