"""The operator's side of the chain: makes the contract, and posts to it what epochs owe. Needs eth-account.

No server holds the operator's key: both are commands, run by hand or by a timer, and both may be run again.
"""

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import rlp  # type: ignore[import-untyped]
from eth_abi.abi import decode, encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from . import accounts
from .accounts import Contract
from .ledger import Ledger

ARTEFACT = Path(__file__).with_name("contract") / "Claims.json"
TIMEOUT_S = 15
MINED_S = 120
POLL_S = 0.1
TIP_WEI = 10**9


class ChainError(Exception):
    """The chain or its node says no; the text is for the operator."""


class Operator(NamedTuple):
    """A node, and the account that speaks to it."""

    url: str
    account: LocalAccount

    @classmethod
    def of(cls, url: str, key: Path) -> "Operator":
        """Read the account's secret, 32 bytes in hex, from a file that nobody else can read; raises ChainError."""
        try:
            if key.stat().st_mode & 0o077:
                raise ChainError(f"others than you may read {key}; run `chmod 600 {key}`")
            return cls(url, Account.from_key(key.read_text().strip()))
        except (OSError, ValueError) as error:
            raise ChainError(f"{key} is no file with a secret of 32 bytes in hex: {error}") from None

    def ask(self, method: str, *params: Any) -> Any:
        """Return the node's answer; raises ChainError."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})  # noqa: S310 - the operator's own URL
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                value = json.load(answer)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise ChainError(f"{self.url} does not answer as a chain's node: {error}") from None
        if value.get("error"):
            raise ChainError(f"{method}: {value['error'].get('message')} {value['error'].get('data') or ''}")
        return value["result"]

    def number(self, method: str, *params: Any) -> int:
        """Return an answer that is a number."""
        return int(self.ask(method, *params), 16)

    def read(self, to: str, signature: str, types: list[str], *values: Any) -> tuple[Any, ...]:
        """Return what a view function of a contract answers."""
        answer = self.ask("eth_call", {"to": to, "data": _call(signature, *values)}, "latest")
        return tuple(decode(types, bytes.fromhex(answer[2:])))

    def do(self, to: str, data: str, value_wei: int = 0) -> dict[str, Any]:
        """Send a transaction and return its receipt once it is in a block; raises ChainError."""
        sender = self.account.address
        what = {"from": sender, "data": data, "value": hex(value_wei)} | ({"to": to} if to else {})
        base_fee = int(self.ask("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
        transaction: dict[str, Any] = {
            "type": 2,
            "chainId": self.number("eth_chainId"),
            "nonce": self.number("eth_getTransactionCount", sender, "pending"),
            "gas": self.number("eth_estimateGas", what) * 5 // 4,
            "maxFeePerGas": 2 * base_fee + TIP_WEI,
            "maxPriorityFeePerGas": TIP_WEI,
            "to": to,
            "value": value_wei,
            "data": data,
        }
        signed = self.account.sign_transaction(transaction)
        digest = self.ask("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex())
        deadline_s = time.monotonic() + MINED_S
        while (receipt := self.ask("eth_getTransactionReceipt", digest)) is None:
            if time.monotonic() > deadline_s:
                raise ChainError(f"{digest} is in no block after {MINED_S} s; run this again later")
            time.sleep(POLL_S)
        if int(receipt["status"], 16) != 1:
            raise ChainError(f"{digest} was reverted")
        return dict(receipt)


def deploy(ledger: Ledger, operator: Operator, wei_per_point: int, fund_wei: int) -> Contract:
    """Make the contract of this network, or return the one that there is, also when its maker was killed."""
    known = accounts.contract(ledger) or _begun(ledger, operator)
    if known:
        return known
    bytecode, sender = json.loads(ARTEFACT.read_text())["bytecode"], operator.account.address
    nonce = operator.number("eth_getTransactionCount", sender, "pending")
    accounts.begin_contract(ledger, f"{sender} {nonce}")
    receipt = operator.do("", "0x" + bytecode + encode(["uint256"], [wei_per_point]).hex(), fund_wei)
    return _noted(ledger, operator, to_checksum_address(receipt["contractAddress"]))


def _begun(ledger: Ledger, operator: Operator) -> Contract | None:
    """Return the contract that a run made and did not live to note; raises ChainError while it is under way."""
    sender, _, nonce = accounts.begun_contract(ledger).partition(" ")
    if not sender:
        return None
    address = to_checksum_address(keccak(rlp.encode([bytes.fromhex(sender[2:]), int(nonce)]))[12:])
    if operator.ask("eth_getCode", address, "latest") != "0x":
        return _noted(ledger, operator, address)
    if operator.number("eth_getTransactionCount", sender, "pending") > int(nonce):
        raise ChainError(f"an earlier run's contract {address} is under way; run this again when it has arrived")
    return None


def _noted(ledger: Ledger, operator: Operator, address: str) -> Contract:
    (wei_per_point,) = operator.read(address, "weiPerPoint()", ["uint256"])
    made = Contract(operator.number("eth_chainId"), address, wei_per_point)
    accounts.note_contract(ledger, made)
    return made


def post(ledger: Ledger, operator: Operator) -> list[tuple[int, str]]:
    """Post what the contract does not know yet, with the coin that it lacks; return (epoch, transaction)."""
    made = accounts.contract(ledger)
    if made is None:
        raise ChainError("there is no contract yet; run `python -m wattnet deploy` first")
    if operator.number("eth_chainId") != made.chain_id:
        raise ChainError(f"{operator.url} is not chain {made.chain_id}, where the contract is")
    posted = []
    for settlement in accounts.unposted(ledger):
        epoch, root, points = settlement["epoch"], bytes(settlement["root"]), settlement["points"]
        held, _ = operator.read(made.address, "epochs(uint256)", ["bytes32", "uint256"], epoch)
        if held not in {bytes(32), root}:
            raise ChainError(f"the contract holds another root for epoch {epoch}: {held.hex()}")
        digest = "earlier"  # posted by a run that did not live to note it
        if held != root:
            (owed,) = operator.read(made.address, "owedPoints()", ["uint256"])
            lacking_wei = (owed + points) * made.wei_per_point - operator.number(
                "eth_getBalance", made.address, "latest"
            )
            call = _call("post(uint256,bytes32,uint256)", epoch, root, points)
            digest = operator.do(made.address, call, max(0, lacking_wei))["transactionHash"]
        accounts.note_posted(ledger, epoch, digest)
        posted.append((epoch, digest))
    return posted


def _call(signature: str, *values: Any) -> str:
    types = signature[signature.index("(") + 1 : -1]
    return "0x" + (keccak(text=signature)[:4] + encode(types.split(",") if types else [], values)).hex()
