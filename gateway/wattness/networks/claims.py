"""Claims what wattnet settled to an account from the contract that pays it; what cannot be proven is not claimed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from wattness.config import NetworkConfig, check_url
from wattness.errors import ConfigError, OutdatedError, RefusedError, UnavailableError
from wattness.signing import DigestSigner

from . import evm
from .base import settings_of
from .chain import Carrier, Chain, RpcError, Waiting
from .ethereum import address, keccak256
from .http import HttpClient, new_session

TIMEOUT_S = 15.0
WEI_PER_GWEI = 10**9
CLAIM = "claim(uint256,address,uint256,bytes32[])"
REASONS = {  # the contract's errors, by the four bytes that they begin with
    "0x" + evm.selector(error).hex(): text
    for error, text in (
        ("AlreadyClaimed(uint256,address)", "it was claimed already"),
        ("BadProof()", "the proof does not lead to the root"),
        ("OverClaimed(uint256,uint256)", "the epoch promised more than it was funded with"),
        ("PaymentFailed()", "the account does not take coin"),
        ("UnknownEpoch(uint256)", "the epoch is not posted"),
    )
}
PAGES_MAX = 1000

Hash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Account = Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{40}\Z")]
Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a network of kind wattnet: the owner's side of its chain; all empty while nothing is to be claimed there."""

    chain_url: str = ""  # a node of the chain
    account_key: str = "file:account.key"  # the owner's, secp256k1
    chain_id: Annotated[int, Meta(ge=0)] = 0  # 0: the chain that the network names
    contract: Annotated[str, Meta(pattern=r"\A(0x[0-9a-fA-F]{40})?\Z")] = ""  # empty: the one that the network names
    gas_max: Annotated[int, Meta(ge=21_000, le=30_000_000)] = 300_000
    gas_price_max_gwei: Annotated[int, Meta(ge=1, le=100_000)] = 100
    tip_max_gwei: Annotated[int, Meta(ge=0, le=100_000)] = 1
    receipt_s: Annotated[float, Meta(gt=0, le=600)] = 60
    poll_s: Annotated[float, Meta(gt=0, le=60)] = 1


class Contract(msgspec.Struct, frozen=True):
    """Where a network says that it pays."""

    chain_id: Annotated[int, Meta(ge=1)]
    address: Account
    wei_per_point: Annotated[int, Meta(ge=1)]


class Portion(msgspec.Struct, frozen=True):
    """One payout that a settlement is made of."""

    amount: Count


class Settlement(msgspec.Struct, frozen=True):
    """What a network says that an account may claim of an epoch."""

    epoch: Count
    points: Count
    root: Hash
    proof: Annotated[list[Hash], Meta(max_length=64)]
    payouts: list[Portion]


class Told(msgspec.Struct, frozen=True):
    """The network's answer."""

    contract: Contract | None
    settlements: list[Settlement]


class Outcome(NamedTuple):
    """What became of one epoch."""

    epoch: int
    points: int
    state: str  # claimed | already claimed | not posted | not proven
    transaction: str = ""


