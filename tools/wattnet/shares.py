"""What a settled epoch owes to accounts on a chain: a second Merkle tree, of keccak256, which a contract can check.

The payouts' own tree (RFC 9162, SHA-256, one CBOR leaf per stream) is the book: it says what was paid for what, and
names no account. This one is drawn from it for the chain: one leaf per account, so that whoever has many streams claims
once, and hashed as contracts do it most cheaply and OpenZeppelin's MerkleProof checks it. Whoever holds an epoch's
payouts and the gateways' accounts can draw it again.
"""

from collections.abc import Sequence
from typing import NamedTuple

from Crypto.Hash import keccak

WORD = 32
ACCOUNT_SIZE = 20
POINTS_MAX = (1 << 63) - 1


class Share(NamedTuple):
    """The points of one account in one epoch."""

    epoch: int
    account: bytes
    points: int

    def leaf(self) -> bytes:
        """Return keccak256(keccak256(abi.encode(epoch, account, points)))."""
        words = self.epoch.to_bytes(WORD, "big"), self.account.rjust(WORD, b"\x00"), self.points.to_bytes(WORD, "big")
        return _keccak(_keccak(b"".join(words)))


def root(shares: Sequence[Share]) -> bytes:
    """Return the root over at least one share; which stands where is of no matter to a proof."""
    return _levels(shares)[-1][0]


def proof(shares: Sequence[Share], index: int) -> list[bytes]:
    """Return the hashes, leaf upwards, that lead from a share to the root; a node without a sibling just rises."""
    path = []
    for level in _levels(shares)[:-1]:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        index //= 2
    return path


def check(share: Share, path: Sequence[bytes], expected: bytes) -> bool:
    """Whether `path` proves a share to be under the root `expected`."""
    digest = share.leaf()
    for sibling in path:
        digest = _node(digest, sibling)
    return digest == expected


def _levels(shares: Sequence[Share]) -> list[list[bytes]]:
    levels = [[share.leaf() for share in shares]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        pairs = [_node(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
        levels.append(pairs + below[len(below) & ~1 :])
    return levels


def _node(one: bytes, other: bytes) -> bytes:
    return _keccak(min(one, other) + max(one, other))


def _keccak(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()
