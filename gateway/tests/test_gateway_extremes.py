"""Integers at the ends of 64 bits, well signed: kept, acknowledged and judged, and nothing of the gateway breaks."""

import asyncio
import runpy
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.fleet import seal
from wattness.errors import StoreError
from wattness.housekeeping import every
from wattwire import frame
from wattwire.errors import WireError

_world = runpy.run_path(str(Path(__file__).with_name("pipeline_world.py")))
Bench, minutes, verdicts, make_author = (_world[name] for name in ("Bench", "minutes", "verdicts", "make_author"))
START, MINUTE, DAY = (_world[name] for name in ("START", "MINUTE", "DAY"))
MOST = (1 << 63) - 1
NOW = START + 30 * MINUTE


def sealed(author, *, unix, up, seq=None, log=None, boot=None, entry=None, lost=None):  # noqa: PLR0913 — a record
    """Seal a rows record that says just this, as the board's next one; None where the wire has no such record."""
    author.seq = author.seq + 1 if seq is None else seq
    log, boot = author.log if log is None else log, author.boot if boot is None else boot
    body = frame.Rows(author.streams_hash, [entry or frame.Entry(0, 0, 1000, [[1, 1], [2300, 0], [5, 1]])])
    prev = bytes(frame.HASH_SIZE) if author.seq == 1 else author.prev
    record = frame.Record(frame.KIND_ROWS, log, author.seq, prev, boot, up, unix, lost, body, {})
    try:
        payload = frame.encode(record)
    except WireError:
        return None
    author.prev = frame.prev_of(payload)
    author.frames.append(seal(author.key, author.kid, payload))
    return author.frames[-1]


def survives(author):
    """Put every frame by itself, then let all time pass, and live again; returns the gateway."""
    bench = Bench(author)
    for number, raw in enumerate(author.frames, 1):
        bench.put(raw, at=NOW)
        assert bench.connection.execute("SELECT count(*) FROM frame").fetchall() == [(number,)]
    for at in (NOW + 2 * DAY, NOW + 4 * DAY, NOW + 400 * DAY):
        bench.tick(at)
    bench.restart()
    bench.tick(NOW + 500 * DAY)
    for stream in bench.reader.streams():
        bench.reader.values(stream.id, "power", 0)
    bench.check()
    return bench


def test_a_time_beyond_all_integers_behind_a_hole():
    author = make_author()
    minutes(author, 0, 2)
    sealed(author, unix=None, up=MOST - 5000, seq=7)
    bench = survives(author)
    assert bench.reader.counters()["verdict"]["future_time"] == 1
    assert [one.figures["rows"] for one in bench.intervals()] == [12]


def test_rows_before_1970_have_a_verdict():
    author = make_author()
    author.frames.clear()
    author.seq, author.prev, author.clock = 0, bytes(frame.HASH_SIZE), None
    author.streams(START)
    sealed(author, unix=None, up=2 * MINUTE)
    sealed(author, unix=0, up=MOST - 5000)
    bench = survives(author)
    assert bench.reader.counters()["verdict"] == {"impossible_time": 1}


EDGES = (0, 1, MOST - 1, MOST)


@pytest.mark.parametrize(("unix", "up"), list(product((None, *EDGES), EDGES)))
def test_time_at_its_ends(unix, up):
    author = make_author()
    minutes(author, 0, 1)
    sealed(author, unix=unix, up=up, entry=frame.Entry(0, 0, 0, [[1], [2300], [5]]))
    sealed(author, unix=unix, up=up, seq=MOST, entry=frame.Entry(0, 0, 0, [[1], [2300], [5]]))
    survives(author)


INTEGERS = st.sampled_from([0, 1, 1000, START, 1 << 53, MOST // 2, MOST - 1, MOST])
VALUES = st.sampled_from([None, 0, 1, -1, 1 << 31, 1 << 53, 1 << 62, -(1 << 62), MOST, -MOST])
ENTRIES = st.builds(
    lambda stream, start, dt, rows: frame.Entry(
        stream, start, dt, [frame.delta(list(c)) for c in zip(*rows, strict=True)]
    ),
    *(st.sampled_from([0, 0, 1, MOST]), INTEGERS, INTEGERS),
    st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=3),
)
RECORDS = st.fixed_dictionaries(
    {
        "unix": st.none() | INTEGERS,
        "up": INTEGERS,
        "seq": st.none() | st.sampled_from([9, 1 << 53, MOST - 1, MOST]),
        "log": st.sampled_from([0, 1, 1, 1, 2, MOST]),
        "boot": st.sampled_from([0, 1, 1, 1, MOST]),
        "entry": st.none() | ENTRIES,
        "lost": st.none() | st.sampled_from([(1, 1), (4, 8), (4, MOST - 2), (1, MOST - 1)]),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(RECORDS, max_size=5))
def test_any_extremes_are_kept_and_judged(records):
    author = make_author()
    minutes(author, 0, 2)
    held = {(1, seq) for seq in range(1, 4)}
    for record in records:
        seq = author.seq + 1 if record["seq"] is None else record["seq"]
        if seq <= MOST and (record["log"], seq) not in held:
            held.add((record["log"], seq))
            sealed(author, **record)
    survives(author)


async def test_housekeeping_goes_on_after_an_error_that_nobody_expected(caplog):
    errors = [OverflowError("int too big to convert"), StoreError("no disk"), KeyError("odd")]
    done = asyncio.Event()

    async def action():
        if errors:
            raise errors.pop(0)
        done.set()

    task = asyncio.create_task(every(0, action))
    await done.wait()
    task.cancel()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING", "ERROR"]
    assert "int too big to convert" in caplog.text
