"""Looks into registers that somebody recorded: what a profile, or a walk over SunSpec's models, makes of them."""

from decimal import Decimal
from typing import Any

from wattwire import modbus, profile, sunspec

from .errors import ConfigError, RejectedError
from .profiles import Walks, bundled_profile, find_profile, model_profile
from .recorded import Recording, Value, from_dump, from_exchanges

WALK = "sunspec"
AC_FAMILIES = ("sunspec_inverter", "sunspec_meter")


def decode_registers(name: str, dump: Any, role: str | None = None) -> dict[str, Any]:
    """Return the points of a register dump `{"holding": {"40000": 21365, …}, "input": {…}}`.

    `name` is a profile's id, a profile's file, or `sunspec`, which walks the models; with `role` the points are those
    of a stream of that role, with its signs. What cannot be read is None.
    Raises ConfigError if the dump or the profile is malformed, RejectedError if the dump is of another device.
    """
    return _decode(name, role, from_dump(dump, _width(name)))


def decode_exchanges(name: str, exchanges: Any, role: str | None = None) -> dict[str, Any]:
    """Return the points of recorded Modbus RTU exchanges `[[request hex, answer hex], …]`, as `decode_registers`.

    An answer that does not match its request gives no value and a sentence in `problems`.
    """
    recording = from_exchanges(exchanges, _width(name))
    return _decode(name, role, recording) | {"problems": recording.problems}


def _width(name: str) -> int:
    return 2 if name == WALK else int(find_profile(name).manner.width)


def _decode(name: str, role: str | None, recording: Recording) -> dict[str, Any]:
    if role is not None and role not in profile.POSITIVE:
        raise ConfigError(f"There is no role {role!r}; the roles are {', '.join(profile.POSITIVE)}.")
    loaded = None if name == WALK else find_profile(name, role)
    if loaded is None or loaded.walk:
        return _decode_walk(recording, role, loaded.walk if loaded else ())
    model = _model_of(loaded, recording) if loaded.models else None
    points = _as_role(loaded, _values(loaded, model, recording), role)
    found = {"points": points} | (_identity(loaded, model, recording))
    if not loaded.roles or role is not None:
        return found
    sections = {each: _decode(name, each, recording)["points"] for each in loaded.roles}
    return found | {"points": _device_view(points, sections), "roles": {r: {"points": p} for r, p in sections.items()}}


def _as_role(loaded: profile.Profile, values: dict[str, Value], role: str | None) -> dict[str, Any]:
    """Return the figures of `values`, signed as a stream of `role` has them; without a role as the device has them."""
    return _figures(loaded, profile.orient(values, loaded, role) if role else values)


