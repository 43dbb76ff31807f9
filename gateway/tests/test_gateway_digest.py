"""Digests of frames, packed or not: the figures, facts and limits that the rows themselves give."""

import random
from pathlib import Path
from runpy import run_path

from hypothesis import given, settings
from hypothesis import strategies as st

from wattness import digest, packed, quality, rowframes, smooth
from wattwire import evidence, frame

_world = run_path(str(Path(__file__).with_name("rows_world.py")))
HASH, POINTS, STREAM, T, records = (_world[name] for name in ("HASH", "POINTS", "STREAM", "T", "records"))
SEEDS = st.integers(0, 1 << 48)


def told(found, stream):
    """The streams record that these rows name, and they."""
    body = frame.Streams((stream,), {}, bytes(32), None)
    opening = frame.Record(frame.KIND_STREAMS, 0, 1, bytes(16), 1, 0, T - 10**9, None, body, {})
    streams_hash = frame.prev_of(frame.encode(opening))
    rows = [one._replace(log=0, body=frame.Rows(streams_hash, one.body.entries)) for one in found]
    return [opening, *rows]


def blocks_of(board, plan):
    """The blocks of a board's first stream, as the gateway reads it."""
    read = [rowframes.decode(frame.encode(record)) for record in board[1:]]
    return [digest.Block(record.body.entries[0], plan, record.unix) for record in read]


def bounds(draw):
    a = T + draw.randint(-100_000, 900_000)
    return a, a + draw.choice([1, 1000, 60_000, 300_000, 900_000])


@settings(max_examples=400, deadline=None)
@given(SEEDS)
def test_digests_change_no_figure(seed):
    draw = random.Random(seed)
    points = tuple(
        point._replace(exponent=draw.choice([point.exponent, -4, 1])) if draw.random() < 0.1 else point
        for point in POINTS
    )
    stream = STREAM._replace(points=points, inverted=draw.random() < 0.1)
    board = told(records(draw), stream)
    plan = digest.Plan(stream)
    blocks = blocks_of(board, plan)
    for _ in range(4):
        a, b = bounds(draw)
        whole = evidence.figures(board, "0", a, b)
        assert digest.figures(blocks, a, b) in (whole, None)
        assert smooth.figures(blocks, a, b) in (whole, None)
        if not isinstance(blocks[0].entry.dt, list) and len(blocks) == 1:
            assert digest.figures(blocks, a, b) == whole


def steady(draw):
    """Rows as most boards send them: evenly apart, no pause, counters in each that never fall."""
    dt = draw.choice([1, 1000, 1000, 7000, 60_000, 120_000])
    rise = draw.choice([0, 1, 3, 200])
    swing = draw.choice([5, 70_000])
    levels, at, found = [draw.randrange(10**7), draw.randrange(10**7)], T + draw.randrange(300_000), []
    for seq in range(2, 2 + draw.randint(1, 8)):
        rows = []
        for _ in range(draw.choice([1, 2, 24, 60])):
            levels = [level + draw.randint(0, rise) for level in levels]
            power = None if draw.random() < 0.05 else draw.randint(-swing, swing)
            rows.append([levels[0], power, 2300, levels[1], None])
        columns = [frame.delta(list(column)) for column in zip(*rows, strict=True)]
        entry = frame.Entry(0, 0, dt if len(rows) > 1 else 0, columns)
        body = frame.Rows(HASH, [entry])
        found.append(frame.Record(frame.KIND_ROWS, 0, seq, HASH, 1, seq * 10**7, at, None, body, {}))
        at += dt * (len(rows) - 1) + draw.choice([dt, dt, 1, 120_000])
    return found


@settings(max_examples=250, deadline=None)
@given(SEEDS)
def test_steady_rows_are_never_looked_at_one_by_one(seed):
    draw = random.Random(seed)
    board = told(steady(draw), STREAM)
    blocks = blocks_of(board, digest.Plan(STREAM))
    assert smooth.is_smooth(blocks)
    for _ in range(6):
        a, b = bounds(draw)
        a = draw.choice([a, draw.choice(blocks).first, draw.choice(blocks).last])
        b = max(a + 1, b)
        whole = evidence.figures(board, "0", a, b)
        assert digest.figures(blocks, a, b) == whole
        if max(a, blocks[0].first) <= min(b, blocks[-1].last):
            quick = smooth.figures(blocks, a, b)
            assert quick == whole
            assert list(quick) == list(digest.figures(blocks, a, b))  # and stored in the same bytes


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_limits_are_the_same_whichever_way_columns_are_held(seed):
    draw = random.Random(seed)
    limits = quality.Limits(STREAM)
    for record in records(draw):
        entry = rowframes.decode(frame.encode(record)).body.entries[0]
        column = draw.choice([1, 1, 2, 4])
        columns = list(entry.columns)
        values = frame.undelta(columns[column])
        values[draw.randrange(len(values))] = draw.choice([0, 69_000, 69_001, -69_001, 4499, 10_001, 6500])
        columns[column] = frame.delta(values)
        plainly = frame.Entry(0, 0, entry.dt, columns)
        body = frame.Rows(HASH, [plainly])
        tight = rowframes.decode(frame.encode(record._replace(body=body))).body.entries[0]
        results = {limits.exceeded(one, tight.rows) for one in (plainly.columns, tight.packed)}
        expected = any(
            value is not None and not (low <= value <= high or (or_zero and value == 0))
            for at, low, high, or_zero in ((1, -69_000, 69_000, False), (2, 0, 10_000, False), (4, 4500, 6500, True))
            for value in frame.undelta(columns[at])
        )
        assert results == {expected}


def test_a_board_that_reads_its_counters_every_tenth_row_takes_the_quick_way(monkeypatch):
    monkeypatch.setattr(digest, "_sum", None)
    column = [None if row % 10 else row // 10 for row in range(60)]
    power = list(range(60))
    entry = frame.Entry(0, 0, 1000, [frame.delta(one) for one in (column, power, power, column, power)])
    record = frame.Record(frame.KIND_ROWS, 1, 2, HASH, 1, 0, T, None, frame.Rows(HASH, [entry]), {})
    read = rowframes.decode(frame.encode(record)).body.entries[0]
    assert all(isinstance(one, tuple) for one in read.packed)
    block = digest.Block(read, digest.Plan(STREAM), T)
    assert block.digest.sums["energy_import"][:6] == (T, 0, T + 50_000, 5000, 50_000, 5000)
    assert [piece.rows for piece in block.cut(T + 15_000, T + 300_000)] == [15, 45]
    assert packed.of(read) is read
