"""Which programmes may not claim the same energy, as a table; two of them are refused before the second is enrolled.

Nor may two networks know this gateway by one key: to the network that is one meter, which would say two things at once.

What a programme claims of the streams that it is told of stands in the catalog (`Kind.claims`):

    generation    that this energy was generated: a certificate of origin is minted from it, or the energy itself sold
    carbon        the emissions that it saved
    meter_data    what a meter showed; many may be told, none owns it
    vehicle_data  what a vehicle showed

Sources, as the programmes themselves state them: an Arkreen plant that feeds Remote Miners may not also mint AREC, so
its generation is spent by reporting it (ArkDocs, rewards, 2024-03); Glow turns an audited farm's energy into carbon
credits and takes only farms that nobody else credits (gca-backend and Glow's audit rules, 2025-02); M3tering sells the
energy itself (gitbook, 2025-10); in DIMO a vehicle's identification number earns once a week and the newest token wins
(rewards-api, 2026-04). The programmes do not see each other, so nobody but the owner's gateway can refuse the second.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from posixpath import normpath
from typing import NamedTuple

from wattness.config import NetworkConfig
from wattness.errors import ConfigError

from . import key_uri, kind_of
from .base import Kind


class Rule(NamedTuple):
    """Two attributes of one energy that are not claimed by two programmes."""

    one: str
    other: str
    among: str  # "any": by any two programmes | "same": by two entries of one kind
    text: str


RULES = (
    Rule("generation", "generation", "any", "that energy was generated is certified, or sold, once"),
    Rule("carbon", "carbon", "any", "the carbon that energy saved is credited once"),
    Rule("carbon", "generation", "any", "the carbon goes with the generation: whoever certifies one has claimed both"),
    Rule("vehicle_data", "vehicle_data", "same", "a vehicle earns once in a programme, and its newest token wins"),
)


class Conflict(NamedTuple):
    """Two networks that may not both be told of one stream."""

    first: NetworkConfig  # by name
    second: NetworkConfig
    rule: Rule


def check(networks: Sequence[NetworkConfig]) -> None:
    """Raise ConfigError for the first two networks that exclude each other; their order does not matter."""
    for first, second in _of_one_key(networks):
        raise ConfigError(
            f"$.network: {first.name} and {second.name} name one key, {_key(first)}; each network has an identity "
            f"of its own: leave out `key` and make it with `wattness key new --network {second.name}`."
        )
    for first, second, rule in conflicts(networks):
        raise ConfigError(
            f"$.network: {first.name} ({kind_of(first).title}) and {second.name} ({kind_of(second).title}) would both "
            f"claim the same energy ({' and '.join(sorted({rule.one, rule.other}))}): {rule.text}; give them different "
            f"`devices`, or remove one."
        )


def conflicts(networks: Sequence[NetworkConfig]) -> Iterator[Conflict]:
    """Yield every two networks that exclude each other, by name; raises ConfigError for an unknown kind."""
    for first, second in combinations(sorted(networks, key=lambda network: network.name), 2):
        rule = _rule(first, second)
        if rule is not None and _share_a_stream(first, second):
            yield Conflict(first, second, rule)


def _of_one_key(networks: Sequence[NetworkConfig]) -> Iterator[tuple[NetworkConfig, NetworkConfig]]:
    own = sorted((one for one in networks if kind_of(one).curve), key=lambda one: one.name)
    return ((first, second) for first, second in combinations(own, 2) if _key(first) == _key(second))


def _key(network: NetworkConfig) -> str:
    scheme, colon, rest = key_uri(network).partition(":")
    return f"file:{normpath(rest)}" if scheme == "file" else f"{scheme}{colon}{rest}"


def _rule(first: NetworkConfig, second: NetworkConfig) -> Rule | None:
    one, other = kind_of(first), kind_of(second)
    for rule in RULES:
        if (rule.among == "any" or first.kind == second.kind) and _both(rule, one, other):
            return rule
    return None


def _both(rule: Rule, one: Kind, other: Kind) -> bool:
    return (rule.one in one.claims and rule.other in other.claims) or (
        rule.other in one.claims and rule.one in other.claims
    )


def _share_a_stream(first: NetworkConfig, second: NetworkConfig) -> bool:
    if kind_of(first).roles.isdisjoint(kind_of(second).roles):
        return False
    if not first.devices or not second.devices:
        return True
    return any(_same(one, other) for one in first.devices for other in second.devices)


def _same(one: str, other: str) -> bool:
    """Tell whether two entries of `devices` can be one stream: an id, or a board's key id and an id."""
    kid, slash, device = one.rpartition("/")
    other_kid, other_slash, other_device = other.rpartition("/")
    return device == other_device and (not slash or not other_slash or kid.lower() == other_kid.lower())
