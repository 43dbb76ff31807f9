"""The board's configuration: one JSON file, checked whole before anything uses it; refusals name the path."""

import json
import os

from wattboard.errors import ConfigError
from wattwire.errors import WireError
from wattwire.form import check

PATH = "/config.json"
TRIAL_PATH = "/config.try"  # on trial in this start, and kept only if the gateway hears of it
TEXT_MAX = 8192
STREAMS_MAX = 8
ROLES = ("pv", "battery", "grid", "load", "charger", "vehicle")
DEFAULTS = {"frame_ms": 60000, "health_ms": 600000, "clock_step_ms": 1000}

# key: (type, required, lowest, highest); lengths of texts and lists, values of numbers.
TOP = {
    "gateway": (str, True, 64, 64),
    "link_key": (str, True, 64, 64),
    "mqtt": (dict, True, 0, 8),
    "wifi": (dict, True, 0, 8),
    "bus": (dict, False, 0, 8),
    "ntp": (str, False, 1, 253),
    "release_key": (str, False, 130, 130),
    "led": (dict, False, 0, 8),
    "frame_ms": (int, False, 1000, 300000),
    "health_ms": (int, False, 1000, 86400000),
    "clock_step_ms": (int, False, 1, 3600000),
    "streams": (list, True, 1, STREAMS_MAX),
}
MQTT = {
    "host": (str, True, 1, 253),
    "port": (int, True, 1, 65535),
    "user": (str, True, 1, 64),
    "password": (str, True, 0, 128),
    "tls": (bool, False, 0, 1),
    "ca": (str, False, 1, 128),
}
LINK = ("gateway", "link_key", "mqtt", "wifi", "ntp", "release_key")  # all that safe mode needs
WIFI = {"ssid": (str, True, 1, 32), "password": (str, False, 0, 64)}
LED = {"pin": (int, True, 0, 48), "low": (bool, False, 0, 1)}  # low: it is lit by a low level
NO_BUS = {"uart": 0, "baud": 9600, "tx": 0, "rx": 0}
BUS = {
    "uart": (int, True, 0, 2),
    "baud": (int, True, 1200, 460800),
    "tx": (int, True, 0, 48),
    "rx": (int, True, 0, 48),
    "de": (int, False, 0, 48),
}
STREAM = {
    "role": (str, True, 1, 16),
    "profile": (str, True, 1, 48),
    "unit": (int, True, 1, 247),
    "period_ms": (int, True, 100, 3600000),
    "points": (list, False, 1, 32),
    "ble": (dict, False, 0, 8),
    "rated_w": (int, False, 1, 100000000),
    "inverted": (bool, False, 0, 1),
    "confirmed": (list, False, 1, 32),
}
BLE = {  # how a device on the air is found, and what Victron's adverts are encrypted with
    "address": (str, False, 12, 17),
    "name": (str, False, 1, 20),
    "key": (str, False, 32, 32),
    "awake_mv": (int, False, 11000, 60000),
}
QUOTE, BACKSLASH, COLON = b'"\\:'
IDENTITY = ("unit", "role", "profile")


def load(path=PATH):
    """Return the checked configuration, or None if there is no file; raises ConfigError."""
    try:
        if os.stat(path)[6] > TEXT_MAX:
            raise ConfigError("$: longer than %d characters" % TEXT_MAX)
        with open(path) as file:
            text = file.read()  # no more than it is: a heap full of code has no 8 KB in one piece
    except OSError:
        return None
    return parse(text)


def load_link(path=PATH):
    """Return the part of the configuration that leads to the gateway, whatever the rest is; raises ConfigError."""
    try:
        with open(path) as file:
            found = json.loads(file.read())
        known = {key: found[key] for key in LINK if key in found}
        for name, keys in (("mqtt", MQTT), ("wifi", WIFI)):
            known[name] = {key: found[name][key] for key in keys if key in found[name]}
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ConfigError("$: no way to the gateway in it: %r" % error)
    config = _linked(known, {key: TOP[key] for key in LINK})
    config["streams"] = []
    return config


