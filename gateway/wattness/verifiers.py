"""The processes that verify frames, one per core when there is that much to do."""

import asyncio
import contextlib
import fcntl
import logging
import marshal
import os
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from . import child
from .errors import ConfigError
from .model import Arrival, Verified
from .verifier import LENGTH, Author, message, pack, read, unpack
from .verify import Keyed, load_key

log = logging.getLogger(__name__)

PROCESSES_MAX = 4
LOT_FRAMES = 192  # so large is a batch only when more wait behind it; 36 MB for another process are worth it then
PIPE_BYTES = 1 << 20
STOP_S = 2.0
RESTART_S = 0.5


class Checked(NamedTuple):
    """The answer to a batch: good frames, still packed, and how many were rejected for which reason."""

    packed: bytes
    frames: int
    rejected: dict[str, int]

    def read(self) -> list[Verified]:
        """Return the good frames; the thread that needs them unpacks them."""
        return read(unpack(self.packed))

    def parts(self) -> list["Checked"]:
        """Return each frame by itself."""
        return [Checked(pack([one]), 1, {}) for one in unpack(self.packed)]


class _DiedError(Exception):
    """The process ended before it answered."""


class _Process:
    """One of the processes; it has one batch at a time."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self.known: object = None  # the authors that it was told

    async def ask(self, authors: Sequence[Author], arrivals: Sequence[Arrival]) -> Checked:
        """Have a batch verified. Raises _DiedError."""
        try:
            process = self._process or await self._start()
            news = None if self.known is authors else [tuple(author) for author in authors]
            stdin, stdout = process.stdin, process.stdout
            assert stdin is not None  # noqa: S101 - both are pipes
            assert stdout is not None  # noqa: S101
            stdin.write(message(news, [tuple(arrival) for arrival in arrivals]))
            self.known = authors
            await stdin.drain()
            size = LENGTH.unpack(await stdout.readexactly(LENGTH.size))[0]
            return Checked(*marshal.loads(await stdout.readexactly(size)))  # noqa: S302 - from our own process
        except (OSError, asyncio.IncompleteReadError) as error:
            await self.stop()
            raise _DiedError(str(error)) from None
        except asyncio.CancelledError:
            self._kill()  # it would answer whoever asks next
            raise

    async def _start(self) -> asyncio.subprocess.Process:
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "wattness.verifier",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=4 * PIPE_BYTES,
        )
        for stream in (process.stdin, process.stdout):
            _widen(stream)
        return process

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def stop(self) -> None:
        """End the process."""
        process, self._process, self.known = self._process, None, None
        if process is not None:
            await child.dismiss(process, STOP_S)


class Verifiers:
    """Verifies batches side by side; safe against frames that would end a process."""

    def __init__(self, boards: Iterable[Keyed], processes: int) -> None:
        """Use `open_verifiers`."""
        self._authors = _authors(boards)
        self._left = processes
        self._all: list[_Process] = []
        self._idle: asyncio.LifoQueue[_Process] = asyncio.LifoQueue()  # the busiest first: the others may sleep

    def replace(self, boards: Iterable[Keyed]) -> None:
        """From now on accept exactly these boards. Raises ConfigError, and goes on as before."""
        self._authors = _authors(boards)

    async def check(self, arrivals: Sequence[Arrival]) -> Checked:
        """Verify a batch; frames that end the process that reads them are rejected as internal_error."""
        process = await self._take(len(arrivals))
        try:
            return await process.ask(self._authors, arrivals)
        except _DiedError as error:
            log.warning("verifier died frames=%d error=%s", len(arrivals), str(error))
        finally:
            self._idle.put_nowait(process)
        await asyncio.sleep(RESTART_S)
        return await self._check_halves(arrivals)

    async def _check_halves(self, arrivals: Sequence[Arrival]) -> Checked:
        """Find the frame that it died of."""
        if len(arrivals) == 1:
            log.error("frame ends the verifier raw=%s", arrivals[0].raw.hex())
            return Checked(pack([]), 0, {"internal_error": 1})
        half = len(arrivals) // 2
        first, second = await self.check(arrivals[:half]), await self.check(arrivals[half:])
        reasons = {*first.rejected, *second.rejected}
        return Checked(
            pack([*unpack(first.packed), *unpack(second.packed)]),
            first.frames + second.frames,
            {reason: first.rejected.get(reason, 0) + second.rejected.get(reason, 0) for reason in reasons},
        )

    async def _take(self, frames: int) -> _Process:
        if self._idle.empty() and self._left and (not self._all or frames >= LOT_FRAMES):
            self._left -= 1
            self._all.append(_Process())
            return self._all[-1]
        return await self._idle.get()

    async def stop(self) -> None:
        """End all processes."""
        await asyncio.gather(*(process.stop() for process in self._all))


@asynccontextmanager
async def open_verifiers(boards: Iterable[Keyed], processes: int | None = None) -> AsyncIterator[Verifiers]:
    """Give verifiers that start processes as they are needed, by default up to one per core."""
    verifiers = Verifiers(boards, processes or min(os.cpu_count() or 1, PROCESSES_MAX))
    try:
        yield verifiers
    finally:
        await verifiers.stop()


def _authors(boards: Iterable[Keyed]) -> list[Author]:
    found = []
    for board in boards:
        try:
            load_key(board.public_key)
        except ConfigError as error:
            log.error("board left out kid=%s error=%s", board.kid.hex(), str(error))  # noqa: TRY400 - no defect of ours
            continue
        found.append(Author(board.id, board.kid, board.public_key))
    return found


def _widen(stream: Any) -> None:
    """Let a pipe hold a whole batch, where the system can: each part of one wakes both sides."""
    transport = getattr(stream, "transport", None) or stream._transport  # noqa: SLF001 - asyncio has no other way
    pipe = transport.get_extra_info("pipe")
    if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError, ValueError):  # the process may be gone already
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
