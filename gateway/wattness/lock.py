"""A lock on a folder's file that the kernel lets go when its holder dies, however it died."""

import fcntl
import os
from pathlib import Path
from typing import Self

from .errors import ConfigError


class FileLock:
    """Held from `take` to `release`, or by whatever child process inherited `fd`."""

    def __init__(self, path: Path) -> None:
        """`path` is made if it is not there; it holds the process id of whoever took the lock."""
        self.path = path
        self.fd = -1

    def take(self) -> bool:
        """Take the lock if it is free, at once."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self.fd = fd
        return True

    def sign(self, pid: int) -> None:
        """Write who holds the lock; the text means nothing once the lock is free."""
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, b"%d\n" % pid, 0)

    def holder(self) -> int | None:
        """The process id that the holder wrote, if it wrote one."""
        try:
            return int(self.path.read_text())
        except (OSError, ValueError):
            return None

    def release(self) -> None:
        """Close our end; a child that inherited it keeps the lock."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class HomeLock:
    """One gateway per home."""

    def __init__(self, home: Path) -> None:
        """Nothing is locked before `with`."""
        self._lock = FileLock(home / "gateway.lock")

    def __enter__(self) -> Self:
        """Take the home, or raise ConfigError that names who has it."""
        try:
            taken = self._lock.take()
        except OSError as error:
            raise ConfigError(
                f"{self._lock.path} cannot be opened ({error.strerror}): check the folder's owner."
            ) from None
        if not taken:
            who = self._lock.holder()
            raise ConfigError(f"Another gateway (process {who}) runs on {self._lock.path.parent}: stop it first.")
        self._lock.sign(os.getpid())
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
