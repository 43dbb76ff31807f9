"""What the gateway reads itself: the part of the configuration for devices and their proxies."""

import ipaddress
import re
from typing import Annotated, Literal, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Meta

from .errors import ConfigError

KEY_DEFAULT = "file:device.key"
TCP_PORT = 502
PARITIES = ("N", "E", "O")
BLE = "ble"
BAUDS = (1200, 2400, 4800, 9600, 14400, 19200, 28800, 38400, 57600, 76800, 115200)

# Six bytes; Apple's systems give each device an identifier of their own instead.
_RADIO_ADDRESS = re.compile(
    r"\A(([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\Z"
)

Name = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}\Z")]
Register = Annotated[int, Meta(ge=0, le=65535)]
Unit = Annotated[int, Meta(ge=0, le=255)]


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device that the gateway reads by Modbus or Bluetooth, and signs for with a key of its own."""

    name: Name
    # tcp://host:502 | rtu+tcp://host:port | serial:///dev/ttyUSB0?baud=9600&parity=N&stopbits=1 | ble:C0:FF:EE:00:00:01
    url: str
    role: Literal["pv", "battery", "grid", "load", "vehicle", "charger"]
    profile: str = "sunspec"
    unit: Unit = 1
    period_ms: Annotated[int, Meta(ge=100, le=3_600_000)] = 5000
    rated_w: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    points: list[str] = []  # the profile's default points when empty
    confirmed: list[str] = []  # points whose meaning the profile leaves open, and you have checked
    inverted: bool = False  # the meter is wired the wrong way round
    key: str = KEY_DEFAULT  # whose log its rows go to; devices may share one
    connect_pause_ms: Annotated[int, Meta(ge=0, le=10_000)] = 0  # that the device wants after a connection
    key_file: str = ""  # of mode 0600: the encryption key of a Victron device's adverts
    awake_mv: Annotated[int, Meta(ge=12_000, le=16_000)] | None = None  # at which a car charges its 12-V battery


class Allow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may write what through a proxy."""

    client: str  # an address, or a network as 192.168.1.0/24
    first: Register
    last: Register
    table: Literal["holding", "coil"] = "holding"
    units: list[Unit] = []  # all that the proxy passes on when empty


class Proxy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Modbus TCP server through which many clients share a device."""

    device: str
    listen: str = "127.0.0.1:1502"
    units: list[Unit] = []  # others at the device's address that clients may ask, beside the device's own
    max_age_ms: Annotated[int, Meta(ge=0, le=600_000)] = 2000  # so old may an answer from what was read before be
    clients: list[str] = []  # addresses or networks that may read; all when empty
    clients_max: Annotated[int, Meta(ge=1, le=256)] = 32
    allow: list[Allow] = []  # writes; none when empty


class Address(NamedTuple):
    """Where a device is, taken apart. Devices with the same address share one connection."""

    kind: str  # tcp | rtu+tcp | serial | ble
    host: str  # or the serial port's path, or the radio's address
    port: int = 0
    baud: int = 0
    parity: str = "N"
    stopbits: int = 1

    @property
    def is_serial_line(self) -> bool:
        """Whether frames go over a serial line somewhere, so that silence and late answers matter."""
        return self.kind != "tcp"

    @property
    def char_bits(self) -> int:
        """How many bits a character takes on the line."""
        return 9 + self.stopbits + (self.parity != "N")


def parse_address(url: str, path: str) -> Address:
    """Take a device's URL apart; raises ConfigError naming the key's `path`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(f"{path}: {url!r} is no URL") from None
    if parts.scheme in {"tcp", "rtu+tcp"} and parts.hostname and parts.path in {"", "/"} and not parts.query:
        if parts.username is None and port != 0:
            return Address(parts.scheme, parts.hostname, port or TCP_PORT, baud=9600 if "rtu" in parts.scheme else 0)
    elif parts.scheme == "serial" and not parts.netloc and len(parts.path) > 1:
        return _serial(parts.path, parts.query, path)
    elif parts.scheme == BLE and _RADIO_ADDRESS.match(url.partition(":")[2]):
        return Address(BLE, url.partition(":")[2].upper())
    raise ConfigError(
        f"{path}: expected tcp://host:502, rtu+tcp://host:port, serial:///dev/ttyUSB0?baud=9600 or"
        f" ble:C0:FF:EE:00:00:01, found {url!r}"
    )


def _serial(port: str, query: str, path: str) -> Address:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        options = dict(pairs)
        baud, stopbits = int(options.pop("baud", "9600")), int(options.pop("stopbits", "1"))
        parity = options.pop("parity", "N").upper()
    except ValueError:
        raise ConfigError(f"{path}: expected ?baud=9600&parity=N&stopbits=1, found {query!r}") from None
    if options or len(pairs) > 3 or baud not in BAUDS or parity not in PARITIES or stopbits not in {1, 2}:
        raise ConfigError(f"{path}: baud is one of {BAUDS}, parity N, E or O, stopbits 1 or 2; found {query!r}")
    return Address("serial", port, 0, baud, parity, stopbits)


def parse_network(text: str, path: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Return the addresses that `text` means; raises ConfigError."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigError(f"{path}: expected an address or a network as 192.168.1.0/24: {error}") from None


def check(devices: list[Device], proxies: list[Proxy]) -> None:
    """Raise ConfigError for what a type cannot say."""
    for index, device in enumerate(devices):
        _check_device(device, [other for other in devices if other is not device], f"$.device[{index}]")
    for index, proxy in enumerate(proxies):
        path = f"$.proxy[{index}]"
        if [other.listen for other in proxies].count(proxy.listen) > 1 and not proxy.listen.endswith(":0"):
            raise ConfigError(f"{path}.listen: {proxy.listen} is used twice; each proxy needs a port of its own")
        _check_proxy(proxy, {device.name: device for device in devices}, path)


def _check_device(device: Device, others: list[Device], path: str) -> None:
    if any(other.name == device.name for other in others):
        raise ConfigError(f"{path}.name: the name {device.name!r} is used twice")
    address = parse_address(device.url, f"{path}.url")
    if address.kind != BLE and (device.key_file or device.awake_mv is not None):
        raise ConfigError(f"{path}: key_file and awake_mv are for devices at ble:…")
    if device.role == "vehicle" and any(other.key == device.key for other in others):
        raise ConfigError(
            f"{path}.key: a vehicle's rows need a log that nothing else is in; make another key with"
            " `wattness device key new car.key`"
        )


def _check_proxy(proxy: Proxy, devices: dict[str, Device], path: str) -> None:
    if proxy.device not in devices:
        raise ConfigError(f"{path}.device: there is no [[device]] of the name {proxy.device!r}")
    if parse_address(devices[proxy.device].url, path).kind == BLE:
        raise ConfigError(f"{path}.device: {proxy.device!r} speaks no Modbus; it cannot be shared")
    for text in proxy.clients:
        parse_network(text, f"{path}.clients")
    for number, allow in enumerate(proxy.allow):
        parse_network(allow.client, f"{path}.allow[{number}].client")
        if allow.last < allow.first:
            raise ConfigError(f"{path}.allow[{number}].last: must not be less than first")
