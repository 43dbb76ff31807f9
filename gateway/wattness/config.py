"""The gateway's configuration: one TOML file in the gateway's home, decoded once, frozen."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from . import devices
from .clock import Clock
from .errors import ConfigError
from .money import Money, Operates, check_money
from .site import Site, check_timezone

HOME_DEFAULT = "~/.local/share/wattness"
CONFIG_NAME = "gateway.toml"
DATABASE_NAME = "wattness.db"

_PASSWORD_IN_URL = re.compile(r"[a-z+]+://[^/@]*:[^/@]+@", re.IGNORECASE)

Natural = Annotated[int, msgspec.Meta(ge=0)]


class RemoteBroker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An MQTT broker that is not ours, and how we log in to it."""

    url: str = ""  # mqtt://user@host:port or mqtts://…; the password comes from password_file
    password_file: str = ""
    ca_file: str = ""  # for mqtts:// with a certificate of your own; empty: the system's


class Mqtt(RemoteBroker, frozen=True, forbid_unknown_fields=True):
    """Where boards reach us. Without `url` the gateway runs its own broker on `listen`."""

    listen: str = "127.0.0.1:1883"


class Lorawan(RemoteBroker, frozen=True, forbid_unknown_fields=True):
    """ChirpStack's MQTT broker, for boards behind LoRaWAN; off without `url`."""

    application: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]*$", max_length=64)] = ""  # its id; empty: all
    port: Annotated[int, msgspec.Meta(ge=1, le=223)] = 87  # the boards' FPort
    ack_every_s: Annotated[int, msgspec.Meta(ge=0, le=7 * 86_400)] = 6 * 3600  # at most one downlink to a board in that


class HomeAssistant(RemoteBroker, frozen=True, forbid_unknown_fields=True):
    """Home Assistant's discovery; without `url` on the boards' broker, which then has a login for Home Assistant."""

    enabled: bool = False
    prefix: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]+$", max_length=64)] = "homeassistant"


class Web(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page and the API."""

    listen: str = "127.0.0.1:8080"
    tls_cert: str = ""  # PEM files in the home, or elsewhere: a certificate with its chain
    tls_key: str = ""  # its private key, mode 0600
    enterprise: Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)] = 0  # your IANA number, for SenML's names
    public: bool = False  # listen to others even without TLS: who is on the way reads the token


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How rows become intervals (wire.md §4)."""

    length_s: Annotated[int, msgspec.Meta(ge=10, le=86400)] = 300
    final_after_h: Annotated[int, msgspec.Meta(ge=1, le=24 * 366)] = 24
    future_s: Annotated[int, msgspec.Meta(ge=0, le=86400)] = 120  # rows dated further ahead than this are quarantined


class History(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long raw frames are kept; values and aggregates are kept for ever."""

    raw_days: Annotated[int, msgspec.Meta(ge=1, le=36_600)] = 30
    proof_days: Annotated[int, msgspec.Meta(ge=1, le=36_600)] = 400  # so long after its end a network may challenge


class ClockConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A simulated civil clock, for the demo and tests only."""

    real_ms: Natural = 0
    civil_ms: Natural = 0
    rate: Annotated[int, msgspec.Meta(ge=1)] = 1


class NetworkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reward network; `name` is unique, `kind` is a key of the networks' registry."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[^/\\\x00-\x1f]+$", max_length=64)]
    kind: str
    url: str = ""  # by default the network's test endpoint, where there is one
    production: bool = False  # the network in earnest, not its test endpoint
    key: str = ""  # a signer's URI; by default file:<name>.key
    in_flight: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 4
    per_minute: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 6000
    age_max_h: Annotated[int, msgspec.Meta(ge=1, le=24 * 3660)] | None = None  # by default the kind's
    window_s: Annotated[int, msgspec.Meta(ge=0, le=7 * 86_400)] | None = None  # of one report; by default the kind's
    devices: list[str] = []  # ids of the streams to report; all that the network takes when empty
    settings: dict[str, Any] = {}  # the kind's own


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the operator can set; `home` is where the file was found."""

    key: str = "file:gateway.key"
    mqtt: Mqtt = Mqtt()
    web: Web = Web()
    interval: Interval = Interval()
    history: History = History()
    clock: ClockConfig = ClockConfig()
    site: Site | None = None
    network: list[NetworkConfig] = []
    homeassistant: HomeAssistant = HomeAssistant()
    device: list[devices.Device] = []
    proxy: list[devices.Proxy] = []
    lorawan: Lorawan = Lorawan()
    money: Money | None = None
    operates: list[Operates] = []
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


def check_url(text: str, schemes: tuple[str, ...], path: str) -> None:
    """Raise ConfigError naming the key's `path` unless `text` is the URL of a host, of one of these schemes."""
    try:
        url = urlsplit(text)
        good = url.scheme in schemes and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:  # a port or an address in brackets that is none
        good = False
    if not good:
        begins = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ConfigError(f"{path}: must begin with {begins} and name a host, found {text!r}")


def load(home: Path) -> Config:
    """Read the configuration in `home`; raises ConfigError that names the offending key's path."""
    file = home / CONFIG_NAME
    try:
        return parse(file.read_text(), home)
    except FileNotFoundError:
        raise ConfigError(f"There is no {file}; run `wattness init` first.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


def parse(text: str, home: Path) -> Config:
    """Return the configuration that `text` says, for the gateway in `home`; raises ConfigError as `load` does."""
    try:
        raw: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"cannot be read: {error}") from None
    if "home" in raw:
        raise ConfigError("$.home: is not a setting; use --home")
    _refuse_passwords(raw, "$")
    try:
        config = msgspec.convert(raw | {"home": str(home)}, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_located(error)) from None
    _check(config)
    return config


def _refuse_passwords(value: Any, path: str) -> None:
    """Raise ConfigError for a URL with a password: the page shows the settings, files of their own keep secrets."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_passwords(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_passwords(inner, f"{path}[{index}]")
    elif isinstance(value, str) and _PASSWORD_IN_URL.match(value):
        raise ConfigError(f"{path}: must not hold a password; put it in a file and name that, where there is a setting")


def _located(error: msgspec.ValidationError) -> str:
    """Return the refusal with the path of the key first, as all of ours are."""
    words, _, path = str(error).replace("`", "").rpartition(" - at ")
    return f"{path}: {words[:1].lower()}{words[1:]}" if words else str(error)


def _check(config: Config) -> None:
    names = [network.name for network in config.network]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"$.network: the name {name!r} is used twice")
    if config.site is not None:
        check_timezone(config.site.timezone, "$.site.timezone")
    split_address(config.web.listen, "$.web.listen")
    split_address(config.mqtt.listen, "$.mqtt.listen")
    for path, url in (
        ("$.mqtt.url", config.mqtt.url),
        ("$.homeassistant.url", config.homeassistant.url),
        ("$.lorawan.url", config.lorawan.url),
    ):
        if url:
            check_url(url, ("mqtt", "mqtts"), path)
    devices.check(config.device, config.proxy)
    check_money(config.money, config.operates)
    for index, proxy in enumerate(config.proxy):
        split_address(proxy.listen, f"$.proxy[{index}].listen")
