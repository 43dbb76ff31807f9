"""What a board printed: the tail in memory, the rest in a log file that stays bounded."""

import asyncio
from pathlib import Path

FILE_BYTES_MAX = 262_144  # then the file becomes `.1` and a new one begins
TAIL_BYTES_MAX = 65_536


class Console:
    """Bounded record of a board's output."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.total = 0  # bytes ever printed
        self._tail = bytearray()
        self._file = path.open("ab")
        self._more = asyncio.Event()

    def write(self, data: bytes) -> None:
        """Add output."""
        self.total += len(data)
        self._tail += data
        del self._tail[:-TAIL_BYTES_MAX]
        if self._file.tell() + len(data) > FILE_BYTES_MAX:
            self._file.close()
            self.path.replace(self.path.with_suffix(".log.1"))
            self._file = self.path.open("ab")
        self._file.write(data)
        self._file.flush()
        self._more.set()

    def text(self, since: int = 0) -> str:
        """The tail as text, from byte number `since` of everything printed on."""
        start = max(0, len(self._tail) - (self.total - since))
        return self._tail[start:].decode(errors="replace")

    async def wait(self, text: str, since: int = 0) -> str:
        """Return the tail once `text` is in it."""
        while text not in self.text(since):
            self._more.clear()
            await self._more.wait()
        return self.text(since)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