def _device_view(points: dict[str, Any], sections: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the device's own points, completed: its first role is the device itself, others fill in what has no sign.

    So a hybrid's state of charge stands beside its inverter's power, but its grid's energies are not the inverter's.
    """
    view = dict(points)
    for index, section in enumerate(sections.values()):
        for name, figure in section.items():
            signed = profile.directed(name) or name.startswith("energy_")
            if index == 0 or name.startswith("battery_") or not signed:
                view.setdefault(name, figure)
    return view


def _decode_walk(recording: Recording, role: str | None, walk: Walks) -> dict[str, Any]:
    """Walk the models; `points` are the first device's, or the role's; `models` lists every known one with its own."""
    models = _walk(recording)
    if not models:
        raise RejectedError("no_sunspec", "there is no SunSpec map at register 40000, 0 or 50000")
    known = [(model, bundled_profile(sunspec.PROFILES[model.id])) for model in models if model.id in sunspec.PROFILES]
    read = [(model, loaded, _values(loaded, model, recording)) for model, loaded in known]
    common = [_identity(loaded, model, recording) for model, loaded in known if loaded.identity]
    listed = [
        {"model": model.id, "profile": loaded.id, "base": model.base, "length": model.length}
        | {"points": _figures(loaded, values)}
        for model, loaded, values in read
    ]
    points = _of_role(models, role, walk, recording) if role else _merged(read)
    return {"points": points} | (common[0] if common else {"identity": {}}) | {"models": listed}


def _of_role(models: list[sunspec.Model], role: str, walk: Walks, recording: Recording) -> dict[str, Any]:
    found = model_profile(models, role, walk)
    if found is None:
        raise RejectedError("no_model", f"these registers hold no SunSpec model for a {role}")
    loaded, model = found
    return _as_role(loaded, _values(loaded, model, recording), role)


def _walk(recording: Recording) -> list[sunspec.Model]:
    walker = sunspec.Walker()
    while (read := walker.next()) is not None:
        data = recording.registers(*read)
        if data is None:
            walker.fail(modbus.ModbusError(modbus.ILLEGAL_DATA_ADDRESS))
        else:
            walker.take(data)
    return walker.models


def _model_of(loaded: profile.Profile, recording: Recording) -> sunspec.Model:
    """Return the first model that `loaded` reads; without a SunSpec map the registers count from the model's id."""
    models = _walk(recording)
    for model in models:
        if model.id in loaded.models:
            return model
    wanted = ", ".join(str(number) for number in loaded.models)
    if not models:
        header = recording.registers(modbus.HOLDING, 0, 2)
        if header is None:
            return sunspec.Model(loaded.models[0], 0, None)
        number, length = int.from_bytes(header[:2], "big"), int.from_bytes(header[2:], "big")
        if number in loaded.models and length <= 65534:
            return sunspec.Model(number, 0, length)
    raise RejectedError("no_model", f"these registers hold no SunSpec model {wanted}")


def _values(loaded: profile.Profile, model: sunspec.Model | None, recording: Recording) -> dict[str, Value]:
    """Return every point of a profile, in its order; those that the device's model is too short for are None."""
    bound = profile.bind(loaded, model.base, model.length) if model else profile.bind(loaded)
    values: dict[str, Value] = {point.name: None for point in loaded.points if not point.block}
    return values | recording.decode(bound)


def _identity(loaded: profile.Profile, model: sunspec.Model | None, recording: Recording) -> dict[str, Any]:
    if not loaded.identity:
        return {}
    return {"identity": recording.identify(profile.bind(loaded, *model[1:]) if model else profile.bind(loaded))}


def _merged(read: list[tuple[sunspec.Model, profile.Profile, dict[str, Value]]]) -> dict[str, Any]:
    """Return the points of the map's first device, which ends where a second common model begins.

    Its first inverter or meter comes first and wholly: a hybrid's meter or battery fills no gap of its inverter. The
    integer and the float model of one kind complete each other; other models add the names that are still free.
    """
    commons = [model.base for model, _, _ in read if model.id == sunspec.COMMON]
    device = [entry for entry in read if len(commons) < 2 or entry[0].base < commons[1]]
    kind = next((_family(loaded) for _, loaded, _ in device if _family(loaded) in AC_FAMILIES), None)
    device.sort(key=lambda entry: _family(entry[1]) != kind)
    owners: dict[str, str] = {}
    points: dict[str, Any] = {}
    for _, loaded, values in device:
        family = _family(loaded)
        if family in AC_FAMILIES and family != kind:
            continue
        for name, figure in _figures(loaded, values).items():
            if owners.setdefault(name, family) == family and points.get(name) is None:
                points[name] = figure
    return points


def _family(loaded: profile.Profile) -> str:
    """Return the profile's id without its number format: the kind of device that it reads."""
    return str(loaded.id).removesuffix("_int").removesuffix("_float")


def _figures(loaded: profile.Profile, values: dict[str, Value]) -> dict[str, Any]:
    units = {point.name: point.unit for point in loaded.points}
    found: dict[str, Any] = {}
    for name, value in values.items():
        unit = units.get(name) or units[name.rpartition("_")[0]]  # a block's point is listed without its number
        found[name] = None if value is None else {"value": decimal(*value), "unit": unit}
    return found


def decimal(integer: int, exponent: int) -> int | float:
    """Return `integer × 10^exponent` as the number whose JSON text is that decimal: 2301, −1 prints as 230.1."""
    if exponent >= 0:
        return integer * int(10**exponent)
    return float(Decimal(integer).scaleb(exponent))
