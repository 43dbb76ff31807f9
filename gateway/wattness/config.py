"""The gateway's configuration: one TOML file in the gateway's home, decoded once, frozen."""

import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from .clock import Clock
from .errors import ConfigError

HOME_DEFAULT = "~/.local/share/wattness"
CONFIG_NAME = "gateway.toml"
DATABASE_NAME = "wattness.db"


class Mqtt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where boards reach us. Without `url` the gateway runs its own broker on `listen`."""

    url: str = ""  # mqtt://user@host:port or mqtts://…; the password comes from password_file
    password_file: str = ""
    ca_file: str = ""  # for mqtts:// with a certificate of your own; empty: the system's
    listen: str = "127.0.0.1:1883"


class Web(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page and the API."""

    listen: str = "127.0.0.1:8080"


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How rows become intervals (wire.md §4)."""

    length_s: int = 300
    final_after_h: int = 24
    future_s: int = 120  # rows dated further ahead than this are quarantined


class ClockConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A simulated civil clock, for the demo and tests only."""

    real_ms: int = 0
    civil_ms: int = 0
    rate: int = 1


class NetworkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reward network; `name` is unique, `kind` is a key of the networks' registry."""

    name: str
    kind: str
    url: str
    in_flight: int = 4
    per_minute: int = 6000
    age_max_h: int = 24 * 30


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the operator can set; `home` is where the file was found."""

    key: str = "file:gateway.key"
    mqtt: Mqtt = Mqtt()
    web: Web = Web()
    interval: Interval = Interval()
    clock: ClockConfig = ClockConfig()
    network: list[NetworkConfig] = []
    home: str = ""

    def path(self, name: str) -> Path:
        """A file or folder of the gateway's home."""
        return Path(self.home) / name

    def make_clock(self) -> Clock:
        """Return the clock that the configuration asks for."""
        return Clock(self.clock.real_ms, self.clock.civil_ms, self.clock.rate)


def split_address(text: str, path: str) -> tuple[str, int]:
    """Split `host:port`; raises ConfigError naming the key's `path`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ConfigError(f"{path}: expected host:port, found {text!r}")
    return host.strip("[]"), int(port)


def load(home: Path) -> Config:
    """Read the configuration in `home`; raises ConfigError that names the offending key's path."""
    file = home / CONFIG_NAME
    try:
        raw: dict[str, Any] = tomllib.loads(file.read_text())
    except FileNotFoundError:
        raise ConfigError(f"There is no {file}; run `wattness init` first.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
    if "home" in raw:
        raise ConfigError(f"{file}: $.home: is not a setting; use --home")
    try:
        config = msgspec.convert(raw | {"home": str(home)}, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {error}") from None
    _check(config, file)
    return config


def _check(config: Config, file: Path) -> None:
    if not 10 <= config.interval.length_s <= 86400:
        raise ConfigError(f"{file}: $.interval.length_s: must be 10 to 86400 seconds")
    if config.clock.rate < 1:
        raise ConfigError(f"{file}: $.clock.rate: must be at least 1")
    names = [network.name for network in config.network]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{file}: $.network: the name {name!r} is used twice")
    split_address(config.web.listen, "$.web.listen")
    split_address(config.mqtt.listen, "$.mqtt.listen")
    if config.mqtt.url and urlsplit(config.mqtt.url).scheme not in {"mqtt", "mqtts"}:
        raise ConfigError(f"{file}: $.mqtt.url: must begin with mqtt:// or mqtts://")
