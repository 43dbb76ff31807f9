"""What the configuration of devices and proxies may say, and that each refusal names the key."""

import pytest

from wattness.config import parse
from wattness.devices import Address, parse_address
from wattness.errors import ConfigError

DEVICE = '[[device]]\nname = "roof"\nurl = "tcp://192.0.2.7"\nrole = "pv"\n'
PROXY = '[[proxy]]\ndevice = "roof"\n'


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("tcp://192.0.2.7", Address("tcp", "192.0.2.7", 502)),
        ("tcp://[2001:db8::7]:1502", Address("tcp", "2001:db8::7", 1502)),
        ("rtu+tcp://bridge.local:4196", Address("rtu+tcp", "bridge.local", 4196, 9600)),
        ("serial:///dev/ttyUSB0", Address("serial", "/dev/ttyUSB0", 0, 9600, "N", 1)),
        ("serial:///dev/ttyUSB0?baud=19200&parity=e&stopbits=2", Address("serial", "/dev/ttyUSB0", 0, 19200, "E", 2)),
    ],
)
def test_addresses(url, address):
    assert parse_address(url, "$.device[0].url") == address


@pytest.mark.parametrize(
    "url",
    [
        "192.0.2.7", "http://192.0.2.7", "tcp://", "tcp://a:b", "tcp://a:0", "tcp://a:99999", "tcp://a/x", "tcp://a?x=1",
        "tcp://me@a", "serial://ttyUSB0", "serial:///", "serial:///dev/x?baud=9601", "serial:///dev/x?baud=x",
        "serial:///dev/x?stopbits=3", "serial:///dev/x?parity=M", "serial:///dev/x?speed=9600", "tcp://[1", "",
    ],
)  # fmt: skip
def test_bad_addresses_are_refused(url):
    with pytest.raises(ConfigError, match=r"\$\.device\[0\]\.url"):
        parse_address(url, "$.device[0].url")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (DEVICE + DEVICE, r"\$\.device\[0\]\.name"),
        (DEVICE.replace("pv", "roof"), r"\$\.device\[0\]\.role"),
        (DEVICE + "unit = 256\n", r"\$\.device\[0\]\.unit"),
        (DEVICE + "period_ms = 50\n", r"\$\.device\[0\]\.period_ms"),
        (DEVICE + "speed = 1\n", "speed"),
        (DEVICE + DEVICE.replace('"roof"', '"car"').replace('"pv"', '"vehicle"'), r"\$\.device\[1\]\.key"),
        (PROXY, r"\$\.proxy\[0\]\.device"),
        (DEVICE + PROXY + 'listen = "1502"\n', r"\$\.proxy\[0\]\.listen"),
        (DEVICE + PROXY + 'clients = ["everybody"]\n', r"\$\.proxy\[0\]\.clients"),
        (DEVICE + PROXY + 'allow = [{client = "192.0.2.1/8", first = 0, last = 1}]\n', r"allow\[0\]\.client"),
        (DEVICE + PROXY + 'allow = [{client = "192.0.2.1", first = 2, last = 1}]\n', r"allow\[0\]\.last"),
        ('[lorawan]\nurl = "http://a"\n', r"\$\.lorawan\.url"),
        ("[lorawan]\nport = 0\n", r"\$\.lorawan\.port"),
        ('[lorawan]\napplication = "+/#"\n', r"\$\.lorawan\.application"),
    ],
)
def test_mistakes_name_their_key(tmp_path, text, path):
    with pytest.raises(ConfigError, match=path):
        parse(text, tmp_path)


def test_what_is_good_is_taken(tmp_path):
    allow = 'allow = [{client = "192.168.1.0/24", first = 40100, last = 40101, units = [1]}]\n'
    config = parse(DEVICE + PROXY + allow + '[lorawan]\nurl = "mqtt://chirpstack.local"\n', tmp_path)
    assert config.device[0].key == "file:device.key"
    assert config.proxy[0].allow[0].last == 40101
    assert config.lorawan.port == 87
