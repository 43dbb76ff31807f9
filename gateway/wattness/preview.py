"""A look at one network from outside a running gateway: what it would be sent, and what it says of itself."""

import asyncio
import sys
from pathlib import Path
from typing import NamedTuple

from . import answers, forward
from .clock import TIME_ERROR, adjtimex
from .config import DATABASE_NAME, Config, NetworkConfig
from .errors import ConfigError, NetworkError, RefusedError
from .keys import Ask, DigestSigner, Signer, open_signer
from .networks import Network, exclusive, kind_of, open_network, settled
from .networks.base import Check
from .store.outgoing import Slot, open_outgoing

CHECK_S = 60.0  # for all that a network is asked


class Sent(NamedTuple):
    """One report's bytes, or why there are none."""

    slot: Slot
    body: bytes | None
    is_kept: bool  # these very bytes are in the outbox
    problem: str  # a sentence, when there is no body


def configured(config: Config, name: str) -> NetworkConfig:
    """Return a network of the configuration with its defaults; raises ConfigError."""
    exclusive.check(config.network)
    found = next((network for network in config.network if network.name == name), None)
    if found is None:
        known = ", ".join(network.name for network in config.network) or "none yet; `wattness network add` adds one"
        raise ConfigError(f"There is no [[network]] named {name!r} in gateway.toml; there are: {known}.")
    return settled(found)


async def dry_run(config: Config, name: str, at_ms: int | None, ask: Ask | None) -> list[Sent]:
    """Return the bytes of the newest slot that is over, or of that around `at_ms`; writes and submits nothing.

    What is signed already is shown as it is kept. Everything else is made now, from what the adapter remembers, and may
    need an answer of the network first: a nonce, a counter.
    """
    network = configured(config, name)
    wants = forward.wants(network, config.interval.length_s)
    with open_outgoing(config.path(DATABASE_NAME)) as outgoing:
        slots = outgoing.slots(wants, config.make_clock().now_ms(), at_ms)
    if all(slot.job.body is not None for slot in slots):
        return [Sent(slot, slot.job.body, is_kept=True, problem="") for slot in slots]
    async with open_network(network, _signer(config, network, ask), answers.of_file(config)) as adapter:
        return [await _made(adapter, slot) for slot in slots]


async def check(config: Config, name: str, ask: Ask | None) -> list[Check]:
    """Return what is right and wrong with a network's key, clock, endpoint and gate; submits nothing."""
    network = configured(config, name)
    try:
        signer = _signer(config, network, ask)
    except ConfigError as error:
        return [Check("key", ok=False, text=str(error))]
    try:
        async with asyncio.timeout(CHECK_S), open_network(network, signer, answers.of_file(config)) as adapter:
            found = await adapter.check()
    except ConfigError as error:
        return [Check("settings", ok=False, text=str(error))]
    except (NetworkError, OSError) as error:
        return [Check("endpoint", ok=False, text=f"{error or type(error).__name__}; is `url` {network.url} right?")]
    except TimeoutError:
        return [Check("endpoint", ok=False, text=f"{network.url} did not answer in {CHECK_S:.0f} s; try again later.")]
    return found if any(one.subject == "clock" for one in found) else [*found, _clock(config, network)]


def _clock(config: Config, network: NetworkConfig) -> Check:
    """What is known of the clock where the network does not tell the time."""
    if config.clock.rate != 1 or config.clock.real_ms:
        text = "Time is simulated, which is for tests; remove [clock] from the configuration to report in earnest."
        return Check("clock", ok=not network.production, text=text)
    kept = sys.platform != "linux" or adjtimex() != TIME_ERROR
    text = "network time keeps this clock." if kept else "the system does not say who keeps this clock: look at NTP."
    return Check("clock", ok=True, text=f"The network does not tell the time; {text}")


async def _made(adapter: Network, slot: Slot) -> Sent:
    if slot.job.body is not None:
        return Sent(slot, slot.job.body, is_kept=True, problem="")
    try:
        draft = await adapter.validate(slot.job.reports, slot.job.memory)
        return Sent(slot, await adapter.sign(draft.body), is_kept=False, problem="")
    except RefusedError as error:
        return Sent(slot, None, is_kept=False, problem=f"It would not be sent: {error}.")
    except NetworkError as error:
        return Sent(slot, None, is_kept=False, problem=f"It cannot be made now: {error}.")


def _signer(config: Config, network: NetworkConfig, ask: Ask | None) -> Signer | DigestSigner:
    curve = kind_of(network).curve
    return open_signer(network.key if curve else config.key, Path(config.home), curve or "P-256", ask)
