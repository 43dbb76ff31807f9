"""The profiles that a stream may need, read from flash and checked: first, for JSON wants much room."""

import hashlib

from wattboard.errors import ConfigError
from wattwire import profile, reading, sunspec
from wattwire.errors import WireError

PLACES = ("/profiles/", "/rom/profiles/")  # an owner's own profile goes before the image's
HASH_SIZE = 16
SUNSPEC = "sunspec"


def read(settings, path):
    """Return {id: (Profile of the wanted points alone, hash)} for a stream of the configuration; raises ConfigError.

    Of a stream by radio, return what `radio_catalog` says.
    """
    if "ble" in settings:
        from wattboard import radio_catalog  # noqa: PLC0415 - where there is a radio

        return radio_catalog.read(settings, path, _text)
    name = settings["profile"]
    known = {} if name == SUNSPEC else {name: _read(name, settings, path)}
    walk = known[name][0].walk if known else ()
    if walk or not known:
        names = [sunspec.PROFILES[sunspec.COMMON]]
        names.extend(sunspec.profiles_for(settings["role"], walk))
        for name in names:
            known[name] = _read(name, settings, path)
    return known


def _read(name, settings, path):
    text = _text(name)
    if text is None:
        raise ConfigError("%s.profile: there is no profile %s" % (path, name))
    try:
        loaded = profile.load(text, settings["role"])
        return _only(loaded, settings.get("points")), hashlib.sha256(text).digest()[:HASH_SIZE]
    except WireError as error:
        raise ConfigError("%s.profile: %s: %s" % (path, name, error))


def _text(name):
    for place in PLACES:
        try:
            with open(place + name + ".json", "rb") as file:
                return file.read()
        except OSError:
            pass  # the next place may have it
    return None


def _only(loaded, wanted):
    wanted = wanted or loaded.default
    return reading.Profile(
        loaded.id,
        "",
        loaded.positive,
        loaded.manner,
        loaded.models,
        loaded.default,
        tuple([point for point in loaded.points if point.block or point.name in wanted]),
        loaded.identity,
        *loaded[8:],
    )
