"""Where to look: networks, ports and units, checked before the first packet."""

import functools
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from serial.tools import list_ports

from wattness.devices import Address, parse_address
from wattness.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ADDRESSES_MAX = 4096  # a /20, all networks together
FORCED_MAX = 65_536  # a /16: beyond it no scan ends in a reasonable time
UNIT_MAX, SERIAL_UNITS = 255, range(1, 248)  # unit 0 is for everybody on a serial line, and nobody answers to it
FOREIGN_HOST = ("192.0.2.1", 9)  # nothing is sent there: it makes the kernel choose an address of ours


class Limits(NamedTuple):
    """What a search may cost."""

    parallel: int = 64  # connections under way
    examined: int = 16  # devices asked at once
    rate_hz: float = 200.0  # new connections a second
    connect_s: float = 1.0
    answer_s: float = 1.0  # for a unit's first answer
    device_s: float = 60.0  # for all that is behind one address
    total_s: float = 300.0


class Ground(NamedTuple):
    """All that was asked for."""

    networks: tuple[Network, ...] = ()
    ports: tuple[int, ...] = (502,)
    lines: tuple[Address, ...] = ()  # serial; baud 0: it is to be found out
    units: tuple[int, ...] = ()  # the usual ones when empty

    def targets(self) -> Iterator[Address]:
        """Yield every address and port of the networks."""
        for network in self.networks:
            for host in network.hosts():
                for port in self.ports:
                    yield Address("tcp", str(host), port)

    def total(self) -> int:
        """Return how many targets there are at most."""
        return sum(network.num_addresses for network in self.networks) * len(self.ports)


def parse_lan(texts: Sequence[str], *, force: bool = False) -> tuple[Network, ...]:
    """Return the networks in `texts`; raises ConfigError for one that is too large or not private."""
    networks = tuple(dict.fromkeys(_network(text) for text in texts))
    for network in networks:
        if network.is_multicast or network.is_unspecified:
            raise ConfigError(f"--lan {network} is no network of devices; give one as 192.168.1.0/24.")
        if not network.is_private and not force:
            raise ConfigError(f"--lan {network} is not private: others' devices may be there. --force scans it anyway.")
    count = sum(network.num_addresses for network in networks)
    if count > FORCED_MAX:
        raise ConfigError(f"--lan means {count} addresses; no more than {FORCED_MAX} (a /16) are ever scanned.")
    if count > ADDRESSES_MAX and not force:
        raise ConfigError(
            f"--lan means {count} addresses, more than {ADDRESSES_MAX} (a /20); name a smaller network, or use --force."
        )
    return networks


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ConfigError(f"--lan {text!r} is no network; give one as 192.168.1.0/24, or an address.") from None


def own_network() -> Network:
    """Return the /24 that this machine is in; raises ConfigError when there is none to propose."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(FOREIGN_HOST)
            own = ipaddress.ip_address(probe.getsockname()[0])
        except OSError:
            own = ipaddress.ip_address("0.0.0.0")  # noqa: S104 - means none here
    if own.is_unspecified or not own.is_private:
        raise ConfigError("This machine is in no private network; say where to look: --lan 192.168.1.0/24.")
    return ipaddress.ip_network(f"{own}/24", strict=False)


@functools.cache
def addresses(host: str) -> tuple[str, ...]:
    """Return the addresses of a host of the configuration; a serial port, or what has none, stays as it is."""
    if host.startswith("/"):
        return (host,)
    try:
        return tuple(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, None)))
    except (OSError, UnicodeError):
        return (host,)


def parse_lines(texts: Sequence[str]) -> tuple[Address, ...]:
    """Return the serial ports in `texts`, as /dev/ttyUSB0 or /dev/ttyUSB0?baud=2400; raises ConfigError."""
    return tuple(dict.fromkeys(_line(text) for text in texts))


def _line(text: str) -> Address:
    path, _, options = text.partition("?")
    if not path.startswith("/"):
        raise ConfigError(f"--serial {text!r}: give the port's whole path, as /dev/ttyUSB0.")
    address = parse_address(f"serial://{text}", "--serial")
    if not os.path.exists(path):  # noqa: PTH110 - a name, not a file
        here = ", ".join(sorted(port.device for port in list_ports.comports()))
        raise ConfigError(f"There is no port {path}; {f'there is {here}' if here else 'no serial port is plugged in'}.")
    if not stat.S_ISCHR(os.stat(path).st_mode):  # noqa: PTH116 - as above
        raise ConfigError(f"{path} is no serial port; give one as /dev/ttyUSB0.")
    if not os.access(path, os.R_OK | os.W_OK):
        raise ConfigError(f"The port {path} may not be used by you; add yourself to its group (often dialout).")
    return address if "baud=" in options else address._replace(baud=0)


def parse_units(text: str) -> tuple[int, ...]:
    """Return the units in a text as `1-20` or `1,3,100-110`; raises ConfigError."""
    units: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > len("255-255") + 2:
            raise ConfigError(f"--units {text!r}: give numbers and ranges, as 1-20 or 1,3,240-247.")
        low, high = int(first), int(last or first)
        if not low <= high <= UNIT_MAX:
            raise ConfigError(f"--units {text!r}: units are 0 to {UNIT_MAX}, the lower one first.")
        units.extend(range(low, high + 1))
    return tuple(dict.fromkeys(units))
