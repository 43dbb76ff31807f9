"""The adapters of reward networks: each is one module, and one entry of the catalog."""

from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import cast
from urllib.parse import urlsplit

import msgspec

from wattness.config import NetworkConfig
from wattness.errors import ConfigError
from wattness.signing import DigestSigner, Signer

from .base import Kind, Network, Reconciled, Sources
from .catalog import CATALOG

__all__ = [
    "CATALOG",
    "REWARD_UNITS",
    "Network",
    "Reconciled",
    "Sources",
    "key_uri",
    "kind_of",
    "open_network",
    "settled",
]

REWARD_UNITS = {name: kind.unit for name, kind in CATALOG.items() if kind.unit}


def kind_of(config: NetworkConfig) -> Kind:
    """Return the catalog's entry that `config` names; raises ConfigError."""
    kind = CATALOG.get(config.kind)
    if kind is None:
        known = ", ".join(name for name, one in CATALOG.items() if one.module)
        raise ConfigError(f"$.network[{config.name}].kind: {config.kind!r} is not one of {known}")
    if not kind.module:
        raise ConfigError(f"$.network[{config.name}].kind: {kind.title} takes no reports from here: {kind.gate}")
    return kind


def settled(config: NetworkConfig) -> NetworkConfig:
    """Return `config` with everything that its kind decides filled in; raises ConfigError."""
    kind, path = kind_of(config), f"$.network[{config.name}]"
    url = config.url or kind.test_url
    if not url:
        raise ConfigError(f"{path}.url: is missing; set it to the address of {kind.title}")
    if not config.production and _host(url) in kind.production_hosts:
        raise ConfigError(
            f"{path}.url: {_host(url)} is {kind.title} in earnest; to report there, set `production = true` beside it"
        )
    window_s = kind.window_s if config.window_s is None else config.window_s
    age_max_h = config.age_max_h or kind.age_max_h
    return msgspec.structs.replace(config, url=url, key=key_uri(config), window_s=window_s, age_max_h=age_max_h)


def key_uri(config: NetworkConfig) -> str:
    """Return the URI of the key that a network knows this gateway by."""
    return config.key or f"file:{config.name}.key"


def open_network(
    config: NetworkConfig, signer: Signer | DigestSigner, sources: Sources
) -> AbstractAsyncContextManager[Network]:
    """Open the adapter that `config` names; raises ConfigError."""
    config = settled(config)
    module = import_module(kind_of(config).module)
    return cast("AbstractAsyncContextManager[Network]", module.open_network(config, signer, sources))


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:  # the adapter says what is wrong with it
        return ""