class Claimer:
    """Claims from one contract for one account."""

    def __init__(self, chain: Chain, signer: DigestSigner, contract: Contract, settings: Settings) -> None:
        self.chain, self.signer, self.contract, self.settings = chain, signer, contract, settings
        self.account = address(signer.public_key)
        self.raw_account = bytes.fromhex(self.account[2:])
        self.carrier = Carrier(chain, self.account, Waiting(settings.receipt_s, settings.poll_s))

    async def claim(self, settlement: Settlement) -> Outcome:
        """Claim one epoch, if it is proven and was not claimed; raises NetworkError."""
        epoch, points = settlement.epoch, settlement.points
        posted = await self._ask("epochs(uint256)", 2, epoch)
        root = posted[:32]
        if not proves(settlement, self.raw_account) or (any(root) and root.hex() != settlement.root):
            return Outcome(epoch, points, "not proven")
        if not any(root):
            return Outcome(epoch, points, "not posted")
        if any(await self._ask("claimed(uint256,address)", 1, epoch, self.raw_account)):
            return Outcome(epoch, points, "already claimed")
        return Outcome(epoch, points, "claimed", await self._send(settlement))

    async def _send(self, settlement: Settlement) -> str:
        """Bring the claim into a block and return its transaction."""
        proof = [bytes.fromhex(node) for node in settlement.proof]
        data = evm.call_data(CLAIM, settlement.epoch, self.raw_account, settlement.points, proof)
        await self._try(data)
        settings, to = self.settings, bytes.fromhex(self.contract.address[2:])
        nonce = await self.chain.nonce(self.account)
        if await self.chain.nonce(self.account, "pending") > nonce:
            raise UnavailableError(f"a transaction of {self.account} is under way; run this again when it has arrived")
        caps = (settings.gas_price_max_gwei * WEI_PER_GWEI, settings.tip_max_gwei * WEI_PER_GWEI)
        fees = evm.Fees(settings.gas_max, *caps)
        message = evm.unsigned(self.contract.chain_id, nonce, fees, evm.Call(to, data))
        transaction = evm.parse_transaction(await evm.signed(message, self.signer))
        try:
            await self.carrier.deliver(transaction)
        except OutdatedError:  # another transaction of the account was first
            raise UnavailableError(f"another transaction of {self.account} came first; run this again") from None
        return transaction.hash

    async def _try(self, data: bytes) -> None:
        """Let the node try the claim first, which costs nothing; raises RefusedError with the contract's reason."""
        what = {"from": self.account, "to": self.contract.address, "data": "0x" + data.hex()}
        try:
            await self.chain.ask("eth_call", what, "latest")
        except RpcError as error:
            if not error.data:  # not the contract's no
                raise
            reason = error.why()
            raise RefusedError("reverted", REASONS.get(reason[:10], reason)) from None

    async def _ask(self, signature: str, words: int, *values: int | bytes) -> bytes:
        found = await self.chain.read(self.contract.address, evm.call_data(signature, *values))
        if len(found) != words * evm.WORD:
            raise UnavailableError(
                f"{self.contract.address} on chain {self.contract.chain_id} is no contract of claims"
            )
        return found


def proves(settlement: Settlement, account: bytes) -> bool:
    """Whether the proof leads from this very account and its points to the root, and the payouts add up to them."""
    leaf = evm.abi(["uint256", "address", "uint256"], [settlement.epoch, account, settlement.points])
    digest = keccak256(keccak256(leaf))
    for node in settlement.proof:
        other = bytes.fromhex(node)
        digest = keccak256(min(digest, other) + max(digest, other))
    total = sum(portion.amount for portion in settlement.payouts)
    return digest.hex() == settlement.root and total == settlement.points


@asynccontextmanager
async def open_claimer(config: NetworkConfig, signer: DigestSigner, told: Contract) -> AsyncIterator[Claimer]:
    """Open the contract that a network names, if it is the one that the owner means; raises ConfigError."""
    settings, path = settings_of(config, Settings), f"$.network[{config.name}].settings"
    if not settings.chain_url:
        raise ConfigError(f"{path}.chain_url: is missing; set it to a node of chain {told.chain_id}")
    check_url(settings.chain_url, ("http", "https"), f"{path}.chain_url")
    if settings.contract and settings.contract.lower() != told.address.lower():
        raise ConfigError(f"{path}.contract: the network names another one, {told.address}; ask its operator why")
    if settings.chain_id and settings.chain_id != told.chain_id:
        raise ConfigError(f"{path}.chain_id: the network names another one, {told.chain_id}; ask its operator why")
    async with new_session() as session:
        chain = Chain(HttpClient(session, settings.chain_url, TIMEOUT_S))
        found = await chain.number("eth_chainId")
        if found != told.chain_id:
            raise ConfigError(f"{path}.chain_url: is a node of chain {found}; the contract is on {told.chain_id}")
        yield Claimer(chain, signer, told, settings)


async def claim_all(claimer: Claimer, settlements: Sequence[Settlement]) -> AsyncIterator[Outcome]:
    """Claim one epoch after the other; a claim that the contract refuses costs no other."""
    for settlement in settlements:
        try:
            yield await claimer.claim(settlement)
        except RefusedError as error:
            yield Outcome(settlement.epoch, settlement.points, f"refused: {error}")
