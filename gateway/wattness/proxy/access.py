"""Who may come in, which units they may ask, and what they may write: what the configuration says, as answers."""

import ipaddress

from wattness import devices

from .asked import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, NO_PATH, DeclinedError, Written

ANY_UNITS = (0, 255)  # what clients send to a device that has no units behind it

Client = ipaddress.IPv4Address | ipaddress.IPv6Address


class Access:
    """The rules of one proxy."""

    def __init__(self, settings: devices.Proxy, unit: int) -> None:
        """`unit` is the device's own."""
        self._clients = [devices.parse_network(text, "clients") for text in settings.clients]
        self._allow = [(devices.parse_network(each.client, "allow"), each) for each in settings.allow]
        self._unit = unit
        self._units = {unit, *settings.units}

    def admits(self, client: Client) -> bool:
        """Whether the client may read."""
        return not self._clients or any(client in network for network in self._clients)

    def unit(self, asked: int) -> int:
        """Return the unit that is meant; raises DeclinedError."""
        if asked in self._units:
            return asked
        if asked in ANY_UNITS:
            return self._unit
        raise DeclinedError(NO_PATH, "unknown_unit")

    def check_write(self, client: Client, unit: int, written: Written) -> None:
        """Raise DeclinedError unless the client may write all of it."""
        mine = [
            each for network, each in self._allow
            if client in network and each.table == written.table and unit in (each.units or self._units)
        ]  # fmt: skip
        if not mine:
            raise DeclinedError(ILLEGAL_FUNCTION, "write_not_allowed")
        if not any(each.first <= written.first and written.last <= each.last for each in mine):
            raise DeclinedError(ILLEGAL_ADDRESS, "register_not_allowed")


def client_of(host: str) -> Client:
    """Return the address of a peer; one that came by IPv4 is an IPv4 address."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
