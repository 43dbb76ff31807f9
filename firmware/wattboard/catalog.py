"""The profiles that a stream may need, read from flash and checked: first, for JSON wants much room."""

import hashlib

from wattboard.errors import ConfigError
from wattwire import profile, reading, sunspec
from wattwire.errors import WireError

PROFILES = "/profiles/"
HASH_SIZE = 16
SUNSPEC = "sunspec"


def read(settings, path):
    """Return {id: (Profile of the wanted points alone, hash)} for a stream of the configuration; raises ConfigError."""
    names = [settings["profile"]]
    if names[0] == SUNSPEC:
        names = [sunspec.PROFILES[sunspec.COMMON]]
        names.extend(sunspec.ROLES.get(settings["role"], ()))
    return {name: _read(name, settings.get("points"), path) for name in names}


def _read(name, wanted, path):
    try:
        with open(PROFILES + name + ".json", "rb") as file:
            text = file.read()
    except OSError:
        raise ConfigError("%s.profile: there is no profile %s" % (path, name))
    try:
        return _only(profile.load(text), wanted), hashlib.sha256(text).digest()[:HASH_SIZE]
    except WireError as error:
        raise ConfigError("%s.profile: %s: %s" % (path, name, error))


def _only(loaded, wanted):
    wanted = wanted or loaded.default
    return reading.Profile(
        loaded.id,
        "",
        loaded.positive,
        loaded.max_registers,
        loaded.models,
        loaded.default,
        tuple([point for point in loaded.points if point.block or point.name in wanted]),
        loaded.identity,
        loaded.repeat,
    )
