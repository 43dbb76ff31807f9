"""Keeps the history's process running, and removes what it says may go."""

import asyncio
import logging
import sys

import msgspec

from . import child
from .config import DATABASE_NAME, Config
from .store.chronicler import Said, Task
from .store.sqlite import SqliteStore

log = logging.getLogger(__name__)

START_S = 1.0  # after the gateway, which has better things to do at its start
STOP_S = 5.0
RESTART_S = (1.0, 5.0, 30.0, 300.0)
WELL_S = 60.0  # a process that ran this long did not fail at once
LINE_MAX = 1 << 16


class Chronicle:
    """The history's process; `error` says what keeps it from its work."""

    def __init__(self, store: SqliteStore, config: Config) -> None:
        """`store` is the one whose frames are summed up."""
        self._store = store
        clock = config.clock
        self._task = Task(
            store=str(config.path(DATABASE_NAME)),
            future_ms=config.interval.future_s * 1000,
            history=config.history,
            clock=(clock.real_ms, clock.civil_ms, clock.rate),
        )
        self.error: str | None = None

    async def run(self) -> None:
        """Start the process, again when it ends, until cancelled."""
        await asyncio.sleep(START_S)
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            if await self._follow():
                await asyncio.Event().wait()  # a damaged file is for people; metering goes on
            failures = 0 if asyncio.get_running_loop().time() - began > WELL_S else failures + 1
            wait_s = RESTART_S[min(failures, len(RESTART_S)) - 1]
            log.warning("history's process ended, starts again wait_s=%s", wait_s)
            await asyncio.sleep(wait_s)

    async def tidy(self) -> None:
        """Remove frames whose rows are in the history's chunks."""
        await self._store.remove_old()

    async def _follow(self) -> bool:
        """Run the process to its end; tells whether it must not be started again."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "wattness.store.chronicler",
            msgspec.json.encode(self._task).decode(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_MAX,
        )
        try:
            is_fatal = False
            while process.stdout is not None and (line := await process.stdout.readline()):
                is_fatal = self._hear(line)
            await process.wait()
        finally:
            await child.dismiss(process, STOP_S)
        return is_fatal

    def _hear(self, line: bytes) -> bool:
        said = msgspec.json.decode(line, type=Said)
        if said.error != self.error:
            if said.error is None:
                log.warning("history recovered")
            else:
                log.error("history stands still error=%s", said.error)
        self.error = said.error
        return said.fatal
