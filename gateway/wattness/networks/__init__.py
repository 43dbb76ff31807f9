"""The adapters of reward networks, in one explicit registry; each is one module and one line here."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from wattness.config import NetworkConfig
from wattness.errors import ConfigError
from wattness.signing import Signer

from .base import Network, Reconciled, Sources
from .wattnet import open_wattnet

__all__ = ["NETWORKS", "REWARD_UNITS", "Network", "Reconciled", "Sources", "open_network"]

Opener = Callable[[NetworkConfig, Signer, Sources], AbstractAsyncContextManager[Network]]

NETWORKS: dict[str, Opener] = {
    "wattnet": open_wattnet,
}
REWARD_UNITS = {"wattnet": "points"}


def open_network(config: NetworkConfig, signer: Signer, sources: Sources) -> AbstractAsyncContextManager[Network]:
    """Open the adapter that `config` names; raises ConfigError."""
    if config.kind not in NETWORKS:
        raise ConfigError(f"$.network[{config.name}].kind: {config.kind!r} is not one of {', '.join(NETWORKS)}")
    return NETWORKS[config.kind](config, signer, sources)
