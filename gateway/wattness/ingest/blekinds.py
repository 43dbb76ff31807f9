"""What a device by Bluetooth is: its profile's hash and points, under the same names as on the boards."""

import hashlib
from typing import Any, NamedTuple

from wattness.devices import Device
from wattness.errors import ConfigError
from wattness.profiles import profiles_dir
from wattwire import bms, vehicle_form, victron
from wattwire.errors import WireError

HASH_SIZE = 16
MONITOR, VICTRON, VEHICLE = "monitor", "victron", "vehicle"
MONITOR_DEFAULT = ("power", "voltage", "current", "soc")
VICTRON_KINDS: dict[str, tuple[int, str, tuple[str, ...]]] = {  # type of record, role, default points
    "victron_battery": (victron.BATTERY, "battery", ("power", "voltage", "current", "soc")),
    "victron_solar": (victron.SOLAR, "pv", ("power", "battery_voltage", "battery_current")),
    "victron_vebus": (victron.VEBUS, "battery", ("power", "battery_voltage", "battery_current", "soc")),
}
ROLE_KINDS = {"battery": "victron_battery", "pv": "victron_solar"}  # what `victron` alone means


class Kind(NamedTuple):
    """What is known of a device before it was ever heard."""

    way: str  # monitor | victron | vehicle
    profile: str
    profile_hash: bytes
    points: tuple[tuple[str, str, int], ...]  # (name, unit, exponent)
    unsettled: tuple[str, ...] = ()
    vehicle: Any = None  # wattwire.obd.Vehicle


def kind_of(settings: Device) -> Kind:
    """Return what the configuration says that a device is; raises ConfigError."""
    if settings.role == "vehicle":
        return _vehicle(settings)
    name = ROLE_KINDS.get(settings.role, "") if settings.profile == VICTRON else settings.profile
    if name in bms.FAMILIES:
        decoder = bms.decoder(name)
        points = _points(settings, {**decoder.exponents, **decoder.numbered}, MONITOR_DEFAULT, bms.unit)
        _check(settings, "battery", wants_key=False)
        return Kind(MONITOR, name, _hash_of(name), points)
    if name in VICTRON_KINDS:
        record, role, default = VICTRON_KINDS[name]
        points = _points(settings, victron.exponents(record), default, victron.unit)
        _check(settings, role, wants_key=True)
        return Kind(VICTRON, name, _hash_of(name), points)
    known = ", ".join((*bms.FAMILIES, VICTRON, *VICTRON_KINDS))
    raise ConfigError(
        f"a {settings.role} by Bluetooth has one of the profiles {known}, or the role vehicle;"
        f" found {settings.profile!r}"
    )


def _hash_of(name: str) -> bytes:
    """Return what stands for a decoder's profile: there is no file, and boards say the same."""
    return hashlib.sha256(f"wattwire/1 {name}".encode()).digest()[:HASH_SIZE]


def _points(
    settings: Device, exponents: dict[str, int], default: tuple[str, ...], unit: Any
) -> tuple[tuple[str, str, int], ...]:
    points = []
    for name in settings.points or default:
        exponent = exponents.get(name, exponents.get(name.rpartition("_")[0]))
        if exponent is None:
            raise ConfigError(f"{settings.profile} has no point {name!r}; it has {', '.join(exponents)}")
        points.append((name, unit(name), exponent))
    return tuple(points)


def _check(settings: Device, role: str, *, wants_key: bool) -> None:
    if settings.role != role:
        raise ConfigError(f"{settings.profile} is read as role {role!r}, not {settings.role!r}")
    if settings.awake_mv is not None:
        raise ConfigError("awake_mv is for a vehicle")
    if wants_key and not settings.key_file:
        raise ConfigError("key_file must name a file of mode 0600 with the encryption key that Victron's app shows")
    if settings.key_file and not wants_key:
        raise ConfigError("key_file is for a Victron device")


def _vehicle(settings: Device) -> Kind:
    path = profiles_dir() / "vehicles" / f"{settings.profile}.json"
    known = sorted(each.stem for each in path.parent.glob("*.json") if each.stem != "schema")
    if settings.profile not in known:
        raise ConfigError(f"there is no vehicle {settings.profile!r}; there are {', '.join(known)}")
    if settings.key_file:
        raise ConfigError("key_file is for a Victron device")
    text = path.read_bytes()
    try:
        vehicle = vehicle_form.load(text)
    except WireError as error:
        raise ConfigError(f"{path}: {error.detail}") from None
    signals: dict[str, Any] = {}
    for command in vehicle.commands:
        for signal in command.signals:
            signals.setdefault(signal.name, signal)
    names = tuple(settings.points or vehicle.default)
    for name in names:
        if name not in signals:
            raise ConfigError(f"the vehicle {settings.profile} has no signal {name!r}; it has {', '.join(signals)}")
    points = tuple((name, signals[name].unit, _exponent(signals, name)) for name in names)
    unsettled = tuple(name for name in names if signals[name].unsettled)
    return Kind(VEHICLE, settings.profile, hashlib.sha256(text).digest()[:HASH_SIZE], points, unsettled, vehicle)


def _exponent(signals: dict[str, Any], name: str) -> int:
    product = signals[name].product
    return sum(signals[each].exponent for each in product) if product else int(signals[name].exponent)
