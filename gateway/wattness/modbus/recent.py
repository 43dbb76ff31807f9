"""What a line has read of late, so that others need not ask the device again."""

from collections import OrderedDict
from typing import NamedTuple

from wattwire.plan import Read

BLOCKS_MAX = 256  # of all units of a line; the oldest go first


class Block(NamedTuple):
    """The registers of one answer, and when it came."""

    data: bytes
    at_s: float


class Recent:
    """Answers by unit and Read; a value is never put together from two of them."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._blocks: OrderedDict[tuple[int, Read], Block] = OrderedDict()

    def keep(self, unit: int, read: Read, data: bytes, at_s: float) -> None:
        """Keep an answer that came at `at_s` (monotonic)."""
        key = (unit, read)
        self._blocks.pop(key, None)
        self._blocks[key] = Block(data, at_s)
        if len(self._blocks) > BLOCKS_MAX:
            self._blocks.popitem(last=False)

    def find(self, unit: int, read: Read, since_s: float) -> bytes | None:
        """Return the registers of `read` as the newest answer since `since_s` has them all, or None."""
        for (other, block), (data, at_s) in reversed(self._blocks.items()):
            if at_s < since_s:
                return None
            at = read.address - block.address
            is_within = other == unit and block.fc == read.fc and 0 <= at <= block.count - read.count
            if is_within and len(data) == 2 * block.count:
                return data[2 * at : 2 * (at + read.count)]
        return None

    def forget(self, unit: int) -> None:
        """Drop what is known of a unit: something was written to it."""
        for key in [key for key in self._blocks if key[0] == unit]:
            del self._blocks[key]
