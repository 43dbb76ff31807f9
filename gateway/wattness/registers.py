"""Looks into registers that somebody recorded: what a profile, or a walk over SunSpec's models, makes of them."""

from decimal import Decimal
from typing import Any

from wattwire import modbus, profile, sunspec

from .errors import RejectedError
from .profiles import bundled_profile, find_profile
from .recorded import Recording, Value, from_dump, from_exchanges

WALK = "sunspec"
AC_FAMILIES = ("sunspec_inverter", "sunspec_meter")


def decode_registers(name: str, dump: Any) -> dict[str, Any]:
    """Return the points of a register dump `{"holding": {"40000": 21365, …}, "input": {…}}`.

    `name` is a profile's id, a profile's file, or `sunspec`, which walks the models. What cannot be read is None.
    Raises ConfigError if the dump or the profile is malformed, RejectedError if the dump is of another device.
    """
    return _decode(name, from_dump(dump))


def decode_exchanges(name: str, exchanges: Any) -> dict[str, Any]:
    """Return the points of recorded Modbus RTU exchanges `[[request hex, answer hex], …]`, as `decode_registers`.

    An answer that does not match its request gives no value and a sentence in `problems`.
    """
    recording = from_exchanges(exchanges)
    return _decode(name, recording) | {"problems": recording.problems}


def _decode(name: str, recording: Recording) -> dict[str, Any]:
    if name == WALK:
        return _decode_walk(recording)
    loaded = find_profile(name)
    if loaded.models:
        model = _model_of(loaded, recording)
        return {"points": _figures(loaded, _values(loaded, model, recording))} | _identity(loaded, model, recording)
    return {"points": _figures(loaded, _values(loaded, None, recording))}


def _decode_walk(recording: Recording) -> dict[str, Any]:
    """Walk the models; `points` are the first device's, `models` lists every known model with its own."""
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
    return {"points": _merged(read)} | (common[0] if common else {"identity": {}}) | {"models": listed}


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


def _identity(loaded: profile.Profile, model: sunspec.Model, recording: Recording) -> dict[str, Any]:
    if not loaded.identity:
        return {}
    return {"identity": recording.identify(profile.bind(loaded, model.base, model.length))}


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
