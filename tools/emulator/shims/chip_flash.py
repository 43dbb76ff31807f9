"""A NOR flash for a real LittleFS: program clears bits, erase sets a block, and the power can go at any operation."""

BLOCK = 4096
TEARS = ("none", "half", "all")  # how much of the operation in hand still happens when the power goes


class PowerCut(BaseException):
    """The power went inside a flash operation; only a sweep that cuts on purpose catches it."""


class Flash:
    """Block device over a seekable file; `cut_at` is the number of the operation that the power cut tears."""

    def __init__(self, file, blocks, cut_at=0, tear="none", on_cut=None):
        self.file = file
        self.blocks = blocks
        self.operations = 0  # program and erase operations since the start
        self.cut_at = cut_at
        self.tear = tear
        self.on_cut = on_cut
        self._erased = b"\xff" * 256

    def readblocks(self, block, buffer, offset=0):
        """Fill `buffer` from `offset` of `block`."""
        self.file.seek(block * BLOCK + offset)
        self.file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=None):
        """Program `buffer`; without an offset the block is erased first, as the chip's driver does."""
        if offset is None:
            for index in range(len(buffer) // BLOCK):
                self._erase(block + index)
            offset = 0
        length = self._begin(len(buffer))
        self._program(block * BLOCK + offset, memoryview(buffer)[:length])
        self._end()

    def ioctl(self, operation, argument):
        """Answer what LittleFS asks: block count, block size, erase; 0 for init, deinit and sync."""
        if operation == 4:
            return self.blocks
        if operation == 5:
            return BLOCK
        if operation == 6:
            self._erase(argument)
        return 0

    def _erase(self, block):
        length = self._begin(BLOCK)
        self.file.seek(block * BLOCK)
        for _ in range(length // len(self._erased)):
            self.file.write(self._erased)
        self._end()

    def _program(self, at, data):
        # A NOR cell can only go from 1 to 0: what was not erased first comes out as the AND of old and new.
        old = bytearray(len(data))
        self.file.seek(at)
        self.file.readinto(old)
        for index in range(len(old)):
            old[index] &= data[index]
        self.file.seek(at)
        self.file.write(old)

    def _begin(self, length):
        self.operations += 1
        if self.operations != self.cut_at or self.tear == "all":
            return length
        return 0 if self.tear == "none" else length // 2

    def _end(self):
        if self.operations == self.cut_at:
            if self.on_cut:
                self.on_cut()
            raise PowerCut
