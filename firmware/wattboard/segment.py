"""One file of sealed frames: `size (2 bytes) ‖ CRC-32 (4 bytes) ‖ frame` for each, appended, never altered."""

import os
from binascii import crc32

from wattwire import cose

HEAD_SIZE = 6
SUFFIX = ".seg"


def file_name(first):
    """Return the name of the segment whose first frame has the number `first`."""
    return "%08x%s" % (first, SUFFIX)


def first_of(name):
    """Return the number in a segment's file name, or None for another file's name."""
    if len(name) != 8 + len(SUFFIX) or not name.endswith(SUFFIX):
        return None
    try:
        return int(name[:8], 16)
    except ValueError:
        return None


class Segment:
    """The frames `first` to `last` (first − 1 while it is empty) in one file of `size` bytes."""

    def __init__(self, folder, first, last, size):
        self.first = first
        self.last = last
        self.size = size
        self.closed = False  # nothing may be appended any more
        self._folder = folder
        self._next = first  # the next frame in order, and where it stands
        self._offset = 0

    @property
    def path(self):
        """The file's path; made when needed, for a log has many segments."""
        return self._folder + "/" + file_name(self.first)

    def append(self, frame):
        """Write a frame; when this returns it is on flash. OSError if there is no room: then nothing was written."""
        head = len(frame).to_bytes(2, "big") + crc32(frame).to_bytes(4, "big")
        # LittleFS makes a file's new content valid at close, all of it at once.
        with open(self.path, "ab") as file:
            file.write(head)
            file.write(frame)
        self.size += HEAD_SIZE + len(frame)
        self.last += 1

    def read(self, seq):
        """Return a frame, or None if its bytes are not what was written."""
        try:
            with open(self.path, "rb") as file:
                frame, after = self._read(file, seq)
        except OSError:
            return None
        if after:
            self._next, self._offset = seq + 1, after
        return frame

    def _read(self, file, seq):
        """Return (frame or None, the offset behind it or 0)."""
        at, offset = self._next, self._offset
        if at > seq:
            at, offset = self.first, 0
        while True:
            file.seek(offset)
            head = file.read(HEAD_SIZE)
            size = int.from_bytes(head[:2], "big")
            if len(head) < HEAD_SIZE or not 0 < size <= cose.FRAME_SIZE_MAX:
                return None, 0
            offset += HEAD_SIZE + size
            if at == seq:
                break
            at += 1
        frame = file.read(size)
        if len(frame) < size:
            return None, 0
        return (frame if crc32(frame) == int.from_bytes(head[2:], "big") else None), offset

    def scan(self):
        """Find the last number by reading every frame; return the last frame, or None if it cannot be read.

        A torn end, a frame shorter than its head says, was never confirmed: it is passed over and closes the segment.
        """
        seq = self.first - 1
        frame = None
        whole = True
        try:
            with open(self.path, "rb") as file:
                end = 0
                while whole and end < self.size:
                    file.seek(end)
                    size = int.from_bytes(file.read(HEAD_SIZE)[:2], "big")
                    if self.size - end < HEAD_SIZE + size:
                        self.closed = True
                        break
                    seq += 1
                    self._next, self._offset = seq, end
                    frame, end = self._read(file, seq)
                    whole = end > 0
        except OSError:
            whole = False
        self.last = seq
        self._next, self._offset = self.first, 0
        return frame if whole else None

    def file_size(self):
        """Return how many bytes the file has."""
        try:
            return os.stat(self.path)[6]
        except OSError:
            return 0

    def remove(self):
        """Delete the file."""
        os.remove(self.path)