def store(text, path=PATH):
    """Check a configuration's text and put it in the place of the old one, whole or not at all."""
    parse(text)
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def parse(text):
    """Return the checked configuration in a JSON text, its hex strings as bytes; raises ConfigError."""
    if len(text) > TEXT_MAX:
        raise ConfigError("$: longer than %d characters" % TEXT_MAX)
    try:
        config = json.loads(text)
    except (ValueError, RuntimeError) as error:
        raise ConfigError("$: not JSON: %s" % error)
    _once(text)
    _linked(config, TOP)
    _object(config.get("bus", NO_BUS), BUS, "$.bus")
    if "led" in config:
        _object(config["led"], LED, "$.led")
    for index, stream in enumerate(config["streams"]):
        _stream(stream, "$.streams[%d]" % index)
        _not_metered(config["streams"][:index], stream, "$.streams[%d]" % index)
    _together(config)
    return config


def _linked(config, keys):
    """Check what leads to the gateway, and complete the configuration."""
    _object(config, keys, "$")
    _object(config["mqtt"], MQTT, "$.mqtt")
    _object(config["wifi"], WIFI, "$.wifi")
    if config["mqtt"].get("tls") and "ca" not in config["mqtt"]:
        raise ConfigError("$.mqtt.ca: is missing; with TLS it names the file of the CA's certificate")
    for key in ("gateway", "link_key", "release_key"):
        if key in config:
            config[key] = _hex(config[key], "$." + key)
    for key, value in DEFAULTS.items():
        config[key] = config.get(key, value)
    return config


def _stream(stream, path):
    _object(stream, STREAM, path)
    if "ble" in stream:
        _radio(stream["ble"], path + ".ble")
    if stream["role"] not in ROLES:
        raise ConfigError("%s.role: must be one of %s" % (path, ", ".join(ROLES)))
    for key in ("points", "confirmed"):
        for index, name in enumerate(stream.get(key, ())):
            if type(name) is not str or stream[key].index(name) != index:
                raise ConfigError("%s.%s[%d]: must be a name, used once" % (path, key, index))


def _together(config):
    """Refuse streams without what brings their values, and a car beside a home: an audit of one must not show both."""
    streams = config["streams"]
    for index, stream in enumerate(streams):
        if "ble" not in stream and "bus" not in config:
            raise ConfigError("$.bus: is missing; $.streams[%d] is read by it" % index)
        if stream["role"] == "vehicle" and ("ble" not in stream or len(streams) > 1):
            raise ConfigError("$.streams[%d]: a vehicle is read by ble, and alone on its board" % index)


def _radio(ble, path):
    _object(ble, BLE, path)
    _hex(ble.get("key", ""), path + ".key")
    address = ble.get("address", "000000000000").replace(":", "")
    if len(_hex(address, path + ".address")) != 6:
        raise ConfigError(path + ".address: must be six bytes, as c0:ff:ee:00:00:01")


def _not_metered(others, stream, path):
    """Refuse a stream that one of `others` is too: its energy would count twice."""
    for index, other in enumerate(others):
        if [other[key] for key in IDENTITY] == [stream[key] for key in IDENTITY]:
            raise ConfigError("%s: has the unit, role and profile of $.streams[%d]" % (path, index))


def _once(text):
    """Refuse a key that is twice in one object of a JSON text: json would take one of them in silence."""
    keys = [[]]  # of every object and list that is open here
    inside = escaped = False
    string = bytearray()
    for byte in text.encode():  # bytes: a character of a text would stay in the board's table of names
        if inside:
            inside = escaped or byte != QUOTE
            escaped = byte == BACKSLASH and not escaped
            if inside:
                string.append(byte)
        elif byte == QUOTE:
            inside = True
            string = bytearray()
        elif byte in b"{[":
            keys.append([])
        elif byte in b"}]":
            keys.pop()
        elif byte == COLON:
            if bytes(string) in keys[-1]:
                raise ConfigError("$: the key %s is there twice" % bytes(string).decode())
            keys[-1].append(bytes(string))


def _object(value, keys, path):
    if type(value) is dict:
        for key in keys:
            if value.get(key, key) is None:
                del value[key]  # null is as good as absent
    try:
        check(value, keys, path)
    except WireError as error:
        raise ConfigError(error.detail)


def _hex(text, path):
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ConfigError(path + ": must be hexadecimal")
