"""A NOR flash in memory, with NVS beside it, whose power goes in the n-th program, erase or commit."""

BLOCK = 4096
TEARS = ("none", "half", "all")  # how much of the operation in hand still happens
_FAILED = -5


class PowerCut(BaseException):
    """The power went."""


class Nor:
    """Block device over a dict of blocks; what was never erased reads as erased."""

    def __init__(self, blocks, count, cut_at=0, tear="none"):
        self.blocks = blocks
        self.count = count
        self.cut_at = cut_at
        self.tear = tear
        self.operations = 0
        self.dead = False

    def readblocks(self, block, buffer, offset=0):
        if self.dead:
            return _FAILED
        held = self.blocks.get(block)
        buffer[:] = _ERASED[: len(buffer)] if held is None else memoryview(held)[offset : offset + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        if self.dead:
            return _FAILED
        held = self.blocks[block]
        for index in range(self.share(len(buffer))):
            held[offset + index] &= buffer[index]
        self.end()

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.count
        if operation == 5:
            return BLOCK
        if operation == 6:
            if self.dead:
                return _FAILED
            if argument not in self.blocks:
                self.blocks[argument] = bytearray(_ERASED)
            held = self.blocks[argument]
            size = self.share(BLOCK)
            held[:size] = _ERASED[:size]
            self.end()
        return 0

    def share(self, size):
        """Count an operation and return how much of it happens."""
        self.operations += 1
        if self.operations != self.cut_at or self.tear == "all":
            return size
        return 0 if self.tear == "none" else size // 2

    def end(self):
        """End an operation, or everything."""
        if self.operations == self.cut_at:
            self.dead = True
            raise PowerCut


class Nvs:
    """`esp32.NVS` over a dict; a commit is one operation of the flash it shares the power with."""

    def __init__(self, store, nor):
        self.store = store
        self.nor = nor
        self.pending = {}

    def get_i32(self, key):
        return self._get(key)

    def get_blob(self, key, buffer):
        value = self._get(key)
        buffer[: len(value)] = value
        return len(value)

    def set_i32(self, key, value):
        self.pending[key] = value

    set_blob = set_i32

    def commit(self):
        if self.nor.share(1):
            self.store.update(self.pending)
        self.pending = {}
        self.nor.end()

    def _get(self, key):
        value = self.pending.get(key, self.store.get(key))
        if value is None:
            raise OSError(-4354)
        return value


_ERASED = b"\xff" * BLOCK
