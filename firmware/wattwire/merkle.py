"""Merkle trees of RFC 9162 §2.1 with SHA-256, without recursion."""

import hashlib

from wattwire.errors import WireError


def root(leaves) -> bytes:
    """Return the tree's root over byte strings; of none it is SHA-256 of nothing."""
    return root_of_hashes(map(leaf_hash, leaves))


def root_of_hashes(hashes) -> bytes:
    """Return the tree's root over leaves of which only the hashes are at hand."""
    peaks = []  # (size, hash) of the complete subtrees so far, largest first
    for digest in hashes:
        size = 1
        while peaks and peaks[-1][0] == size:
            digest = _node(peaks.pop()[1], digest)
            size *= 2
        peaks.append((size, digest))
    if not peaks:
        return hashlib.sha256(b"").digest()
    digest = peaks.pop()[1]
    while peaks:
        digest = _node(peaks.pop()[1], digest)
    return digest


def proof(leaves, index: int) -> list:
    """Return the hashes, leaf upwards, that lead from the leaf at `index` to the root."""
    if not 0 <= index < len(leaves):
        raise WireError("bad_range", "leaf")
    level = [leaf_hash(leaf) for leaf in leaves]
    path = []
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        above = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
        index //= 2
    return path


def check(leaf: bytes, index: int, size: int, path, expected: bytes) -> bool:
    """Tell whether `path` proves `leaf` to stand at `index` of `size` leaves under the root `expected`."""
    if not 0 <= index < size:
        return False
    digest = leaf_hash(leaf)
    last = size - 1
    for sibling in path:
        if not last or len(sibling) != 32:
            return False
        if index % 2 or index == last:
            digest = _node(sibling, digest)
            while not index % 2 and index:
                index //= 2
                last //= 2
        else:
            digest = _node(digest, sibling)
        index //= 2
        last //= 2
    return last == 0 and digest == expected


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf, which no inner node can equal."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def _node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()
