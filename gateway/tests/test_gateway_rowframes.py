"""The quick reading of rows records beside the wire's own: the same records, and the same refusals."""

import random
from itertools import pairwise
from pathlib import Path
from runpy import run_path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.author import Author
from wattness import packed, rowframes
from wattness.store.board import read
from wattwire import cose, frame
from wattwire.errors import WireError

_world = run_path(str(Path(__file__).with_name("rows_world.py")))
mutated, payload, T = (_world[name] for name in ("mutated", "payload", "T"))
SEEDS = st.integers(0, 1 << 48)


def plainly(record):
    """A record with the wire's own entries."""
    if record.kind != frame.KIND_ROWS:
        return record
    entries = [frame.Entry(one.stream, one.start, one.dt, list(one.columns)) for one in record.body.entries]
    return record._replace(body=frame.Rows(record.body.streams_hash, entries))


def outcome(decode, data):
    try:
        return plainly(decode(data))
    except WireError as error:
        return error.reason


def assert_agreement(data):
    expected, found = outcome(frame.decode, data), outcome(rowframes.decode, data)
    assert isinstance(found, str) == isinstance(expected, str)
    if not isinstance(expected, str):
        assert found == expected
        assert repr(found) == repr(expected)  # True is not 1
        assert frame.encode(found) == data


@settings(max_examples=400, deadline=None)
@given(SEEDS)
def test_records_are_read_as_by_the_wire_itself(seed):
    assert_agreement(payload(random.Random(seed)))


def compare_mutations(seed, count):
    draw = random.Random(seed)
    data = payload(draw)
    for _ in range(count):
        assert_agreement(mutated(draw, data))


@settings(max_examples=500, deadline=None)
@given(SEEDS)
def test_what_the_wire_refuses_is_refused(seed):
    compare_mutations(seed, 4)


@pytest.mark.soak
@settings(max_examples=50_000, deadline=None)
@given(SEEDS)
def test_what_the_wire_refuses_is_refused_for_long(seed):
    compare_mutations(seed, 20)


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data):
    assert_agreement(data)


def test_what_boards_send_takes_the_quick_way():
    quick = []
    for seed in range(300):
        data = payload(random.Random(seed))
        record = outcome(frame.decode, data)
        if not isinstance(record, frame.Record) or record.lost or record.extra or (record.unix or 0) > T:
            continue
        if all(isinstance(one.dt, int) and 0 < len(one.columns) < 20 for one in record.body.entries):
            quick.append(rowframes._quickly(data) is not None)
    assert len(quick) > 50
    assert sum(quick) > 0.9 * len(quick)


@settings(deadline=None)
@given(st.data())
def test_parts_of_columns_have_the_values_of_those_rows(data):
    column = data.draw(st.lists(st.none() | st.integers(-400, 400), min_size=1, max_size=12))
    first = data.draw(st.integers(0, len(column) - 1))
    last = data.draw(st.integers(first + 1, len(column)))
    steps = frame.delta(column)
    for one in {1: [steps], 0: [steps, bytes_of(steps)]}[bytes_of(steps) is None]:
        assert packed.plain(one) == steps
        values = [value for value in column if value is not None]
        assert packed.values(one) == values
        assert (packed.first(one), packed.last(one)) == ((values[0], values[-1]) if values else (None, None))
        assert frame.undelta(packed.plain(packed.part(one, first, last))) == column[first:last]
        if packed.within(one, -300, 300):
            assert not values or -300 <= min(values) <= max(values) <= 300
        check_rise(one, column, data.draw(st.integers(0, 4)))


def check_rise(one, column, nulls_max):
    found = packed.rise(one, nulls_max)
    rows = [(row, value) for row, value in enumerate(column) if value is not None]
    falls = any(after[1] < before[1] for before, after in pairwise(rows))
    gaps = any(after[0] - before[0] - 1 > nulls_max for before, after in pairwise(rows))
    if found is not None:
        assert not falls
        assert not gaps
        assert found == (*rows[0], *rows[-1])
    else:
        assert falls or gaps or isinstance(one, list)


def bytes_of(steps):
    """The packed form of a column, where it has one."""
    values = [step for step in steps if step is not None]
    if not values or any(not -24 <= step < 24 for step in values[1:]):
        return None
    nulls = steps.index(values[0]) if steps[0] is None else 0
    codes = [0xF6 if step is None else step if step >= 0 else 0x1F - step for step in steps[nulls + 1 :]]
    return nulls, values[0], bytes(codes)


def test_stored_frames_are_read_packed(author):
    entry = read(author.frames[1]).body.entries[0]
    assert isinstance(entry, packed.Entry)
    assert plainly(read(author.frames[1])) == frame.decode(cose.parse(author.frames[1])[1])


@pytest.fixture
def author():
    made = Author(1, bytes(32), 0)
    made.streams(1000)
    made.rows(2000)
    return made
