"""Which log the board writes: the one of the last boot, or a new one for a new gateway or after lost flash."""

import os

from wattboard.log import Log, LogBrokenError

NO_LOG = 0


class Logbook:
    """The folder of logs and the counter in NVS that names the current one."""

    def __init__(self, root, state, limit_bytes):
        self.root = root
        self.state = state
        self.limit_bytes = limit_bytes
        self._confirmed = NO_LOG

    def open(self, gateway):
        """Return (log, previous): a new log has no frame yet, and `previous` is what its field 16 must say."""
        number = self.state.log()
        log = None
        if number != NO_LOG:
            try:
                log = Log(self.root, number, self.limit_bytes)
            except LogBrokenError:
                pass
        if log is not None and log.last and self.state.gateway() == gateway:
            return log, None
        self._remove_all_but(number)  # a later log was begun and cut from power before anything of it was sent
        previous = (log.last, log.prev) if log is not None and log.last else None
        return Log(self.root, number + 1, self.limit_bytes), previous

    def confirm(self, log, gateway):
        """Make `log`, whose first frame is on flash, the current one; the old log is dropped: it was another's."""
        if self._confirmed == log.number:
            return
        if self.state.log() != log.number or self.state.gateway() != gateway:
            self.state.set_log(log.number, gateway)
        self._remove_all_but(log.number)
        self._confirmed = log.number

    def _remove_all_but(self, number):
        try:
            names = os.listdir(self.root)
        except OSError:
            return
        for name in names:
            if name != str(number):
                _remove(self.root + "/" + name)


def _remove(folder):
    for name in os.listdir(folder):
        os.remove(folder + "/" + name)
    os.rmdir(folder)
