"""Deterministic CBOR: what it takes, what it refuses, and that neither time nor memory can be had from it."""

import tracemalloc

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattwire import cbor
from wattwire.errors import WireError

INTS = st.integers(-(2**63) + 1, 2**63 - 1)
SCALARS = st.none() | INTS | st.binary(max_size=40) | st.text(max_size=20)
KEYS = INTS | st.text(max_size=6) | st.binary(max_size=6)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=15
)

REFUSED = {
    "": "truncated",
    "18": "truncated",
    "1901": "truncated",
    "42ff": "truncated",
    "820 1": "truncated",
    "a101": "truncated",
    "9bffffffffffffffff": "truncated",
    "bbffffffffffffffff": "truncated",
    "bb7fffffffffffffff": "truncated",
    "5b7fffffffffffffff": "truncated",
    "7b1000000000000000": "truncated",
    "9b0000000100000000": "truncated",
    "0000": "trailing_bytes",
    "f6f6": "trailing_bytes",
    "1817": "not_deterministic",
    "190017": "not_deterministic",
    "1900ff": "not_deterministic",
    "1a0000ffff": "not_deterministic",
    "1b00000000ffffffff": "not_deterministic",
    "3817": "not_deterministic",
    "5800": "not_deterministic",
    "7801 61": "not_deterministic",
    "9800": "not_deterministic",
    "b800": "not_deterministic",
    "5f42ffffff": "not_deterministic",
    "7f6161ff": "not_deterministic",
    "9f01ff": "not_deterministic",
    "bf0102ff": "not_deterministic",
    "a202000100": "not_deterministic",
    "a2200018ff00": "not_deterministic",
    "a26161006 0 00": "not_deterministic",
    "a2010001 00": "duplicate_key",
    "a2616100616100": "duplicate_key",
    "1c": "bad_form",
    "5d": "bad_form",
    "1b8000000000000000": "bad_range",
    "3b7fffffffffffffff": "bad_range",
    "1bffffffffffffffff": "bad_range",
    "f4": "bad_type",
    "f5": "bad_type",
    "f7": "bad_type",
    "e0": "bad_type",
    "f820": "bad_type",
    "f93c00": "bad_type",
    "fa3f800000": "bad_type",
    "fb3ff0000000000000": "bad_type",
    "ff": "bad_type",
    "c000": "bad_type",
    "c24101": "bad_type",
    "d81800": "bad_type",
    "a1f600": "bad_type",
    "a18000": "bad_type",
    "a1a000": "bad_type",
    "61ff": "bad_type",
    "6180": "bad_type",
    "62c080": "bad_type",
    "61c3": "bad_type",
    "62c328": "bad_type",
    "63eda080": "bad_type",
    "63e08080": "bad_type",
    "64f0808080": "bad_type",
    "64f4908080": "bad_type",
    "64f5808080": "bad_type",
    "818181818181818181": "too_deep",
    "8181818181818181 80": "too_deep",
    "81818181818181 a100 80": "too_deep",
}


def reason(function, *given_values):
    with pytest.raises(WireError) as caught:
        function(*given_values)
    return caught.value.reason


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text):
    assert reason(cbor.decode, bytes.fromhex(text.replace(" ", ""))) == REFUSED[text]


@settings(max_examples=400)
@given(VALUES)
def test_round_trip_and_agreement_with_cbor2(value):
    data = cbor.encode(value)
    assert cbor.decode(data) == value
    assert cbor2.loads(data) == value


@given(st.dictionaries(st.integers(0, 2**63 - 1) | st.text(max_size=300), st.none(), max_size=12))
def test_order_of_keys_is_bytewise(value):
    keys = [cbor2.dumps(key) for key in value]
    assert cbor.encode(value) == cbor.head(5, len(keys)) + b"".join(key + b"\xf6" for key in sorted(keys))


@settings.get_profile("parsers")
@given(st.binary(max_size=60) | VALUES.map(cbor.encode), st.integers(0, 5000))
def test_any_bytes_give_a_value_or_a_wire_error(data, bit):
    mutated = bytearray(data)
    if mutated:
        mutated[bit // 8 % len(mutated)] ^= 1 << bit % 8
    try:
        value = cbor.decode(bytes(mutated))
    except WireError:
        return
    assert cbor.encode(value) == bytes(mutated)


@given(st.binary(min_size=1, max_size=12))
def test_text_is_utf8_exactly_when_cpython_says_so(data):
    try:
        expected = data.decode()
    except UnicodeDecodeError:
        assert reason(cbor.text, data) == "bad_type"
    else:
        assert cbor.text(data) == expected


@pytest.mark.parametrize("size", range(9))
def test_eight_levels_are_allowed(size):
    data = b"\x81" * size + b"\x00"
    assert cbor.encode(cbor.decode(data)) == data


@pytest.mark.parametrize(
    "data", [b"\x81" * 20_000, b"\xa1\x00" * 20_000, b"\x9b\x7f" + b"\xff" * 7, b"\xbb\x7f" + b"\xff" * 7 + bytes(8000)]
)
def test_hostile_sizes_cost_nothing(data):
    tracemalloc.start()
    try:
        assert reason(cbor.decode, data) in {"too_deep", "truncated"}
        assert tracemalloc.get_traced_memory()[1] < 20_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**63, "bad_range"),
        (-(2**63), "bad_range"),
        (True, "bad_type"),
        (1.0, "bad_type"),
        ({None: 1}, "bad_type"),
        ({True: 1}, "bad_type"),
        ({(1,): 1}, "bad_type"),
        ("\ud800", "bad_type"),
        ({2**63: 1}, "bad_range"),
        (bytearray(1), "bad_type"),
        ([[[[[[[[[]]]]]]]]], "too_deep"),
        ([[[[[[[[{}]]]]]]]], "too_deep"),
    ],
)
def test_values_that_the_wire_does_not_carry(value, expected):
    assert reason(cbor.encode, value) == expected


@pytest.mark.parametrize("number", [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1])
def test_heads_are_the_shortest(number):
    assert cbor.encode(number) == cbor2.dumps(number)
    assert cbor.encode(-number) == cbor2.dumps(-number)
    assert cbor.decode(cbor.encode(-number)) == -number


def test_tuples_are_arrays():
    assert cbor.encode((1, (2,))) == cbor.encode([1, [2]])
