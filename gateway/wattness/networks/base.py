"""What the gateway asks of a reward network's adapter; canonical units and signs go in, the network's come out."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from wattness.model import Board, Receipt, Report, Reward

Memory = Mapping[str, int | str]  # what an adapter must remember between two reports; empty at first


class Sources(NamedTuple):
    """All that an adapter may ask the gateway for, as two narrow questions."""

    board: Callable[[bytes], Awaitable[Board | None]]  # by board key
    frames: Callable[[bytes, Sequence[Sequence[int]]], Awaitable[list[bytes]]]  # board key, [[log, first, last], …]


class Reconciled(NamedTuple):
    """What a network told us when asked."""

    rewards: list[Reward]
    proofs: int = 0  # how many demands for proof were answered


class Draft(NamedTuple):
    """A report in the network's own form, unsigned, and what must be remembered once its signed bytes are on disk."""

    body: bytes
    memory: Memory | None = None  # None: nothing changes


class Check(NamedTuple):
    """One thing that must be right before a network can take reports."""

    subject: str  # key | clock | endpoint | gate
    ok: bool
    text: str  # one sentence; with the remedy when it is not ok


class Network(Protocol):
    """One reward network. `validate` and `sign` happen once per report; their bytes are kept and resent unchanged."""

    name: str

    def validate(self, report: Report) -> bytes:
        """Return the network's own form of a report, unsigned; raises RefusedError with a reason."""
        ...

    async def sign(self, body: bytes) -> bytes:
        """Return the complete bytes to send; they are persisted before they are sent."""
        ...

    async def send(self, signed: bytes) -> Receipt:
        """Deliver; raises UnavailableError (again later, same bytes) or RefusedError (never again)."""
        ...

    async def find(self, report: Report) -> Receipt | None:
        """Return what the network took from us for this slot; asked before a slot of an earlier life is signed."""
        ...

    async def reconcile(self, after_epoch: int) -> Reconciled:
        """Answer what the network wants proven, and fetch what it paid after an epoch; raises NetworkError."""
        ...
