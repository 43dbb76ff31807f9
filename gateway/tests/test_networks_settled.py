"""What a kind decides for a network's configuration, and what only its owner may decide."""

import msgspec
import pytest

from wattness import forward
from wattness.config import NetworkConfig, parse
from wattness.errors import ConfigError
from wattness.networks import CATALOG, REWARD_UNITS, kind_of, settled
from wattness.networks.base import settings_of

NOT_OPENED = ("no public path", "transport only", "compute operator")


def network(kind, **changes):
    return NetworkConfig(name="mine", kind=kind, **changes)


WITH_HOSTS = [(name, host) for name, kind in CATALOG.items() if kind.module for host in kind.production_hosts]


@pytest.mark.parametrize(("kind", "host"), WITH_HOSTS)
def test_a_network_in_earnest_needs_its_owners_word(kind, host):
    for url in (f"https://{host}/v1", f"https://{host.upper()}:8443", f"mqtts://{host}.:8883"):
        with pytest.raises(ConfigError, match=r"\$\.network\[mine\]\.url: .*production = true"):
            settled(network(kind, url=url))
        assert settled(network(kind, url=url, production=True)).url == url
    assert settled(network(kind, url=f"https://{host}.example.org")).url


@pytest.mark.parametrize("name", [name for name, kind in CATALOG.items() if kind.module])
def test_what_is_not_said_comes_from_the_kind(name):
    kind = CATALOG[name]
    if not kind.test_url:
        with pytest.raises(ConfigError, match=r"\$\.network\[mine\]\.url: is missing; set it to"):
            settled(network(name))
    found = settled(network(name, url=kind.test_url or "http://127.0.0.1:9"))
    assert not found.production
    assert (found.key, found.window_s, found.age_max_h) == ("file:mine.key", kind.window_s, kind.age_max_h)
    own = settled(network(name, url="http://127.0.0.1:9", key="file:x.key", window_s=900, age_max_h=3))
    assert (own.url, own.key, own.window_s, own.age_max_h) == ("http://127.0.0.1:9", "file:x.key", 900, 3)
    assert settled(own) == own


@pytest.mark.parametrize("name", [name for name, kind in CATALOG.items() if kind.module])
def test_a_default_is_never_a_network_in_earnest(name):
    kind = CATALOG[name]
    if kind.test_url:
        assert settled(network(name)).url == kind.test_url


@pytest.mark.parametrize("name", CATALOG)
def test_every_kind_is_described(name):
    kind = CATALOG[name]
    assert kind.title
    assert kind.gate
    assert kind.gate.endswith(".")
    assert kind.status.startswith(("ready", "sandbox only", "gated by ", *NOT_OPENED))
    assert kind.curve in {"", "P-256", "secp256k1", "Ed25519"}
    assert kind.roles <= {"pv", "battery", "grid", "load", "vehicle", "charger"}
    assert kind.claims <= {"generation", "carbon", "meter_data", "vehicle_data"}
    assert kind.scope in {"stream", "board"}
    assert kind.serial in {"none", "stream", "network"}
    assert (kind.status in NOT_OPENED) == (not kind.module)
    if not kind.module:
        with pytest.raises(ConfigError, match=r"\$\.network\[mine\]\.kind: "):
            kind_of(network(name))
    assert REWARD_UNITS.get(name, "") == kind.unit


def test_an_unknown_kind_names_those_that_are_known():
    with pytest.raises(ConfigError, match=r"\$\.network\[mine\]\.kind: 'gridcoin' is not one of wattnet"):
        settled(network("gridcoin"))


def test_a_window_is_whole_intervals():
    config = settled(network("wattnet", url="http://127.0.0.1:9", window_s=3600))
    assert forward.wants(config, 300).window_ms == 3_600_000
    with pytest.raises(ConfigError, match=r"\$\.network\[mine\]\.window_s: 3600 is not a multiple of .* 7000"):
        forward.wants(config, 7000)


class Chosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    meter: int
    names: list[str] = []


def test_a_networks_own_settings_are_named_by_their_path():
    assert settings_of(network("wattnet", settings={"meter": 7}), Chosen).meter == 7
    for settings, path in (
        ({"meter": "x"}, r"settings\.meter: "),
        ({"meter": 1, "names": ["a", 2]}, r"settings\.names\[1\]: "),
        ({"meter": 1, "more": 2}, r"settings: object contains unknown field more"),
        ({}, r"settings: object missing required field meter"),
    ):
        with pytest.raises(ConfigError, match=r"\$\.network\[mine\]\." + path):
            settings_of(network("wattnet", settings=settings), Chosen)


def test_the_file_says_it_all(tmp_path):
    text = (
        '[[network]]\nname = "sun"\nkind = "wattnet"\nurl = "http://h"\nproduction = false\nkey = "file:sun.key"\n'
        'window_s = 3600\nage_max_h = 5\ndevices = ["0"]\nsettings = {meter = 3}\n'
    )
    (found,) = parse(text, tmp_path).network
    assert (found.window_s, found.devices, found.settings) == (3600, ["0"], {"meter": 3})
    for bad in ('name = "a/b"', 'name = ""\n', "window_s = -1", "age_max_h = 0", 'settings = "x"'):
        with pytest.raises(ConfigError, match=r"\$\.network\[0\]"):
            parse(f'[[network]]\nkind = "wattnet"\n{"" if "name" in bad else chr(110) + "ame = 1"}\n{bad}\n', tmp_path)
