"""Which log the board writes: the one of the last boot, or a new one for a new gateway or after lost flash.

A log whose newest frame cannot be read ends there, because its next number may be taken. What remains of it is
delivered before anything of the new log, for a log must not grow after a later one began.
"""

import os

from wattboard.log import REMAINS, Log, LogBrokenError

NO_LOG = 0
ROOM_BYTES = 65536  # a log needs so much to begin


class Logbook:
    """The folder of logs and the counter in NVS that names the current one; `remains` is a log to deliver first."""

    def __init__(self, root, state, limit_bytes):
        self.root = root
        self.state = state
        self.limit_bytes = limit_bytes
        self.remains = None
        self._confirmed = NO_LOG

    def open(self, gateway):
        """Return (log, previous): a new log has no frame yet, and `previous` is what its field 16 must say."""
        number = self.state.log()
        same = self.state.gateway() == gateway
        log = self._open(number) if number != NO_LOG else None
        self.remains = self._find_remains() if same else None
        limit_bytes = self.limit_bytes
        if log is None and self.remains is None and _free_bytes(self.root) < ROOM_BYTES:
            self._remove_all_but(NO_LOG)  # another version's, which takes the room and says nothing to this one
        if self.remains is not None:
            limit_bytes -= self.remains.used_bytes()
        if log is not None and same:
            log.limit_bytes = limit_bytes
            return log, None
        self._remove_all_but(number)  # a later log was begun and cut from power before anything of it was sent
        before = log or self.remains
        previous = (before.last, before.prev) if before is not None and before.number == number else None
        return Log(self.root, number + 1, limit_bytes), previous

    def confirm(self, log, gateway):
        """Make `log`, whose first frame is on flash, the current one; an older whole one was another gateway's."""
        if self._confirmed == log.number:
            return
        if self.state.log() != log.number or self.state.gateway() != gateway:
            self.state.set_log(log.number, gateway)
        self._remove_all_but(log.number)
        self._confirmed = log.number

    def delivered(self):
        """Drop the remains, which the gateway has now."""
        if self.remains is not None:
            _remove(self.remains.folder)
            self.remains = None

    def _open(self, number):
        """Return the log, or None if it has no frame or cannot go on; then it is put aside."""
        try:
            log = Log(self.root, number, self.limit_bytes)
        except LogBrokenError:
            folder = "%s/%d" % (self.root, number)
            _remove(folder + REMAINS)
            os.rename(folder, folder + REMAINS)
            return None
        return log if log.last else None

    def _find_remains(self):
        for name in _names(self.root):
            if name.endswith(REMAINS):
                try:
                    return Log(self.root, int(name[: -len(REMAINS)]), self.limit_bytes, remains=True)
                except LogBrokenError:
                    _remove(self.root + "/" + name)  # nothing of it can be read
        return None

    def _remove_all_but(self, number):
        kept = "" if self.remains is None else self.remains.folder
        for name in _names(self.root):
            if name != str(number) and self.root + "/" + name != kept:
                _remove(self.root + "/" + name)


def _names(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _remove(path):
    """Delete a file, or a folder with what is in it."""
    for name in _names(path):
        _remove(path + "/" + name)
    for remove in (os.remove, os.rmdir):
        try:
            remove(path)
        except OSError:
            pass  # it is of the other kind, or was not there


def _free_bytes(path):
    try:
        figures = os.statvfs(path)
    except OSError:
        return ROOM_BYTES  # there is no log yet
    return figures[0] * figures[3] if figures[3] <= figures[2] else 0  # LittleFS counts below nothing when it is full
