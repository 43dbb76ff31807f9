"""A slot: one file that holds a signed release, whose ROMFS image is mounted where it lies on the file system.

`wnr1 ‖ size of the envelope (2 bytes) ‖ envelope ‖ image`. Bytecode is read from it into the heap.
"""

import io
from binascii import crc32

MAGIC = b"wnr1"
HEAD_SIZE = len(MAGIC) + 2

_IMAGE = b"\xd2\xcd\x31"
_VERBATIM, _FOLDER, _FILE = 2, 4, 5
_ENTRY = 12  # of the index: CRC-32 of the path, where it begins, how long it is; 4 bytes each
_NAME_SIZE_MAX = 64
_IS_FOLDER = 0xFFFFFFFF
_NO_ENTRY = 2  # ENOENT


class SlotFs:
    """A file system that can only be read; OSError when the file holds no image."""

    def __init__(self, path):
        self.file = open(path, "rb")  # noqa: SIM115 - open for as long as it is mounted
        try:
            self._read()
        except (OSError, ValueError, RuntimeError):  # bytes that are no text; folders that are too deep
            self.file.close()
            raise OSError("no image in " + path) from None

    def _read(self):
        head = self.file.read(HEAD_SIZE)
        if head[:4] != MAGIC:
            raise OSError("no release")
        at = HEAD_SIZE + int.from_bytes(head[4:], "big")
        self.file.seek(at)
        if self.file.read(3) != _IMAGE:
            raise OSError("no image")
        self._found = bytearray()
        size, at = self._number(at + 3)
        self._index(at, at + size, "")
        self._found = bytes(self._found)

    def mount(self, readonly, mkfs):
        """Be mounted."""

    def umount(self):
        """Be left."""
        self.file.close()

    def stat(self, path):
        """Return what `os.stat` does."""
        _, size = self._look(path)
        return (0x4000 if size == _IS_FOLDER else 0x8000, 0, 0, 0, 0, 0, 0 if size == _IS_FOLDER else size, 0, 0, 0)

    def open(self, path, mode):
        """Return the open file."""
        at, size = self._look(path)
        if size == _IS_FOLDER or "w" in mode or "a" in mode:
            raise OSError(_NO_ENTRY)
        return SlotFile(self.file, at, size, "b" not in mode)

    def _look(self, path):
        wanted = crc32(path.strip("/").encode()).to_bytes(4, "big")
        for at in range(0, len(self._found), _ENTRY):
            if self._found[at : at + 4] == wanted:
                found = self._found[at + 4 : at + _ENTRY]
                return int.from_bytes(found[:4], "big"), int.from_bytes(found[4:], "big")
        raise OSError(_NO_ENTRY)

    def _index(self, at, end, folder):
        """Note what a folder holds, whose records are the bytes from `at` to `end` of the file."""
        while at < end:
            kind, start = self._number(at)
            size, start = self._number(start)
            at = start + size
            if kind in (_FOLDER, _FILE):
                size, start = self._number(start)
                if size > _NAME_SIZE_MAX:
                    raise OSError("a spoilt image")
                self.file.seek(start)
                name = folder + self.file.read(size).decode()
                start += size
                if kind == _FOLDER:
                    self._note(name, start, _IS_FOLDER)
                    self._index(start, at, name + "/")
                else:
                    self._index_file(name, start, at)

    def _index_file(self, name, at, end):
        while at < end:
            kind, start = self._number(at)
            size, start = self._number(start)
            at = start + size
            if kind == _VERBATIM:
                self._note(name, start, size)

    def _note(self, name, at, size):
        for part in (crc32(name.encode()), at, size):
            self._found.extend(part.to_bytes(4, "big"))

    def _number(self, at):
        """Return (a number of seven bits a byte, where it ends)."""
        self.file.seek(at)
        value = 0
        for byte in self.file.read(5):
            at += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value, at
        raise OSError("a spoilt image")


class SlotFile(io.IOBase):
    """One file of the image, for the importer and for `read`; all share the slot's open file."""

    def __init__(self, file, at, size, is_text):
        self._file = file
        self._at = at
        self._end = at + size
        self._is_text = is_text

    def readinto(self, buffer):
        """Fill `buffer`; return how many bytes came."""
        self._file.seek(self._at)
        count = self._file.readinto(memoryview(buffer)[: self._end - self._at])
        self._at += count
        return count

    def read(self, count=-1):
        """Return the next bytes, or all that are left."""
        left = self._end - self._at
        self._file.seek(self._at)
        data = self._file.read(left if count is None or count < 0 else min(count, left))
        self._at += len(data)
        return data.decode() if self._is_text else data

    def ioctl(self, request, _):
        """Answer the importer: nothing but closing is known."""
        return 0 if request == 4 else -22

    def close(self):
        """Leave the slot's file open."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass
