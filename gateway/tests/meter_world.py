"""Final intervals of one stream, keys that are known, and adapters opened against their sandboxes."""

import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from civilclock import Clock as SandboxClock
from wattness.clock import Clock
from wattness.config import NetworkConfig
from wattness.errors import RefusedError, UnavailableError
from wattness.keys.held import HeldSecp256k1
from wattness.model import Report
from wattness.networks import Sources
from wattnet.faults import Faults

MINUTE = 60_000
LENGTH = 5 * MINUTE
HOUR = 60 * MINUTE
START = 1_800_000_000_000 // HOUR * HOUR
KEY = HeldSecp256k1(ec.derive_private_key(4662, ec.SECP256K1()))  # of the known answers
EVEN_KEY = HeldSecp256k1(ec.derive_private_key(5, ec.SECP256K1()))  # compressed it begins with 02
OTHER_KEY = HeldSecp256k1(ec.derive_private_key(6, ec.SECP256K1()))  # and this with 03


def interval(a: int, energy: dict[str, int], power_mw: int | None = None, **changes: Any) -> Report:
    """An interval of `LENGTH` from `a` on."""
    covered_ms = changes.pop("covered_ms", LENGTH)
    figures: dict[str, Any] = {"covered_ms": covered_ms, "counter_resets": 0, "energy": energy, "gap_energy": {}}
    figures["rows"] = 30 if covered_ms else 0
    if power_mw is not None:
        figures["power"] = {"n": 30, "min": power_mw, "max": power_mw, "mean": power_mw}
    given = {"board_key": bytes(32), "device": "0", "role": "pv", "profile": "test", "evidence": [], "root": bytes(32)}
    return Report(**(given | {"a": a, "b": a + LENGTH, "figures": figures} | changes))


def hour(number: int = 0, mwh: int = 50_000, count: int = 12, **changes: Any) -> list[Report]:
    """The intervals of one hour, of `mwh` each."""
    at = START + number * HOUR
    return [interval(at + n * LENGTH, {"energy_export": mwh}, mwh * 12, **changes) for n in range(count)]


class World:
    """One sandbox at a time, and lives of the gateway that use it; it is `after_h` hours after the first interval."""

    def __init__(self, kind: str, serving: Any, opener: Any, stack: AsyncExitStack, after_h: int = 3) -> None:
        self.kind, self.serving, self.opener, self.stack = kind, serving, opener, stack
        self.clock = Clock(Clock().real_ms_now(), START + after_h * HOUR, 1)
        self.served: Any = None

    async def serve(self, *script: str, key: HeldSecp256k1 = KEY) -> None:
        clock = SandboxClock(self.clock.real_ms, self.clock.civil_ms, 1)
        serving = self.serving(key.public_key, clock, Faults(script=list(script)))
        self.served = await self.stack.enter_async_context(serving)

    async def open(self, key: HeldSecp256k1 = KEY, interval_s: int = 300, **changes: Any) -> Any:
        """Begin a new life; `changes` are of the configuration, and `settings` are added to the sandbox's."""
        changes["settings"] = self.served.settings | changes.get("settings", {})
        config = NetworkConfig(**({"name": "test", "kind": self.kind, "url": self.served.url} | changes))
        return await self.stack.enter_async_context(self.opener(config, key, self.sources(interval_s)))

    def sources(self, interval_s: int = 300) -> Sources:
        return Sources(nothing, nothing, nothing, self.clock, Path(), interval_s)

    @property
    def counts(self) -> dict[str, Any]:
        return self.served.ledger.counts()


class Gateway:
    """What the engine does with one adapter: one report after the other, bytes and memory kept together."""

    def __init__(self, network: Any, memory: dict[str, int | str] | None = None) -> None:
        self.network, self.memory = network, memory or {}
        self.signed = b""

    async def make(self, reports: list[Report]) -> bytes:
        draft = await self.network.validate(reports, self.memory)
        self.signed = await self.network.sign(draft.body)
        self.memory = draft.memory
        return self.signed

    async def deliver(self, reports: list[Report]) -> Any:
        return await self.network.send(await self.make(reports))


class Lives:
    """A gateway that is killed at any step: what is on its disk is the memory and the signed bytes of one report."""

    def __init__(self, seed: int, begin: Callable[[], Awaitable[Any]]) -> None:
        self.source, self.begin = random.Random(seed), begin
        self.memory: dict[str, int | str] = {}
        self.refused: list[str] = []

    async def deliver(self, reports: list[Report]) -> None:
        """Go on until the network has said yes or no, in as many lives as that takes."""
        signed, network = b"", await self.begin()
        for _ in range(100):
            if self.source.random() < 0.3:
                network = await self.begin()  # killed
            try:
                if not signed:
                    if self.source.random() < 0.5 and await network.find(reports):
                        return
                    draft = await network.validate(reports, self.memory)
                    made = await network.sign(draft.body)
                    if self.source.random() < 0.2:
                        continue  # killed before it was on the disk
                    signed, self.memory = made, draft.memory
                await network.send(signed)
                if self.source.random() < 0.2:
                    continue  # killed before the receipt was on the disk
            except UnavailableError:
                continue
            except RefusedError as error:
                self.refused.append(error.reason)
            return
        pytest.fail("not delivered")


async def nothing(*_: Any) -> list[Any]:
    return []
