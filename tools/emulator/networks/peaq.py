"""A sandbox of peaq: a chain's JSON-RPC whose one contract is the EventRegistry, and the presence heartbeat.

Transactions are decoded and their senders recovered by eth-account; calls are taken apart here, from the contract's
signature alone. A transaction is in a block when the next one is made, `block_ms` apart in real time.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiohttp import web
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from civilclock import Clock
from wattnet.faults import Faults, inject

from .base import Ledger, Served
from .peaq_events import RevertError, check_event, parse_event

CHAIN_ID = 31_338
REGISTRY = "0x00000000000000000000000000000000000e7e47"
MACHINE = 4711
BASE_FEE_WEI = 10**9
COIN_WEI = 10**18
GAS_USED = 180_000
HEARTBEAT_TTL_MS = 180_000
BLOCK_MS = 40


class NodeError(Exception):
    """The node's no, in JSON-RPC's form."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.value: dict[str, Any] = {"code": code, "message": message} | ({"data": data} if data else {})


class Mined(NamedTuple):
    """A transaction that the chain took."""

    hash: str
    raw: bytes
    fields: dict[str, Any]
    sender: str
    block: int
    status: int


class Node:
    """The chain: an account's transactions in order of nonce, each in the block after it came."""

    def __init__(self, owner: str, clock: Clock, ledger: Ledger) -> None:
        self.owner, self.clock, self.ledger = owner, clock, ledger
        self.started_ms = clock.real_ms_now()
        self.mined: dict[str, Mined] = {}
        self.heartbeats = 0
        self.funds_wei = {owner: 100 * COIN_WEI}
        self.active = True  # the machine's subscription

    def height(self) -> int:
        """Return the newest block's number."""
        return (self.clock.real_ms_now() - self.started_ms) // BLOCK_MS

    def answer(self, method: str, params: list[Any]) -> Any:
        """Answer one question; raises NodeError."""
        methods: dict[str, Callable[..., Any]] = {
            "eth_chainId": lambda: hex(CHAIN_ID),
            "eth_blockNumber": lambda: hex(self.height()),
            "eth_getBalance": lambda address, _: hex(self.funds_wei.get(to_checksum_address(address), 0)),
            "eth_getTransactionCount": lambda address, block: hex(self.count(address, block)),
            "eth_getTransactionByHash": self.transaction,
            "eth_getTransactionReceipt": self.receipt,
            "eth_getBlockByNumber": self.block,
            "eth_sendRawTransaction": self.take,
            "eth_estimateGas": self.estimate,
            "eth_call": lambda what, _: self.call(what) or "0x",
        }
        if method not in methods:
            raise NodeError(-32601, f"the method {method} does not exist")
        try:
            return methods[method](*params)
        except (TypeError, ValueError) as error:
            raise NodeError(-32602, f"invalid params: {error}") from None

    def count(self, address: str, block: str) -> int:
        """Return how many transactions of an account are in the chain."""
        named = {"latest": self.height(), "pending": self.height() + 2}
        last = named[block] if block in named else int(block, 16)
        return sum(one.sender.lower() == address.lower() and one.block <= last for one in self.mined.values())

    def transaction(self, digest: str) -> dict[str, Any] | None:
        """Return a transaction that was taken, also when it is in no block yet."""
        found = self.mined.get(digest)
        return self._shown(found) if found else None

    def receipt(self, digest: str) -> dict[str, Any] | None:
        """Return what became of a transaction that is in a block."""
        found = self.mined.get(digest)
        if found is None or found.block > self.height():
            return None
        return {"transactionHash": digest, "status": hex(found.status), "blockNumber": hex(found.block)}

    def block(self, number: str, whole: bool) -> dict[str, Any] | None:  # noqa: FBT001 - the protocol's order
        """Return a block."""
        at = int(number, 16)
        if at > self.height():
            return None
        inside = [one for one in self.mined.values() if one.block == at]
        real_ms = self.started_ms + at * BLOCK_MS
        civil_ms = self.clock.civil_ms + (real_ms - self.clock.real_ms) * self.clock.rate
        shown = [self._shown(one) if whole else one.hash for one in inside]
        return {"number": number, "timestamp": hex(civil_ms // 1000), "transactions": shown}

    def take(self, text: str) -> str:
        """Take a raw transaction into the next block; raises NodeError."""
        raw = bytes.fromhex(text.removeprefix("0x"))
        digest = "0x" + keccak(raw).hex()
        if digest in self.mined:
            self._count_again(self.mined[digest])
            raise NodeError(-32000, "already known" if self.receipt(digest) is None else "nonce too low")
        try:
            fields, sender = TypedTransaction.from_bytes(HexBytes(raw)).as_dict(), Account.recover_transaction(raw)
        except Exception as error:  # noqa: BLE001 - whatever the libraries make of it
            raise self._refused("malformed", f"rlp: malformed transaction: {error}") from None
        self._check_sending(fields, sender)
        status = 1
        try:
            event = check_event(fields["data"], self._machine(sender), self.clock.now_ms())
        except RevertError as error:
            self.ledger.refuse(error.reason)
            status = 0
        else:
            self.ledger.take(f"{event.machine_id}/{event.data_hash.hex()}", raw)
        self.mined[digest] = Mined(digest, raw, fields, sender, self.height() + 1, status)
        return digest

    def estimate(self, what: dict[str, Any]) -> str:
        """Return what a call would take; raises NodeError when it would be reverted."""
        self.call(what)
        return hex(GAS_USED)

    def call(self, what: dict[str, Any], *_: Any) -> str:
        """Try a call; raises NodeError with the contract's reason."""
        if what["to"].lower() != REGISTRY:
            return ""
        try:
            check_event(bytes.fromhex(what["data"][2:]), self._machine(what["from"]), self.clock.now_ms())
        except RevertError as error:
            raise NodeError(3, f"execution reverted: {error}", "0x" + error.data().hex()) from None
        return ""

    def _machine(self, sender: str) -> int | None:
        """Return the machine that `sender` may speak for."""
        return MACHINE if self.active and to_checksum_address(sender) == self.owner else None

    def _check_sending(self, fields: dict[str, Any], sender: str) -> None:
        wanted = self.count(sender, "pending")
        if fields.get("type") != 2 or fields["chainId"] != CHAIN_ID:
            raise self._refused("wrong_chain", "invalid chain id for signer")
        if fields["nonce"] != wanted:
            raise self._refused("wrong_nonce", "nonce too low" if fields["nonce"] < wanted else "nonce too high")
        if fields["maxFeePerGas"] < BASE_FEE_WEI:
            raise self._refused("underpriced", "max fee per gas less than block base fee")
        if fields["gas"] < GAS_USED:
            raise self._refused("gas", "intrinsic gas too low")
        cost = fields["gas"] * fields["maxFeePerGas"] + fields["value"]
        if self.funds_wei.get(sender, 0) < cost:
            raise self._refused("no_funds", "insufficient funds for gas * price + value")
        self.funds_wei[sender] -= GAS_USED * BASE_FEE_WEI

    def _refused(self, reason: str, text: str) -> NodeError:
        self.ledger.refuse(reason)
        return NodeError(-32000, text)

    def _count_again(self, mined: Mined) -> None:
        if mined.status:
            event = parse_event(mined.fields["data"])
            self.ledger.take(f"{event.machine_id}/{event.data_hash.hex()}", mined.raw)

    @staticmethod
    def _shown(mined: Mined) -> dict[str, Any]:
        data = "0x" + bytes(mined.fields["data"]).hex()
        return {"hash": mined.hash, "from": mined.sender, "nonce": hex(mined.fields["nonce"]), "input": data}


class Site:
    """The two HTTP servers of the network: the node, and the heartbeats'."""

    def __init__(self, node: Node, faults: Faults) -> None:
        self.node = node
        self.suffer = inject(faults)

    async def rpc(self, request: web.Request) -> web.StreamResponse:
        """Answer a question; only the sending of a transaction suffers faults."""
        try:
            asked = json.loads(await request.read())
            method, params, number = asked["method"], asked["params"], asked["id"]
        except (ValueError, KeyError, TypeError):
            error = {"code": -32700, "message": "parse error"}
            return web.json_response({"jsonrpc": "2.0", "id": None, "error": error})

        async def handle(_: web.Request) -> web.Response:
            try:
                found = {"result": self.node.answer(method, params)}
            except NodeError as error:
                found = {"error": error.value}
            return web.json_response({"jsonrpc": "2.0", "id": number} | found)

        if method == "eth_sendRawTransaction":
            return await self.suffer(request, handle)  # type: ignore[no-any-return]
        return await handle(request)

    async def heartbeat(self, request: web.Request) -> web.Response:
        """Take a sign of life: the exact text, signed by the machine's key."""
        try:
            value = json.loads(await request.read())
            text = f"machineId: {value['machineId']}\nsentAt: {value['sentAt']}"
            at = datetime.fromisoformat(value["sentAt"])
            signer = Account.recover_message(encode_defunct(text=text), signature=value["signature"])
        except Exception as error:  # noqa: BLE001 - whatever the libraries make of it
            return self._no("bad_form", str(error))
        if signer != self.node.owner or value["machineId"] != str(MACHINE):
            return self._no("wrong_signer", f"signed by {signer}")
        late_ms = self.node.clock.now_ms() - at.timestamp() * 1000
        if at.tzinfo != UTC or abs(late_ms) > HEARTBEAT_TTL_MS:
            return self._no("stale", f"{late_ms} ms off")
        self.node.heartbeats += 1
        return web.json_response({"ok": True})

    def _no(self, reason: str, detail: str) -> web.Response:
        self.node.ledger.refuse(f"heartbeat_{reason}")
        return web.json_response({"reason": reason, "detail": detail}, status=400)


@asynccontextmanager
async def serving_node(public_key: bytes, clock: Clock, faults: Faults) -> AsyncIterator[tuple[Served, Node]]:
    """Serve the network to a machine whose owner has this key, and give its inside to look at."""
    ledger = Ledger()
    node = Node(to_checksum_address(keccak(public_key[1:])[-20:]), clock, ledger)
    site = Site(node, Faults(**{name: getattr(faults, name) for name in faults.__struct_fields__} | {"paths": ("/",)}))
    app = web.Application()
    app.add_routes([web.post("/", site.rpc), web.post("/api/v1/heartbeats", site.heartbeat)])
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        settings = {"machine_id": MACHINE, "registry": REGISTRY, "chain_id": CHAIN_ID, "heartbeat_url": url}
        waiting = {"receipt_s": 3, "poll_s": 0.02, "forget_blocks": 2}
        yield Served(url, ledger, settings | waiting), node
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serving(public_key: bytes, clock: Clock, faults: Faults) -> AsyncIterator[Served]:
    """Serve the network to a machine whose owner has this key."""
    async with serving_node(public_key, clock, faults) as (served, _):
        yield served
