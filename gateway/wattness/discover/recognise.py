"""What a unit is: by its SunSpec map, by what it says of itself, or by values that make sense."""

from typing import Any

from wattness.modbus.binding import walk_map
from wattness.modbus.line import SilentError, UnreachableError
from wattness.profiles import Walks, bundled_profile, model_profile
from wattwire import modbus, profile, sunspec

from . import known, sense
from .asking import Unit, Values
from .found import Confidence, Found, Offer

SUNSPEC = "sunspec"
SUNSPEC_ROLES = ("pv", "grid", "battery")  # a meter is taken for the grid's; its owner knows better
NAMEPLATE, RATING = 120, 3  # SunSpec's model of ratings, and the place of its power, with its scale factor behind it
RATED_MAX_W = 1_000_000_000
COUNTERS = ("energy_import", "energy_export")


async def recognise(unit: Unit) -> Found | None:
    """Return what the unit can be, the surest offers first, or None. Raises SilentError."""
    models = await _map(unit)
    texts = await _common(unit, models)
    maker = known.of_maker(texts.get("manufacturer"))
    offers = await _by_its_maker(unit, maker, texts) if models and maker and not maker.walks else []
    if models:
        taken = {offer.role for offer in offers}
        walk = maker.id if maker and maker.walks else SUNSPEC
        offers += [one for one in await _by_its_map(unit, models, walk) if one.role not in taken]
    else:
        texts, offers = await _by_registers(unit)
    if not offers:
        return None
    maker_text, model_text, serial = (texts.get(name) for name in ("manufacturer", "model", "serial"))
    fingerprint: tuple[object, ...] = (maker_text, model_text, serial, *(offer[:2] for offer in offers))
    if serial is None:
        fingerprint += tuple((await _counters(unit, offers[0])).items())
    return Found(unit.line.address, unit.number, maker_text, model_text, serial, tuple(offers), 0, fingerprint)


async def _map(unit: Unit) -> list[sunspec.Model]:
    """Return the SunSpec models; some devices say nothing, or nothing fitting, of registers that they do not have."""
    try:
        return await walk_map(unit.line, unit.number)
    except UnreachableError:
        raise
    except SilentError:
        return []


async def _common(unit: Unit, models: list[sunspec.Model]) -> dict[str, str | None]:
    for model in models:
        if model.id == sunspec.COMMON:
            loaded = bundled_profile(sunspec.PROFILES[sunspec.COMMON])
            return await unit.texts(profile.bind(loaded, model.base, model.length))
    return {}


async def _by_its_map(unit: Unit, models: list[sunspec.Model], walk: str) -> list[Offer]:
    """Return an offer for each role that the map's models suit."""
    own: Walks = () if walk == SUNSPEC else bundled_profile(walk).walk
    rated_w = await _nameplate_w(unit, models)
    offers = []
    for role in SUNSPEC_ROLES:
        found = model_profile(models, role, own)
        if found is None:
            continue
        loaded, model = found
        bound = profile.bind(loaded, model.base, model.length)
        values = await unit.values(bound, bound.default)
        if role == "battery" and values.get("soc") is None:
            continue  # many inverters have the model, few the battery
        why = f"SunSpec model {model.id}"
        offers.append(_judged(walk, role, why, values)._replace(rated_w=rated_w if role == "pv" else None))
        offers[-1] = offers[-1]._replace(read_ms=await unit.read_ms(bound))
    return offers


def _judged(name: str, role: str, why: str, values: Values) -> Offer:
    """Return a certain offer, or a doubtful one if a value cannot be."""
    odd = sense.oddity(values)
    if odd:
        return Offer(name, role, Confidence.POSSIBLE, f"{why}, but {odd} cannot be")
    return Offer(name, role, Confidence.CERTAIN, why)


async def _nameplate_w(unit: Unit, models: list[sunspec.Model]) -> int | None:
    for model in models:
        if model.id == NAMEPLATE and model.length > RATING:
            data = await unit.registers(modbus.HOLDING, model.base + RATING, 2)
            if data is not None:
                raw, factor = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:], "big", signed=True)
                if raw != 0xFFFF and -10 <= factor <= 10:
                    return _rated((raw, factor))
    return None


