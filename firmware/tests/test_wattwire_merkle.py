"""Merkle trees against RFC 9162's own recursive definition and known roots."""

import hashlib
import random

import pytest

from wattwire import merkle
from wattwire.errors import WireError

# The leaves and roots that Certificate Transparency implementations share.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def split(size):
    """The largest power of two smaller than `size`."""
    half = 1
    while half * 2 < size:
        half *= 2
    return half


def tree_hash(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    half = split(len(leaves))
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:half]) + tree_hash(leaves[half:])).digest()


def path(index, leaves):
    if len(leaves) == 1:
        return []
    half = split(len(leaves))
    if index < half:
        return [*path(index, leaves[:half]), tree_hash(leaves[half:])]
    return [*path(index - half, leaves[half:]), tree_hash(leaves[:half])]


@pytest.mark.parametrize("size", ROOTS)
def test_known_roots(size):
    assert merkle.root(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize("size", [*range(1, 35), 64, 65, 100])
def test_root_and_proofs_follow_the_definition(size):
    leaves = [b"%d" % at for at in range(size)]
    root = merkle.root(iter(leaves))
    assert root == tree_hash(leaves)
    for index in range(size):
        proof = merkle.proof(leaves, index)
        assert proof == path(index, leaves)
        assert merkle.check(leaves[index], index, size, proof, root)


def test_a_proof_proves_nothing_else():
    leaves = [b"%d" % at for at in range(11)]
    root = merkle.root(leaves)
    for index in range(11):
        proof = merkle.proof(leaves, index)
        assert not merkle.check(b"other", index, 11, proof, root)
        assert not merkle.check(leaves[index], index, 11, proof[:-1], root)
        assert not merkle.check(leaves[index], index, 11, [*proof, bytes(32)], root)
        assert not merkle.check(leaves[index], index, 11, [proof[0][:31], *proof[1:]], root)
        assert not merkle.check(leaves[index], index, 11, proof, bytes(32))
        others = [at for at in range(11) if at != index]
        assert not any(merkle.check(leaves[index], at, 11, proof, root) for at in others)


def test_indices_out_of_range():
    assert not merkle.check(b"", 0, 0, [], merkle.root([]))
    assert not merkle.check(b"a", -1, 1, [], merkle.root([b"a"]))
    for index in (-1, 2):
        with pytest.raises(WireError):
            merkle.proof([b"a", b"b"], index)


def test_a_large_tree():
    chance = random.Random(1)
    leaves = [chance.randbytes(20) for _ in range(3000)]
    root = merkle.root(leaves)
    for index in (0, 1, 1500, 2047, 2048, 2998, 2999):
        assert merkle.check(leaves[index], index, 3000, merkle.proof(leaves, index), root)
