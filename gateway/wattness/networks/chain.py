"""An EVM chain over JSON-RPC: questions, and one transaction brought into a block, never a second for it."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple, TypeVar

import msgspec

from wattness.errors import OutdatedError, RefusedError, UnavailableError

from . import evm
from .http import HttpClient

T = TypeVar("T")

KNOWN = ("already known", "already imported", "known transaction", "alreadyknown")
USED = ("nonce too low", "nonce is too low", "old nonce", "outdated", "stale")
NEVER = ("intrinsic gas", "gas limit", "invalid sender", "chain id", "chainid", "invalid signature", "malformed", "rlp")
INVALID_PARAMS = -32602
REVERTED = 3  # the code of a call that the contract refused
HEADERS = {"Content-Type": "application/json"}


class RpcError(UnavailableError):
    """The node understood the question and says no; for whoever does not look closer, it may say yes later."""

    def __init__(self, code: int, message: str, data: bytes) -> None:
        super().__init__(message)
        self.code, self.data = code, data

    def says(self, words: tuple[str, ...]) -> bool:
        """Whether the node's words, which no standard sets, hold one of these."""
        return any(word in str(self).lower() for word in words)

    def why(self) -> str:
        """The contract's reason, or the node's."""
        return evm.revert_text(self.data) or str(self)[:200]


class Waiting(NamedTuple):
    """How long to wait for blocks."""

    receipt_s: float = 10.0  # in one attempt; after it the same bytes come again
    poll_s: float = 1.0
    confirmations: int = 1  # blocks that must hold or follow it
    forget_blocks: int = 12  # what is this deep in the chain is believed


class Block(msgspec.Struct):
    """What is read of a block."""

    number: str
    timestamp: str
    transactions: list[Any] = []


class _Mined(msgspec.Struct):
    status: str
    block: str = msgspec.field(name="blockNumber")


