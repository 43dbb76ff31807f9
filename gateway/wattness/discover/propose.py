"""What is found as sections of the configuration: names, periods, and whether they are there already."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from wattness.devices import Address, Device, parse_address

from . import known
from .found import Confidence, Found
from .ground import addresses

PERIOD_MS, PERIOD_MAX_MS = 5000, 3_600_000
SHARE = 4  # of its time a device may be read: every fourth second at most
NAME_MAX, REMARK_MAX = 48, 100


class Proposal(NamedTuple):
    """One [[device]] section, and what is known of it."""

    name: str
    url: str
    unit: int
    profile: str
    role: str
    period_ms: int
    rated_w: int | None
    connect_pause_ms: int
    confidence: Confidence
    why: str
    maker: str | None
    model: str | None
    serial: str | None
    configured: str | None  # the name under which it is there already


def propose(found: Sequence[Found], devices: Sequence[Device]) -> list[Proposal]:
    """Return a proposal for each role of each device, the surest first."""
    names = {device.name for device in devices}
    places = Places(devices)
    proposals = []
    for one in found:
        url = url_of(one.address)
        for offer in one.offers:
            there_as = places.find(url, one.unit, offer.profile, offer.role)
            name = there_as or _name(one, offer.profile, offer.role, names)
            names.add(name)
            proposals.append(
                Proposal(
                    name,
                    url,
                    one.unit,
                    offer.profile,
                    offer.role,
                    _period_ms(offer.read_ms),
                    offer.rated_w,
                    one.connect_pause_ms,
                    offer.confidence,
                    offer.why,
                    one.maker,
                    one.model,
                    one.serial,
                    there_as,
                )
            )
    return sorted(proposals, key=lambda proposal: proposal.confidence.rank)


class Places:
    """Where the configuration has devices, and as what."""

    def __init__(self, devices: Iterable[Device]) -> None:
        """Names of hosts are looked up: what is found has an address."""
        self._names: dict[tuple[object, ...], str] = {}
        for device in devices:
            address = parse_address(device.url, device.name)
            for host in addresses(address.host):
                for part in (device.role, known.part_of(device.profile, device.role)):
                    self._names[host, address.port, device.unit, part] = device.name

    def find(self, url: str, unit: int, profile: str, role: str) -> str | None:
        """Return the name of a device that is configured for that part of what is there, or None."""
        address = parse_address(url, "url")
        for part in (role, known.part_of(profile, role)):
            name = self._names.get((address.host, address.port, unit, part))
            if name is not None:
                return name
        return None


def url_of(address: Address) -> str:
    """Return an address as the configuration has it."""
    if address.kind == "serial":
        options = f"?baud={address.baud}"
        options += f"&parity={address.parity}" if address.parity != "N" else ""
        return f"serial://{address.host}{options}{'&stopbits=2' if address.stopbits != 1 else ''}"
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{address.kind}://{host}:{address.port}"


def section(proposal: Proposal, newline: str = "\n") -> str:
    """Return the section as text."""
    who = " ".join(part for part in (proposal.maker, proposal.model, proposal.serial) if part) or "no name of its own"
    settings: dict[str, str | int | None] = {
        "name": proposal.name,
        "url": proposal.url,
        "unit": proposal.unit,
        "profile": proposal.profile,
        "role": proposal.role,
        "period_ms": proposal.period_ms,
        "rated_w": proposal.rated_w,
        "connect_pause_ms": proposal.connect_pause_ms or None,
    }
    lines = [
        f"# found by `wattness discover`: {_plain(who)}; {proposal.confidence}, {_plain(proposal.why)}",
        "[[device]]",
    ]
    lines += [
        f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items() if value is not None
    ]
    return newline.join([*lines, ""])


def _plain(text: str) -> str:
    """Return a device's own words as fit for a comment: of one line, and not endless."""
    return "".join(char for char in text if char.isprintable())[:REMARK_MAX]


def _name(found: Found, profile: str, role: str, taken: set[str]) -> str:
    """Return a name that is not taken: maker, model and role, or profile and role."""
    told = f"{found.maker or ''} {found.model or ''}".strip() or profile
    slug = re.sub(r"[^a-z0-9]+", "-", told.lower()).strip("-")[:NAME_MAX].strip("-") or "device"
    name = base = f"{slug}-{role}"
    number = 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name


def _period_ms(read_ms: int) -> int:
    """Return a period in whole seconds that leaves the device time for others."""
    return min(max(PERIOD_MS, -(-SHARE * read_ms // 1000) * 1000), PERIOD_MAX_MS)
