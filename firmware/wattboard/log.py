"""The board's log on flash: sealed frames in segments, appended, and kept until the gateway has them.

Policy. A segment is dropped whole, the oldest first, only when every frame in it was acknowledged and the room is
needed; the newest one never. Every segment opens with a streams record (the recorder sees to it: `full`), so that
no kept frame refers to a dropped one. When unacknowledged frames fill the limit, `append` raises `LogFullError`.
"""

import os
from collections import namedtuple

from wattboard.segment import HEAD_SIZE, Segment, first_of
from wattwire import cose, records
from wattwire.errors import WireError

ACKED_FILE = "acked"
REMAINS = ".old"  # the folder of a log that cannot go on; what can be read of it is still delivered
ACKED_EVERY = 16  # acknowledgements; a stale cursor costs a few frames sent again
HOLES_MAX = 16
SEGMENTS = 24  # so many at most, roughly: the room that one of them gives back when it is dropped
SEGMENT_BYTES_MIN = 16384

Head = namedtuple("Head", ("kind", "log", "seq", "boot", "up"))


class LogFullError(Exception):
    """No room: every frame on flash still waits for its acknowledgement, or the flash itself is full."""


class LogBrokenError(Exception):
    """The newest frame on flash cannot be read: a new log must begin, for its number must not come again."""


class Hole:
    """Frames `first` to `last` that cannot be read any more; `told` is the frame whose key 7 says so, or 0."""

    def __init__(self, first, last):
        self.first = first
        self.last = last
        self.told = 0


def peek(payload):
    """Return the Head of a record without decoding it; raises WireError."""
    values = []
    at = 1
    for key in range(6):
        if at >= len(payload) or payload[at] != key:
            raise WireError("bad_form", "record")
        if key == 3:
            at += 2 + records.HASH_SIZE
            continue
        value, at = _uint(payload, at + 1)
        values.append(value)
    return Head(*values)


def _uint(data, at):
    first = data[at] if at < len(data) else 0xFF
    if first < 24:
        return first, at + 1
    if first > 27:
        raise WireError("bad_type", "record")
    end = at + 1 + (1 << first - 24)
    return int.from_bytes(data[at + 1 : end], "big"), end