class _Failure(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: Any = None


class _Answer(msgspec.Struct):
    id: int | str | None = None
    result: Any = None
    error: _Failure | None = None


class Chain:
    """Asks one node."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client
        self._ids = count(1)

    async def ask(self, method: str, *params: Any) -> Any:
        """Return the node's answer; raises RpcError for its no, UnavailableError for anything else."""
        number = next(self._ids)
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        try:
            value = await self.client.post("", body, HEADERS)
        except RefusedError as error:  # not JSON-RPC's way of saying no
            raise UnavailableError(f"{self.client.url} does not answer as a chain's node: {error}") from None
        answer = _shaped(value, _Answer)
        if answer.error is not None:
            raise RpcError(answer.error.code, answer.error.message, _data(answer.error.data))
        if answer.id != number:
            raise UnavailableError(f"{self.client.url} answered another question")
        return answer.result

    async def number(self, method: str, *params: Any) -> int:
        """Return an answer that is a number."""
        return _number(await self.ask(method, *params))

    async def nonce(self, address: str, block: str = "latest") -> int:
        """Return how many transactions of an account are in the chain up to a block."""
        return await self.number("eth_getTransactionCount", address, block)

    async def height(self) -> int:
        """Return the newest block's number."""
        return await self.number("eth_blockNumber")

    async def block(self, number: int, *, whole: bool = False) -> Block:
        """Return a block, with its transactions when it is to be `whole`."""
        return _shaped(await self.ask("eth_getBlockByNumber", hex(number), whole), Block)

    async def read(self, to: str, data: bytes) -> bytes:
        """Return what a contract's view function answers."""
        return _data(await self.ask("eth_call", {"to": to, "data": "0x" + data.hex()}, "latest"))

    async def is_known(self, digest: str) -> bool:
        """Whether the node has a transaction, in a block or waiting for one."""
        return await self.ask("eth_getTransactionByHash", digest) is not None

    async def mined(self, digest: str) -> tuple[int, bool] | None:
        """Return the block that a transaction is in and whether it did what it was to do; None while it is in none."""
        found = await self.ask("eth_getTransactionReceipt", digest)
        if found is None:
            return None
        mined = _shaped(found, _Mined)
        return _number(mined.block), _number(mined.status) == 1


class Carrier:
    """Brings one account's transactions into the chain, strictly one after another."""

    def __init__(self, chain: Chain, address: str, waiting: Waiting) -> None:
        self.chain, self.address, self.waiting = chain, address, waiting
        self._ahead: tuple[str, int] = ("", 0)  # a transaction whose turn has not come, and the height when first seen

    async def deliver(self, transaction: evm.Transaction) -> int:
        """Return the block it is in; raises UnavailableError (again later), RefusedError or OutdatedError.

        It is sent only when the chain expects its nonce, so one that was never expected was never sent.
        """
        expected = await self.chain.nonce(self.address)
        if expected < transaction.nonce:
            await self._too_early(transaction, expected)
        elif expected == transaction.nonce:
            await self._broadcast(transaction)
        elif await self.chain.mined(transaction.hash) is None:
            await self._too_late(transaction)
        return await self._wait(transaction)

    async def _broadcast(self, transaction: evm.Transaction) -> None:
        try:
            await self.chain.ask("eth_sendRawTransaction", "0x" + transaction.raw.hex())
        except RpcError as error:
            if error.says(KNOWN):
                return
            if error.says(USED):  # it came into a block since we asked
                raise UnavailableError(f"the chain is moving on: {error}") from None
            if error.code == INVALID_PARAMS or error.says(NEVER):
                raise RefusedError("not_a_transaction", str(error)[:500]) from None
            raise UnavailableError(f"the chain does not take it now: {_remedied(str(error)[:300])}") from None

    async def _wait(self, transaction: evm.Transaction) -> int:
        try:
            async with asyncio.timeout(self.waiting.receipt_s):
                block, done = await self._settled(transaction.hash)
        except TimeoutError:
            raise UnavailableError(f"{transaction.hash} is in no settled block yet") from None
        if not done:
            raise RefusedError("reverted", await self._why(transaction, block))
        return block

    async def _settled(self, digest: str) -> tuple[int, bool]:
        """Return the block and the outcome of a transaction once it is as deep in the chain as it must be."""
        behind = self.waiting.confirmations - 1
        while True:
            mined = await self.chain.mined(digest)
            if mined is not None and (behind <= 0 or await self.chain.height() >= mined[0] + behind):
                return mined
            await asyncio.sleep(self.waiting.poll_s)

    async def _why(self, transaction: evm.Transaction, block: int) -> str:
        """Ask for the reason of a revert, which no receipt holds, by doing the same again in that block."""
        call = transaction.call
        what = {"from": self.address, "to": "0x" + call.to.hex(), "data": "0x" + call.data.hex()}
        try:
            await self.chain.ask("eth_call", what | {"value": hex(call.value_wei)}, hex(block))
        except RpcError as error:
            return f"{error.why()} (transaction {transaction.hash})"
        return f"the contract does not say why, or the gas was short (transaction {transaction.hash})"

    async def _too_early(self, transaction: evm.Transaction, expected: int) -> None:
        """An earlier transaction was given up before it was sent, unless this node is behind: wait to be sure."""
        if await self.chain.is_known(transaction.hash):
            raise UnavailableError(f"{transaction.hash} waits for an earlier transaction of this account")
        height = await self.chain.height()
        if self._ahead[0] != transaction.hash:
            self._ahead = (transaction.hash, height)
        if height - self._ahead[1] < self.waiting.forget_blocks:
            raise UnavailableError(f"nonce {transaction.nonce} was not expected yet; waits for blocks to be sure")
        raise OutdatedError(f"nonce {transaction.nonce} is ahead of the chain", {"nonce": expected})

    async def _too_late(self, transaction: evm.Transaction) -> None:
        """Its nonce is used and it is in no block: another's took its place, if a block deep in the chain says so."""
        deep = max(0, await self.chain.height() - self.waiting.forget_blocks)
        used = await self.chain.nonce(self.address, hex(deep))
        if used <= transaction.nonce or await self.chain.is_known(transaction.hash):
            raise UnavailableError(f"nonce {transaction.nonce} is used; waits for blocks to be sure by what")
        expected = await self.chain.nonce(self.address)
        raise OutdatedError(f"nonce {transaction.nonce} was used by another transaction", {"nonce": expected})


def _remedied(text: str) -> str:
    """Add what the owner can do about the two commonest ones."""
    if "insufficient" in text.lower():
        return f"{text}; send this account coin for gas"
    if "underpriced" in text.lower() or "base fee" in text.lower():
        return f"{text}; it waits for the gas price to fall to its cap"
    return text


def _shaped(value: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UnavailableError(f"the node's answer is not understood: {error}") from None


def _number(value: Any) -> int:
    return _parsed(value, lambda text: int(text, 16))


def _data(value: Any) -> bytes:
    """Return the bytes of an answer; what is no hex is none, as nodes put other things there, too."""
    if isinstance(value, dict):  # some nodes wrap it
        value = value.get("data")
    try:
        return bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else b""
    except ValueError:
        return b""


def _parsed(value: Any, parse: Callable[[str], T]) -> T:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise UnavailableError(f"the node's answer is not understood: {str(value)[:80]!r} is no hexadecimal number")
    try:
        return parse(value)
    except ValueError:
        raise UnavailableError(f"the node's answer is not understood: {value[:80]!r}") from None
