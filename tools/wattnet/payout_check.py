"""Anyone's check of what the network says it paid: sums, remainders and the Merkle proof, from the file alone."""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from wattwire import merkle

from .settle import Payout, Stream

Hash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Why(msgspec.Struct):
    """One claim of a payout."""

    a: Count
    b: Count
    useful_mwh: Count
    value: Count


class Row(msgspec.Struct):
    """What of a row of /v1/payouts is needed to check it."""

    epoch: Count
    position: Count
    size: Count
    gateway: Hash
    board: Hash
    device: str
    claims: Count
    useful_mwh: Count
    value: Count
    carried_in: Count
    amount: Count
    carried_out: Count
    root: Hash
    proof: list[Hash]
    why: list[Why]

    def payout(self) -> Payout:
        """Return what the Merkle tree should hold."""
        stream = Stream(bytes.fromhex(self.gateway), bytes.fromhex(self.board), self.device)
        return Payout(
            self.epoch, stream, self.claims, self.useful_mwh, self.value, self.carried_in, self.amount, self.carried_out
        )


def check(row: Row) -> str:
    """Return what is wrong with a payout, or nothing."""
    path = [bytes.fromhex(item) for item in row.proof]
    entry = row.payout()
    if not merkle.check(entry.leaf(), row.position, row.size, path, bytes.fromhex(row.root)):
        return "the proof does not lead to the root"
    if entry.value + entry.carried_in != entry.amount * 1000 + entry.carried_out or entry.carried_out >= 1000:
        return "amount and remainder do not add up"
    if sum(why.value for why in row.why) != entry.value or len(row.why) != entry.claims:
        return "the claims do not add up"
    slots = sorted((why.a, why.b) for why in row.why)
    if any(later[0] < earlier[1] for earlier, later in pairwise(slots)):
        return "one stretch of time is paid twice"
    return ""


def check_file(file: Path, root: str | None) -> int:
    """Check each payout in `file`, print a line for each, and return the exit code."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        value: Any = json.loads(text)
        rows = msgspec.convert(value["payouts"] if isinstance(value, dict) else value, list[Row])
    except (OSError, ValueError, KeyError) as error:
        print(f"{file} holds no payouts: {error}", file=sys.stderr)
        return 2
    bad = 0
    for row in rows:
        wrong = check(row) or ("the root is another one" if root and row.root != root.lower() else "")
        bad += bool(wrong)
        print(f"epoch {row.epoch} {row.board[:16]}/{row.device} {row.amount} points: {wrong or 'proven'}")
    return 1 if bad else 0