def _rated(value: tuple[int, int] | None) -> int | None:
    watts = None if value is None else int(sense.number(value))
    return watts if watts is not None and 0 < watts <= RATED_MAX_W else None


async def _by_its_maker(unit: Unit, maker: known.Sketch, texts: dict[str, str | None]) -> list[Offer]:
    """Return an offer for each role in which the maker's own profile finds a power."""
    offers = []
    for role in known.roles_of(maker.id):
        bound, values = await _as_role(unit, maker.id, role)
        if values.get("power") is not None:
            offer = _judged(maker.id, role, f"it says that it is of {texts['manufacturer']}", values)
            offers.append(offer._replace(rated_w=_rated(values.get("rated_power")), read_ms=await unit.read_ms(bound)))
    return offers


async def _as_role(unit: Unit, name: str, role: str) -> tuple[Any, Values]:
    loaded = bundled_profile(name)
    bound = profile.bind(bundled_profile(name, role if loaded.roles else None))
    names = tuple(dict.fromkeys((*bound.default, "power", "soc", "rated_power", "battery_voltage")))
    return bound, await unit.values(bound, names)


async def _by_registers(unit: Unit) -> tuple[dict[str, str | None], list[Offer]]:
    """Return the texts and offers of the profile whose voltages and frequency make most sense here."""
    over_tcp = unit.line.address.kind == "tcp"
    ranked = []
    for sketch in known.sketches():
        if not sketch.proves:
            continue
        bound = profile.bind(bundled_profile(sketch.id))
        names = tuple(point.name for point in bound.points if point.name in known.PROOF)
        values = await unit.values(bound, names)
        found = sense.proofs(values)
        if found is None:
            continue
        texts = await unit.texts(bound) if sketch.texts else {}
        has_serial, is_named = bool(texts.get("serial")), await _is_named(unit, sketch.id)
        offers = await _like(unit, sketch.id, has_serial=has_serial)
        if is_named:
            why = f"its model number is one of {sketch.id}"
            offers = [offer._replace(confidence=Confidence.CERTAIN, why=why) for offer in offers]
        if offers:
            at_home = sketch.over_tcp if over_tcp else sketch.over_serial
            score = (is_named, has_serial, found - sense.missing_phases(values), len(offers), at_home)
            ranked.append((score, sketch.id, texts, offers))
    if not ranked:
        return {}, []
    ranked.sort(key=lambda one: one[0], reverse=True)
    _, best, texts, offers = ranked[0]
    others = ", ".join(one[1] for one in ranked[1:])
    also = f"; also like {others}" if others else ""
    named = {"manufacturer": None, "model": None} | texts
    return named, [offer._replace(why=offer.why + also) for offer in offers if offer.profile == best]


async def _is_named(unit: Unit, name: str) -> bool:
    """Tell whether the device says by a number that it is one of the profile's models."""
    if name not in known.MODELS:
        return False
    fc, address, numbers = known.MODELS[name]
    data = await unit.registers(fc, address, 1)
    return data is not None and int.from_bytes(data, "big") in numbers


async def _like(unit: Unit, name: str, *, has_serial: bool) -> list[Offer]:
    """Return an offer for each role whose values make sense; a profile without a proof only `answers like`."""
    confidence = Confidence.LIKELY if has_serial else Confidence.POSSIBLE
    why = f"has a serial number where {name} has it" if has_serial else f"answers like {name}"
    offers = []
    for role in known.roles_of(name):
        bound, values = await _as_role(unit, name, role)
        if sense.oddity(values):
            return []
        soc = values.get("soc")
        if values.get("power") is not None and (role != "battery" or (soc is not None and soc[0] > 0)):
            rated_w = _rated(values.get("rated_power")) if role == "pv" else None
            offers.append(Offer(name, role, confidence, why, rated_w, await unit.read_ms(bound)))
    return offers


async def _counters(unit: Unit, offer: Offer) -> Values:
    """Return the counters that tell two devices of a kind apart."""
    if offer.profile == SUNSPEC or bundled_profile(offer.profile).walk:
        return {}
    loaded = bundled_profile(offer.profile)
    bound = profile.bind(bundled_profile(offer.profile, offer.role if loaded.roles else None))
    return await unit.values(bound, COUNTERS)
