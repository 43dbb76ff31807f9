"""The demo's own processes: each with its log in the state folder, none left behind."""

import asyncio
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

STOP_S = 10.0
PORTS = range(20_000, 32_000)  # below those that Linux takes for outgoing connections
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class DemoError(Exception):
    """The demo cannot go on; its text is one sentence with the remedy."""


def free_ports(count: int) -> list[int]:
    """Return different free ports that the system gives to no outgoing connection; raises DemoError."""
    found = [port for port in random.sample(PORTS, 50) if is_free(port)][:count]
    if len(found) < count:
        raise DemoError("There is no free port on 127.0.0.1; close some programs and try again.")
    return found


def is_free(port: int) -> bool:
    """Tell whether nobody listens on this port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Process:
    """One program of the demo; it dies with us, whatever happens."""

    def __init__(self, name: str, arguments: list[str], log: Path) -> None:
        self.name, self.log = name, log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=_follow_parent,  # noqa: PLW1509  (no threads of ours hold locks yet)
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    def require_alive(self) -> None:
        """Raise DemoError with the end of its log when the program has stopped."""
        if self._child.poll() is not None:
            tail = self.log.read_text(errors="replace").strip().splitlines()[-3:]
            raise DemoError(f"The {self.name} stopped; {self.log} ends: {' / '.join(tail)}")

    def kill(self) -> None:
        """Take it away at this very instant."""
        self._child.kill()
        self._child.wait()

    async def stop(self) -> None:
        """Ask it to stop, then make it."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(asyncio.to_thread(self._child.wait), STOP_S)
            except TimeoutError:
                self._child.kill()
        self._child.wait()


def _follow_parent() -> None:
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def run(arguments: list[str], what: str, *, timeout_s: float = 60.0) -> str:
    """Run a program to its end and return what it printed; raises DemoError when it fails."""
    child = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
    )
    try:
        output, _ = await asyncio.wait_for(child.communicate(), timeout_s)
    except TimeoutError:
        child.kill()
        await child.wait()
        raise DemoError(f"{what} did not end within {timeout_s:.0f} s.") from None
    text = output.decode(errors="replace")
    if child.returncode:
        raise DemoError(f"{what} failed: {text.strip()[-500:]}")
    return text
