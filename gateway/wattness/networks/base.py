"""What the gateway asks of a reward network's adapter; canonical units and signs go in, the network's come out."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from wattness.clock import Clock
from wattness.config import NetworkConfig
from wattness.errors import ConfigError
from wattness.model import Board, Reading, Receipt, Report, Reward
from wattness.private import read_private

T = TypeVar("T")

Memory = Mapping[str, int | str]  # what an adapter must remember between two reports; empty at first


class Kind(NamedTuple):
    """What is known of one kind of network without importing its adapter; the table is `catalog.CATALOG`."""

    title: str
    module: str  # that has `open_network(config, signer, sources)`; "": there is nothing to open
    curve: str  # of the key it is known by: P-256 | secp256k1 | Ed25519; "": no key, or the gateway's own
    roles: frozenset[str]  # the streams it takes
    claims: frozenset[str]  # generation | carbon | meter_data | vehicle_data
    unit: str  # of its rewards; "" when it pays nothing
    status: str  # ready | sandbox only | gated by … | no public path
    gate: str  # one honest sentence
    scope: str = "stream"  # | board: one report for all its streams that the network takes
    window_s: int = 0  # 0: each interval is a report; else UTC windows of that length, once all in them is final
    serial: str = "none"  # | stream | network: within these one report after the other, with a common memory
    age_max_h: int = 720
    test_url: str = ""  # the default
    production_hosts: tuple[str, ...] = ()  # that need `production = true`
    send_s: int = 15  # one delivery may take so long


class Sources(NamedTuple):
    """All that an adapter may ask the gateway for."""

    board: Callable[[bytes], Awaitable[Board | None]]  # by board key
    frames: Callable[[bytes, Sequence[Sequence[int]]], Awaitable[list[bytes]]]  # board key, [[log, first, last], …]
    readings: Callable[[bytes, str, int, int], Awaitable[list[Reading]]]  # board key, device, a, b: the rows in [a, b)
    clock: Clock
    home: Path  # the gateway's, where files that settings name are
    interval_s: int = 300  # how long the gateway's intervals are


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

    async def validate(self, reports: Sequence[Report], memory: Memory) -> Draft:
        """Return the network's own form of one window's intervals, unsigned; raises RefusedError with a reason."""
        ...

    async def sign(self, body: bytes) -> bytes:
        """Return the complete bytes to send; they are persisted before they are sent."""
        ...

    async def send(self, signed: bytes) -> Receipt:
        """Deliver; raises UnavailableError (the same bytes later), RefusedError (never) or OutdatedError (anew)."""
        ...

    async def find(self, reports: Sequence[Report]) -> Receipt | None:
        """Return what the network took from us for this slot; asked before a slot of an earlier life is signed."""
        ...

    async def reconcile(self, after_epoch: int) -> Reconciled:
        """Do what is due apart from reports, and fetch what was paid after an epoch; raises NetworkError."""
        ...

    async def check(self) -> list[Check]:
        """Return what is right and wrong with key, clock, endpoint and gate; submits nothing."""
        ...


def secret_of(sources: Sources, file: str) -> str:
    """Return the token in a private file that a setting names; raises ConfigError."""
    text = read_private(sources.home / Path(file).expanduser()).strip()
    if not text or not text.isascii() or not text.isprintable():
        raise ConfigError(f"{file} must hold one line, the token or key as it was given; put it there.")
    return text


def settings_of(config: NetworkConfig, kind: type[T]) -> T:
    """Return a network's own settings as `kind`; raises ConfigError that names the key's path."""
    try:
        return msgspec.convert(config.settings, kind)
    except msgspec.ValidationError as error:
        words, _, where = str(error).replace("`", "").partition(" - at $")
        raise ConfigError(f"$.network[{config.name}].settings{where}: {words[:1].lower()}{words[1:]}") from None
