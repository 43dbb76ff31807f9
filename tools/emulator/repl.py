"""The board's serial port for people and `mpremote`: a pseudo-terminal that outlives the VM."""

import asyncio
import contextlib
import os
import select
import tty
from collections.abc import Callable
from pathlib import Path

OUT_BYTES_MAX = 65536  # what a client that does not read may leave unread; more is lost, as on a wire
POLL_S = 0.05


class ReplPort:
    """A port that clients open by `path`; what they type goes to `on_input`."""

    def __init__(self, on_input: Callable[[bytes], None], link: Path | None = None) -> None:
        self.on_input = on_input
        self._loop = asyncio.get_running_loop()
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self._name = os.ttyname(slave)
        os.close(slave)  # so that a hang-up shows when no client is there
        os.set_blocking(self._master, False)
        self._link = link
        if link:
            link.unlink(missing_ok=True)
            link.symlink_to(self._name)
        self._poll = select.poll()
        self._poll.register(self._master, select.POLLIN)
        self._out = bytearray()
        self._reading = self._writing = False
        self._timer = self._loop.call_soon(self._look)

    @property
    def path(self) -> Path:
        """What to give to `mpremote connect`."""
        return self._link or Path(self._name)

    def send(self, data: bytes) -> None:
        """Show bytes to the client; without one they are gone."""
        if not self._reading and not self._attached():
            return
        self._out += data[: OUT_BYTES_MAX - len(self._out)]
        self._write()

    def close(self) -> None:
        """Take the port away."""
        self._timer.cancel()
        self._stop()
        os.close(self._master)
        if self._link:
            self._link.unlink(missing_ok=True)

    def _attached(self) -> bool:
        return not any(event & select.POLLHUP for _, event in self._poll.poll(0))

    def _look(self) -> None:
        """While nobody is there, look now and then: a hung-up terminal is always readable."""
        if self._attached():
            if not self._reading:
                self._reading = True
                self._loop.add_reader(self._master, self._read)
        else:
            self._stop()
        self._timer = self._loop.call_later(POLL_S, self._look)

    def _stop(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._master)
            self._reading = False
        if self._writing:
            self._loop.remove_writer(self._master)
            self._writing = False
        self._out.clear()

    def _read(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        except OSError:
            self._stop()
            return
        self.on_input(data)

    def _write(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._out:
                done = os.write(self._master, self._out)
                del self._out[:done]
        if bool(self._out) == self._writing:
            return
        self._writing = bool(self._out)
        if self._writing:
            self._loop.add_writer(self._master, self._write)
        else:
            self._loop.remove_writer(self._master)
