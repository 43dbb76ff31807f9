"""Which keys a configuration names, and for what."""

from pathlib import Path
from typing import NamedTuple

from wattness.config import Config
from wattness.errors import ConfigError
from wattness.keys.file import named
from wattness.networks import kind_of, settled
from wattness.networks.base import settings_of
from wattness.networks.claims import Settings

GATEWAY = "gateway"


class Use(NamedTuple):
    """A key, and whose it is."""

    what: str  # gateway | device NAME | network NAME
    uri: str
    curve: str

    @property
    def command(self) -> str:
        """What makes it."""
        if self.what == GATEWAY:
            return "wattness key new"
        kind, _, name = self.what.partition(" ")
        return f"wattness key new --network {name}" if kind == "network" else "wattness device key new"

    def file(self, home: Path) -> Path | None:
        """The file that it is in, if it is in one."""
        scheme, _, rest = self.uri.partition(":")
        return named(rest, home, None).file.resolve() if scheme == "file" else None


def uses(config: Config) -> list[Use]:
    """Return every use of a key; raises ConfigError for a network of an unknown kind."""
    devices = [Use(f"device {device.name}", device.key, "P-256") for device in config.device]
    networks = [_of_network(config, network.name) for network in config.network]
    own = [use for use in networks if use is not None]
    return [Use(GATEWAY, config.key, "P-256"), *devices, *own, *_accounts(config)]


def _accounts(config: Config) -> list[Use]:
    """Return the owner's accounts that points are claimed to, as far as `wattness rewards account` has made them."""
    wattnets = [network for network in config.network if network.kind == "wattnet"]
    found = [Use(f"account {one.name}", settings_of(one, Settings).account_key, "secp256k1") for one in wattnets]
    files = [(use, use.file(Path(config.home))) for use in found]
    return [use for use, file in files if file is None or file.exists()]


def of(config: Config, network: str) -> Use:
    """Return the key of a network, or the gateway's own for ""; raises ConfigError when it has none of its own."""
    if not network:
        return Use(GATEWAY, config.key, "P-256")
    use = _of_network(config, network)
    if use is None:
        raise ConfigError(f"{network} has no key of its own: it knows this gateway by the gateway's key.")
    return use


def _of_network(config: Config, name: str) -> Use | None:
    found = next((network for network in config.network if network.name == name), None)
    if found is None:
        raise ConfigError(f"There is no [[network]] named {name!r} in gateway.toml; `wattness network add` adds one.")
    kind = kind_of(found)
    return Use(f"network {name}", settled(found).key, kind.curve) if kind.curve else None
