"""What an account did on a chain before this ledger knew of it, found without an index: by its nonces, block by block.

How many transactions of an account are in the chain up to a block is a question that every node answers; it rises where
one was taken. So the block of any nonce is found by halving, and the transaction is read there.
"""

from collections import OrderedDict
from typing import NamedTuple

import msgspec

from wattness.errors import UnavailableError

from .chain import Block, Chain, RpcError

KEPT_MAX = 10_000  # transactions remembered; the oldest are looked up again
EARLY_S = 3600  # a block's clock may be this far off


class _Theirs(msgspec.Struct):
    hash: str
    nonce: str
    sender: str = msgspec.field(name="from")
    input: str = "0x"


class Taken(NamedTuple):
    """A transaction of the account that is in the chain."""

    hash: str
    block: int
    input: str


class Past:
    """Looks through one account's transactions."""

    def __init__(self, chain: Chain, address: str) -> None:
        self.chain, self.address = chain, address.lower()
        self._taken: OrderedDict[int, Taken] = OrderedDict()  # by nonce

    async def find(self, word: bytes, after_s: int) -> tuple[str, int] | None:
        """Return the transaction, and its block, that did something with these bytes in its input after a time."""
        try:
            return await self._find(word.hex(), after_s)
        except RpcError as error:
            raise UnavailableError(
                f"the node cannot tell the past ({error}); name one that keeps it in `url`"
            ) from None

    async def _find(self, word: str, after_s: int) -> tuple[str, int] | None:
        newest = await self.chain.height()
        nonces = range(await self.chain.nonce(self.address, hex(newest)))
        if not nonces:
            return None
        start = await self._block_at(after_s - EARLY_S, newest)
        first = await self.chain.nonce(self.address, hex(start)) if start else 0
        for nonce in nonces[first:]:
            taken = self._taken.get(nonce) or await self._look(nonce, start, newest)
            if word in taken.input:
                mined = await self.chain.mined(taken.hash)
                if mined is not None and mined[1]:  # one that was reverted did nothing
                    return taken.hash, taken.block
        return None

    async def _block_at(self, at_s: int, newest: int) -> int:
        """Return the last block before a time, 0 when the chain is younger."""
        low, high = 0, newest + 1  # the answer is at low or above, and below high
        while high - low > 1:
            middle = (low + high) // 2
            if int((await self.chain.block(middle)).timestamp, 16) < at_s:
                low = middle
            else:
                high = middle
        return low

    async def _look(self, nonce: int, start: int, newest: int) -> Taken:
        """Return the transaction with this nonce, which is in a block after `start`."""
        low, high = start, newest  # its count is at most `nonce` at low, above at high
        while high - low > 1:
            middle = (low + high) // 2
            if await self.chain.nonce(self.address, hex(middle)) > nonce:
                high = middle
            else:
                low = middle
        taken = self._read(nonce, high, await self.chain.block(high, whole=True))
        self._taken[nonce] = taken
        while len(self._taken) > KEPT_MAX:
            self._taken.popitem(last=False)
        return taken

    def _read(self, nonce: int, number: int, block: Block) -> Taken:
        for raw in block.transactions:
            try:
                theirs = msgspec.convert(raw, _Theirs)
            except msgspec.ValidationError:  # a kind that is not ours
                continue
            if theirs.sender.lower() == self.address and int(theirs.nonce, 16) == nonce:
                return Taken(theirs.hash, number, theirs.input)
        raise UnavailableError(f"block {number} does not show transaction {nonce} of this account; is the node whole?")