class Log:
    """One log of the board. `last` and `prev` are what the next frame continues; `acked` is the cursor.

    With `remains` it is a log that was broken: it ends at the last frame that can be read, and takes no more.
    """

    def __init__(self, root, number, limit_bytes, segment_bytes=None, *, remains=False):
        self.folder = "%s/%d%s" % (root, number, REMAINS if remains else "")
        self.number = number
        self.limit_bytes = limit_bytes
        self.segment_bytes = segment_bytes or max(SEGMENT_BYTES_MIN, limit_bytes // SEGMENTS)
        self.segments = []
        self.last = 0
        self.prev = bytes(records.HASH_SIZE)
        self.head = None
        self.acked = 0
        self.holes = []
        self._acked_on_flash = 0
        self._remains = remains
        _make_folder(root)
        _make_folder(self.folder)
        self._recover()

    # What the recorder uses.

    def full(self):
        """Tell whether the next frame begins a new segment and so must be a streams record."""
        newest = self.segments[-1] if self.segments else None
        return newest is None or newest.closed or newest.size >= self.segment_bytes

    def append(self, data):
        """Put a sealed frame, which must be the next one, on flash; LogFullError leaves everything as it was."""
        _, payload, _ = cose.parse(data)
        head = peek(payload)
        if head.log != self.number or head.seq != self.last + 1:
            raise WireError("bad_range", "not the next frame")
        if self.full() and head.kind != records.KIND_STREAMS:
            raise WireError("bad_form", "a segment opens with a streams record")
        self._make_room(HEAD_SIZE + len(data))
        self._write(data, head.seq)
        self.last = head.seq
        self.prev = records.prev_of(payload)
        self.head = head

    def untold(self):
        """Return the first hole that no frame has told of yet, or None."""
        for hole in self.holes:
            if not hole.told:
                return hole
        return None

    def waiting_bytes(self):
        """Return how many bytes on flash wait for an acknowledgement, by whole segments."""
        return sum([segment.size for segment in self.segments if segment.last > self.acked])

    def used_bytes(self):
        """Return how many bytes the segments hold."""
        return sum([segment.size for segment in self.segments])

    # What the uplink uses.

    def read(self, seq):
        """Return frame `seq`, or None if it is lost; then it and its neighbours in loss are a hole from now on."""
        data = self._read(seq)
        if data is None and self.acked < seq < self.last:
            self._note_hole(seq)
        return data

    def pending(self, count):
        """Return up to `count` numbers to have in flight: the oldest first, and what tells of a hole in its place."""
        found = []
        seq = self.acked + 1
        while seq <= self.last and len(found) < count:
            hole = self._hole_at(seq)
            if hole is None:
                if seq not in found:
                    found.append(seq)
                seq += 1
                continue
            if hole.told and hole.told not in found:
                found.append(hole.told)
            seq = hole.last + 1
        return found

    def acknowledge(self, seq):
        """Move the cursor to `seq` and return whether it rose."""
        if not self.acked < seq <= self.last:
            return False
        self.acked = seq
        self.holes = [hole for hole in self.holes if hole.last > seq]
        if seq >= self._acked_on_flash + ACKED_EVERY:
            self._store_acked()
        return True

    def rewind(self, seq):
        """Send again from `seq` on; what is gone by now will be found to be lost."""
        self.acked = max(0, min(seq - 1, self.acked))
        self._store_acked()

    # Recovery and room.

    def _recover(self):
        firsts = sorted([first for first in map(first_of, os.listdir(self.folder)) if first])
        for first in firsts:
            if self.segments:
                self.segments[-1].last = first - 1
            segment = Segment(self.folder, first, first - 1, 0)
            segment.size = segment.file_size()
            self.segments.append(segment)
        while self.segments and not self.segments[-1].size:
            self.segments.pop().remove()  # power was cut between the file's birth and its first frame
        if self.segments:
            self._recover_head(self.segments[-1])
            self.acked = self._acked_on_flash = min(self._load_acked(), self.last)

    def _recover_head(self, segment):
        """Take `last` and `prev` from the newest frame; a power cut cannot have harmed it."""
        data = segment.scan()
        if not segment.last >= segment.first and len(self.segments) > 1:
            self.segments.pop().remove()  # the first frame of a segment was torn
            self._recover_head(self.segments[-1])
            return
        self.last = segment.last
        while data is None and self._remains and self.last > self.segments[0].first:
            self.last -= 1
            data = self._read(self.last)
        try:
            _, payload, _ = cose.parse(data or b"")
            head = peek(payload)
        except WireError:
            raise LogBrokenError(self.folder)
        if head.log != self.number or head.seq != self.last:
            raise LogBrokenError(self.folder)
        self.prev = records.prev_of(payload)
        self.head = head

    def _make_room(self, size):
        while self.used_bytes() + size > self.limit_bytes:
            if not self._drop_oldest():
                raise LogFullError

    def _drop_oldest(self):
        if len(self.segments) < 2 or self.segments[0].last > self.acked:
            return False
        if self._acked_on_flash < self.segments[0].last:
            self._store_acked()
        self.segments.pop(0).remove()
        return True

    def _write(self, data, seq):
        """Append to the newest segment; when the file system has no room, drop the oldest and try again."""
        while True:
            if self.full():
                self.segments.append(Segment(self.folder, seq, self.last, 0))
            try:
                self.segments[-1].append(data)
            except OSError as error:
                self._forget_failure()
                if not self._drop_oldest():
                    raise LogFullError(str(error))
            else:
                return

    def _forget_failure(self):
        """After a write that failed: make sure that flash holds what it held before."""
        segment = self.segments[-1]
        if segment.file_size() != segment.size:
            raise LogBrokenError(segment.path)
        if not segment.size:
            self.segments.pop()
            try:
                segment.remove()
            except OSError:
                pass  # it was never made

    def _store_acked(self):
        try:
            with open(self.folder + "/" + ACKED_FILE + ".new", "wb") as file:
                file.write(self.acked.to_bytes(8, "big"))
            os.rename(self.folder + "/" + ACKED_FILE + ".new", self.folder + "/" + ACKED_FILE)
            self._acked_on_flash = self.acked
        except OSError:
            pass  # a stale cursor only costs frames sent again

    def _load_acked(self):
        try:
            with open(self.folder + "/" + ACKED_FILE, "rb") as file:
                return int.from_bytes(file.read(8), "big")
        except OSError:
            return 0

    # Holes.

    def _read(self, seq):
        for segment in self.segments:
            if segment.first <= seq <= segment.last:
                return segment.read(seq)
        return None

    def _hole_at(self, seq):
        for hole in self.holes:
            if hole.first <= seq <= hole.last:
                return hole
        return None

    def _note_hole(self, seq):
        """Remember the run of lost frames that begins at `seq`."""
        if self._hole_at(seq) is not None or len(self.holes) >= HOLES_MAX:
            return
        last = seq
        if self.segments and seq < self.segments[0].first:
            last = self.segments[0].first - 1
        while last + 1 < self.last and self._read(last + 1) is None:
            last += 1
        self.holes.append(Hole(seq, last))


def _make_folder(path):
    try:
        os.mkdir(path)
    except OSError:
        pass  # it is there already, or the next step says what is wrong
