"""Profiles against independent references: fractions for floats, struct and pymodbus for types and word orders."""

import contextlib
import json
import math
import struct
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.client.mixin import ModbusClientMixin as Pymodbus

from wattwire import profile, register
from wattwire.errors import WireError
from wattwire.plan import Read

SHIFTS = st.integers(-20, 20)
LIMIT = 1 << 63


def reference(raw: int, shift: int) -> int | None:
    """Return round half to even of float × 10^shift, by fractions; Python's round() of a Fraction does just that."""
    value = struct.unpack(">f", raw.to_bytes(4, "big"))[0]
    if not math.isfinite(value):
        return None
    exact = round(Fraction(value) * Fraction(10) ** shift)
    return exact if abs(exact) < LIMIT else None


@settings.get_profile("parsers")
@given(st.integers(0, 0xFFFFFFFF), SHIFTS)
def test_any_float_becomes_the_nearest_integer(raw: int, shift: int):
    assert register.float_integer(raw, shift) == reference(raw, shift)


@given(st.integers(-(1 << 22), 1 << 22), st.integers(0, 3))
def test_halves_go_to_even(halves: int, shift: int):
    raw = int.from_bytes(struct.pack(">f", halves / 2), "big")
    assert register.float_integer(raw, -shift) == reference(raw, -shift)


TYPES = {"u16": "UINT16", "s16": "INT16", "u32": "UINT32", "s32": "INT32", "acc32": "UINT32", "u64": "UINT64"}


@given(st.sampled_from(sorted(TYPES)), st.sampled_from(["big", "little"]), st.data())
def test_integers_agree_with_pymodbus(kind: str, order: str, data: st.DataObject):
    words = data.draw(st.lists(st.integers(0, 65535), min_size=register.COUNTS[kind], max_size=register.COUNTS[kind]))
    theirs: Any = Pymodbus.convert_from_registers(words, getattr(Pymodbus.DATATYPE, TYPES[kind]), word_order=order)
    raw = register.bits(struct.pack(f">{len(words)}H", *words), order)
    assert register.integer(kind, raw) == (theirs if theirs < LIMIT else None)


def one_point(kind: str, *, sf: bool, exponent: int) -> profile.Profile:
    item: dict[str, Any] = {"name": "power", "unit": "W", "address": 3, "type": kind, "exponent": exponent}
    form: dict[str, Any] = {"id": "any", "title": "Any", "positive": "import", "table": "holding", "default": []}
    if sf:
        item["sf"] = 2
        form["models"] = [7]
    return profile.bind(profile.load(json.dumps(form | {"points": [item]})))


@settings.get_profile("parsers")
@given(
    st.sampled_from(sorted(register.COUNTS)),
    st.booleans(),
    st.integers(-10, 10),
    st.lists(st.tuples(st.integers(0, 8), st.binary(max_size=20)), max_size=4),
)
def test_any_answers_give_wire_integers_or_none(kind: str, sf: bool, exponent: int, answers: list[tuple[int, bytes]]):  # noqa: FBT001 (drawn)
    bound = one_point(kind, sf=sf and kind != "float32", exponent=exponent)
    read = [(Read(3, address, len(data) // 2), data) for address, data in answers]
    value = profile.decode(bound, ["power"], read)["power"]
    if value is not None:
        assert abs(value[0]) < LIMIT
        assert -20 <= value[1] <= 20


@given(st.integers(-32767, 32767), st.integers(-10, 10), st.integers(-10, 10))
def test_a_scaled_value_means_what_the_device_meant(raw: int, factor: int, exponent: int):
    bound = one_point("s16", sf=True, exponent=exponent)
    data = struct.pack(">2h", factor, raw)
    assert profile.decode(bound, ["power"], [(Read(3, 2, 2), data)]) == {"power": (raw, factor + exponent)}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
KEYS = ("id", "title", "positive", "table", "default", "points", "models", "repeat", "identity", "max_registers")
KEYS += ("markers", "register_bytes", "barriers", "pace", "walk", "roles")
POINT_KEYS = ("name", "also", "unit", "address", "type", "word_order", "exponent", "scale", "sf", "invalid", "modulus")
POINT_KEYS += ("rate", "high", "plus", "minus", "sign", "offset", "absolute", "magnitude", "unsettled")
POINTS = st.lists(
    st.dictionaries(st.sampled_from(POINT_KEYS), JSON | st.sampled_from(["power", "W", "u16"])), max_size=3
)


@settings.get_profile("parsers")
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_text_is_a_profile_or_refused(text: bytes | str):
    with contextlib.suppress(WireError):
        profile.load(text)


@settings.get_profile("parsers")
@given(st.dictionaries(st.sampled_from(KEYS), JSON), POINTS)
def test_any_json_is_a_profile_or_refused(changes: dict[str, Any], points: list[dict[str, Any]]):
    form = {"id": "any", "title": "Any", "positive": "import", "table": "input", "default": [], "points": points}
    for candidate in (form, form | changes):
        try:
            loaded = profile.load(json.dumps(candidate))
        except WireError:
            continue
        names = [point.name for point in loaded.points]
        assert profile.decode(profile.bind(loaded, 0, 100), names, []) == dict.fromkeys(names)


def test_deep_json_is_refused():
    for text in ("[" * 60_000, '{"a":' * 10_000):
        with pytest.raises(WireError, match="bad_form"):
            profile.load(text)


@settings.get_profile("parsers")
@given(st.binary(max_size=40))
def test_any_bytes_are_a_text_or_none(data: bytes):
    found = register.text(data)
    assert found is None or (found.isprintable() and found.isascii() and found == found.strip())
