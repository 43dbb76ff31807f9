"""One machine at peaq's sandbox, and a board's intervals for it; loaded by `runpy`."""

from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

import civilclock
from emulator.networks import peaq as sandbox
from wattness.clock import Clock
from wattness.config import NetworkConfig
from wattness.keys.held import HeldSecp256k1
from wattness.model import Report
from wattness.networks.base import Sources
from wattness.networks.peaq import open_network
from wattnet.faults import Faults

SIGNER = HeldSecp256k1(ec.derive_private_key(4662, ec.SECP256K1()))
OTHER = HeldSecp256k1(ec.derive_private_key(4663, ec.SECP256K1()))
NOON_MS = 1_790_000_100_000
STEP_MS = 300_000
SET = {"machine_id": 4711, "registry": sandbox.REGISTRY, "chain_id": sandbox.CHAIN_ID}


def report(index=0, **changes):
    a = NOON_MS + index * STEP_MS
    about = {
        "board_key": bytes(range(32)),
        "device": "0",
        "role": "pv",
        "profile": "sunspec",
        "a": a,
        "b": a + STEP_MS,
        "figures": {"energy": {"energy_export": 125_500}, "covered_ms": STEP_MS},
        "evidence": [[1, 1, 9]],
        "root": index.to_bytes(32, "big"),
    }
    return Report(**(about | changes))


async def nothing(*_):
    raise AssertionError("peaq asks for no frames")


def sources():
    return Sources(nothing, nothing, nothing, Clock(), Path())


@asynccontextmanager
async def world(script=(), signer=SIGNER, **changes):
    async with sandbox.serving_node(SIGNER.public_key, civilclock.Clock(), Faults(script=list(script))) as (at, node):
        config = NetworkConfig(name="p", kind="peaq", url=at.url, settings=at.settings | changes)
        async with open_network(config, signer, sources()) as network:
            yield network, at.ledger, node


async def signed(network, *reports, memory=None):
    draft = await network.validate(reports, memory or {})
    return await network.sign(draft.body), draft.memory
