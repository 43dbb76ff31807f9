"""Records: what goes in comes out, and any bytes or values give a record or a WireError."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattwire import cbor, frame
from wattwire.errors import WireError

VECTORS = json.loads((Path(__file__).resolve().parent / "vectors.json").read_text())
PAYLOADS = [bytes.fromhex(case["payload"]) for case in VECTORS["frames"]]
ROWS, HEALTH = PAYLOADS[1], PAYLOADS[3]
TOP = 2**63 - 1

UINTS = st.integers(0, 2**62)
HASHES = st.binary(min_size=16, max_size=16)
TEXTS = st.text(min_size=1, max_size=12)


def reason(function, *given_values):
    with pytest.raises(WireError) as caught:
        function(*given_values)
    return caught.value.reason


POINTS = st.builds(frame.Point, TEXTS, st.text(max_size=4), st.integers(-18, 18), st.none() | st.integers(1, 2**63 - 1))
STREAM = st.builds(
    frame.Stream,
    st.sampled_from(frame.ROLES),
    TEXTS,
    HASHES,
    st.integers(0, 255),
    st.lists(POINTS, max_size=4, unique_by=lambda point: point.name).map(tuple),
    st.none() | HASHES,
    st.none() | UINTS,
    st.booleans(),
)
BODIES = {
    1: st.builds(
        frame.Streams,
        st.lists(STREAM, max_size=3).map(tuple),
        st.dictionaries(TEXTS, TEXTS | st.integers(-5, 5), max_size=3),
        st.binary(min_size=32, max_size=32),
        st.none() | st.tuples(UINTS, HASHES),
    ),
    3: st.builds(frame.Health, st.dictionaries(TEXTS, st.none() | TEXTS | st.integers(-(2**62), 2**62), max_size=4)),
}


@st.composite
def entries(draw):
    size = draw(st.integers(0, 6))
    values = st.lists(st.none() | st.integers(-(2**61), 2**61), min_size=size, max_size=size)
    columns = [frame.delta(column) for column in draw(st.lists(values, max_size=3))]
    size = size if columns else 0
    spacings = max(size - 1, 0)
    dt = draw(st.integers(0, 10**6) | st.lists(st.integers(0, 10**6), min_size=spacings, max_size=spacings))
    return frame.Entry(draw(st.integers(0, 9)), draw(UINTS), dt, columns)


BODIES[2] = st.builds(frame.Rows, HASHES, st.lists(entries(), max_size=3))


@st.composite
def records(draw):
    kind = draw(st.sampled_from([1, 2, 3]))
    seq = draw(st.integers(1, 2**62))
    lost = sorted(draw(st.tuples(st.integers(1, seq - 1), st.integers(1, seq - 1)))) if seq > 1 else None
    return frame.Record(
        kind,
        draw(UINTS),
        seq,
        bytes(16) if seq == 1 else draw(HASHES),
        draw(UINTS),
        draw(UINTS),
        draw(st.none() | UINTS),
        tuple(lost) if lost and draw(st.booleans()) else None,
        draw(BODIES[kind]),
        draw(st.dictionaries(st.integers(32, TOP), st.none() | TEXTS | st.lists(st.integers(0, 5)), max_size=2)),
    )


def sums_fit(record):
    ends = [max([entry.start, *frame.times(entry)]) for entry in record.body.entries]
    return max(record.up, record.unix or 0) + max(ends, default=0) <= TOP


@settings(max_examples=300)
@given(records())
def test_what_goes_in_comes_out(record):
    if record.kind == 2 and not sums_fit(record):
        assert reason(frame.encode, record) == "bad_range"
        return
    payload = frame.encode(record)
    assert frame.decode(payload) == record
    assert frame.encode(frame.decode(payload)) == payload


@settings.get_profile("parsers")
@given(st.sampled_from(PAYLOADS), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=4))
def test_any_bytes_give_a_record_or_a_wire_error(payload, changes):
    data = bytearray(payload)
    for at, byte in changes:
        data[at % len(data)] = byte
    try:
        record = frame.decode(bytes(data))
    except WireError:
        return
    assert frame.encode(record) == bytes(data)


VALUES = st.recursive(
    st.none() | st.integers(-2, 40) | st.binary(max_size=3) | st.text(max_size=2) | st.just(bytes(16)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 20), inner, max_size=4),
    max_leaves=8,
)


@settings.get_profile("parsers")
@given(st.sampled_from(PAYLOADS), st.lists(st.integers(0, 9), max_size=6), VALUES)
def test_any_value_in_any_place_gives_a_record_or_a_wire_error(payload, path, value):
    fields = place = cbor.decode(payload)
    for step in path:
        inner = place[sorted(place)[step % len(place)]] if isinstance(place, dict) else place[step % len(place)]
        if not isinstance(inner, (dict, list)) or not inner:
            break
        place = inner
    key = path[-1] if path else 0
    place[sorted(place)[key % len(place)] if isinstance(place, dict) else key % len(place)] = value
    try:
        data = cbor.encode(fields)  # the value may be deep, and its place too
        record = frame.decode(data)
    except WireError:
        return
    assert frame.encode(record) == data


def test_a_record_is_a_map():
    for value in (None, [], 5, "x"):
        assert reason(frame.decode, cbor.encode(value)) == "bad_type"
    assert reason(frame.decode, bytes(8193)) == "too_long"


def test_another_decoder_may_be_given():
    fields = cbor.decode(HEALTH)
    assert frame.decode(b"", lambda _: fields) == frame.decode(HEALTH)


def test_what_no_receiver_takes_is_not_encoded():
    record = frame.decode(HEALTH)
    assert reason(frame.encode, record._replace(extra={31: 1})) == "unknown_key"
    assert reason(frame.encode, record._replace(extra={7: [1, 1]})) == "unknown_key"
    assert reason(frame.encode, record._replace(kind=9)) == "bad_range"
    assert reason(frame.encode, record._replace(body=frame.Health({"x": 1.5}))) == "bad_type"
    assert reason(frame.encode, record._replace(body=frame.Health({"x": "y" * 8192}))) == "too_long"
    rows = frame.decode(ROWS)
    floats = frame.Rows(bytes(16), [frame.Entry(0, 0, 1000, [[1.5, 2]])])
    assert reason(frame.encode, rows._replace(body=floats)) == "bad_type"
    booleans = frame.Rows(bytes(16), [frame.Entry(0, 0, 1000, [[True, 2]])])
    assert reason(frame.encode, rows._replace(body=booleans)) == "bad_type"


@given(st.lists(st.none() | st.integers(-(2**62), 2**62)))
def test_difference_form(values):
    column = frame.delta(values)
    assert frame.undelta(column) == values
    numbers = [value for value in values if value is not None]
    assert sum(step for step in column if step is not None) == (numbers[-1] if numbers else 0)


def test_times():
    constant = frame.Entry(0, 500, 1000, [[1, 2, 3]])
    assert frame.times(constant) == [500, 1500, 2500]
    assert frame.times(constant._replace(dt=[10, 0]), 7000) == [7500, 7510, 7510]
    assert frame.times(constant._replace(dt=0)) == [500, 500, 500]
    for dt in (5, []):
        assert frame.times(constant._replace(dt=dt, columns=[])) == []
        assert frame.times(constant._replace(dt=dt, columns=[[]])) == []
        assert frame.times(constant._replace(dt=dt, columns=[[None]])) == [500]
    assert [frame.row_count(constant), frame.row_count(constant._replace(columns=[]))] == [3, 0]
