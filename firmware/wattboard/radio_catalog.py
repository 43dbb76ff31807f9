"""What the start must know of a stream by radio: its profile, its profile's hash, its points. Needed on loan."""

import hashlib

from wattboard.errors import ConfigError
from wattwire import bms, victron
from wattwire.errors import WireError

HASH_SIZE = 16
BMS_DEFAULT = (  # type: tuple[str, ...]
    "power",
    "voltage",
    "current",
    "soc",
)
VICTRON_KINDS = {  # profile: (type of record, default points)
    "victron_battery": (victron.BATTERY, ("power", "voltage", "current", "soc")),
    "victron_solar": (victron.SOLAR, ("power", "battery_voltage", "battery_current")),
    "victron_vebus": (victron.VEBUS, ("power", "battery_voltage", "battery_current", "soc")),
}


def read(settings, path, text_of):
    """Return (Vehicle or None, profile's hash, ((name, unit, exponent), …), unsettled names); raises ConfigError."""
    name = settings["profile"]
    if settings["role"] == "vehicle":
        return _vehicle(settings, path, text_of("vehicles/" + name))
    if name in bms.FAMILIES:
        decoder, default, unit = bms.decoder(name), BMS_DEFAULT, bms.unit
        exponents = dict(decoder.exponents)
        exponents.update(decoder.numbered)
    elif name in VICTRON_KINDS:
        kind, default = VICTRON_KINDS[name][0], VICTRON_KINDS[name][1]
        exponents, unit = victron.exponents(kind), victron.unit
        if "address" not in settings["ble"] or "key" not in settings["ble"]:
            raise ConfigError(path + ".ble: an advert is known by address and key, which the maker's app shows")
    else:
        raise ConfigError("%s.profile: there is no %s by radio" % (path, name))
    points = []
    for point in settings.get("points", default):
        exponent = exponents.get(point, exponents.get(point.rsplit("_", 1)[0]))
        if exponent is None:
            raise ConfigError("%s.points: %s has no point %s" % (path, name, point))
        points.append((point, unit(point), exponent))
    # There is no file that says what these decoders do; their name stands for it.
    return None, hashlib.sha256(("wattwire/1 " + name).encode()).digest()[:HASH_SIZE], tuple(points), ()


def _vehicle(settings, path, text):
    from wattwire import vehicle_form  # noqa: PLC0415 - only a car's board has room for it

    if text is None:
        raise ConfigError("%s.profile: there is no vehicle %s" % (path, settings["profile"]))
    try:
        vehicle = vehicle_form.load(text)
    except WireError as error:
        raise ConfigError("%s.profile: %s: %s" % (path, settings["profile"], error))
    names = settings.get("points", vehicle.default)
    signals = {}
    for command in vehicle.commands:
        for signal in command.signals:
            signals.setdefault(signal.name, signal)
    for name in names:
        if name not in signals:
            raise ConfigError("%s.points: the vehicle has no signal %s" % (path, name))
    points = []
    for name in names:
        product = signals[name].product
        exponent = sum([signals[each].exponent for each in product]) if product else signals[name].exponent
        points.append((name, signals[name].unit, exponent))
    unsettled = tuple([name for name in names if signals[name].unsettled])
    return vehicle, hashlib.sha256(text).digest()[:HASH_SIZE], tuple(points), unsettled
