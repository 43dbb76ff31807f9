"""Two exclusive claims on one energy are refused, whatever their order; what is disjoint is allowed."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattness.config import NetworkConfig
from wattness.errors import ConfigError
from wattness.networks import CATALOG
from wattness.networks.exclusive import RULES, check, conflicts

ATTRIBUTES = {"generation", "carbon", "meter_data", "vehicle_data"}
OPEN = sorted(name for name, kind in CATALOG.items() if kind.module)
DEVICES = ("a", "b", "c", "0011223344556677/a", "8899aabbccddeeff/a", "0011223344556677/b")


def network(kind, *devices, name=None):
    return NetworkConfig(name=name or kind, kind=kind, devices=list(devices))


configured = st.lists(
    st.builds(network, st.sampled_from(OPEN), *[st.sampled_from(DEVICES)] * 2)
    | st.builds(network, st.sampled_from(OPEN)),
    max_size=5,
).map(lambda found: [network(one.kind, *one.devices, name=f"n{at}") for at, one in enumerate(found)])


def told(networks):
    try:
        check(networks)
    except ConfigError as error:
        return str(error)
    return ""


@given(configured, st.randoms())
def test_order_never_matters(networks, random):
    shuffled = random.sample(networks, len(networks))
    assert told(shuffled) == told(networks)
    assert list(conflicts(shuffled)) == list(conflicts(networks))


@given(configured)
def test_disjoint_devices_are_allowed(networks):
    apart = [network(one.kind, f"device{at}", name=one.name) for at, one in enumerate(networks)]
    assert told(apart) == ""


@given(configured)
def test_whatever_two_are_refused_for_they_are_refused_for_among_others(networks):
    pairs = {(one.name, other.name) for one, other in itertools.combinations(networks, 2) if told([one, other])}
    assert pairs == {(found.first.name, found.second.name) for found in conflicts(networks)}


@given(configured)
def test_none_is_refused_alone(networks):
    for one in networks:
        assert told([one]) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (network("arkreen"), network("glow")),
        (network("arkreen", "roof"), network("glow")),
        (network("arkreen", "roof"), network("glow", "shed", "roof")),
        (network("arkreen", "roof"), network("glow", "0011223344556677/roof")),
        (network("arkreen", "0011223344556677/roof"), network("glow", "0011223344556677/roof")),
        (network("arkreen"), network("arkreen", name="again")),
        (network("dimo"), network("dimo", name="again")),
    ],
)
def test_what_is_exclusive_is_refused_with_both_names_and_the_rule(one, other):
    words = told([one, other])
    for part in (one.name, other.name, CATALOG[one.kind].title, CATALOG[other.kind].title, "`devices`"):
        assert part in words
    assert any(rule.text in words for rule in RULES)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (network("arkreen", "roof"), network("glow", "shed")),
        (network("arkreen", "0011223344556677/roof"), network("glow", "8899aabbccddeeff/roof")),
        (network("arkreen"), network("arkreen_consumption")),
        (network("arkreen"), network("peaq")),
        (network("iotex"), network("peaq")),
        (network("wattnet"), network("arkreen")),
        (network("wattnet"), network("wattnet", name="again")),
        (network("filecoin"), network("glow")),
        (network("dimo"), network("arkreen")),
    ],
)
def test_what_is_not_exclusive_is_allowed(one, other):
    assert told([one, other]) == ""


@pytest.mark.parametrize(
    "keys", [("file:a.key", "file:a.key"), ("file:./a.key", "file:x/../a.key"), ("", "file:n1.key"), ("pkcs11:k",) * 2]
)
def test_one_key_is_one_network(keys):
    one, other = (
        NetworkConfig(name=f"n{at}", kind=kind, key=key, devices=[f"d{at}"])
        for at, (kind, key) in enumerate(zip(("glow", "peaq"), keys, strict=True), 1)
    )
    words = told([one, other])
    assert "one key" in words
    assert "n1" in words
    assert "--network n2" in words


def test_networks_that_know_the_gateway_by_its_own_key_may_share_it():
    assert told([network("wattnet", name="n1"), network("wattnet", name="n2")]) == ""


def test_the_tables_know_the_same_attributes():
    assert {claim for kind in CATALOG.values() for claim in kind.claims} <= ATTRIBUTES
    assert {attribute for rule in RULES for attribute in (rule.one, rule.other)} <= ATTRIBUTES
