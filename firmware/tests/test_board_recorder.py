"""What the recorder seals, when, and what it leaves out when flash runs short."""

from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattboard.clock import Clock
from wattboard.log import Log
from wattboard.recorder import LONG_FRAME_MS, Recorder, Witness
from wattboard.rows import Rows, encoded_bytes
from wattwire import cbor, cose, frame, p256
from wattwire.schedule import BACKOFF_MAX_MS, Schedule


class Key(NamedTuple):
    """What `wattboard.keys` loads from NVS."""

    secret: bytes
    public: bytes
    kid: bytes


SECRET = bytes(range(1, 33))
PUBLIC = p256.public_key(SECRET)
KEY = Key(SECRET, PUBLIC, cose.kid(PUBLIC))
POINTS = (frame.Point("power", "W", -1, None), frame.Point("energy_export", "Wh", 0, None))
STREAM = frame.Stream("pv", "p", bytes(16), 1, POINTS, None, None, False)
FRAME_MS = 60000


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    log = Log(str(tmp_path / "log"), 1, 100_000, 4000)
    return Recorder(log, Clock(1000), Witness(KEY, 7, bytes(32), {"model": "test"}), FRAME_MS)


def records(recorder: Recorder) -> list[frame.Record]:
    """Verify and decode everything on flash."""
    log = recorder.log
    first = log.segments[0].first
    return [frame.decode(cose.verify(PUBLIC, log.read(seq))) for seq in range(first, log.last + 1)]


def check_order(found: list[frame.Record]) -> None:
    """Check what no receiver may doubt: (boot, up) and each stream's rows rise, rows name the streams in force."""
    in_force = None
    last = {}
    before = (-1, -1)
    for record in found:
        assert (record.boot, record.up) > before
        before = (record.boot, record.up)
        if record.kind == frame.KIND_STREAMS:
            in_force = frame.prev_of(frame.encode(record))
        elif record.kind == frame.KIND_ROWS:
            assert record.body.streams_hash == in_force
            for entry in record.body.entries:
                for at in frame.times(entry, record.up):
                    assert at > last.get(entry.stream, -1)
                    last[entry.stream] = at


def test_rows_become_columns_of_differences_with_one_spacing(recorder):
    recorder.begin([STREAM], 100)
    for row in range(6):
        recorder.add(0, 10000 * (row + 1), [1000 + row, None if row == 2 else 500])
    recorder.seal_rows(60000)
    opening, rows = records(recorder)
    assert opening.body.streams == (STREAM,)
    assert rows.up == 10000
    (entry,) = rows.body.entries
    assert (entry.start, entry.dt) == (0, 10000)
    assert entry.columns == [[1000, 1, 1, 1, 1, 1], [500, 0, None, 0, 0, 0]]
    assert recorder.due_ms == 2 * FRAME_MS


def test_uneven_rows_keep_each_spacing(recorder):
    recorder.begin([STREAM], 0)
    for at in (1000, 2000, 3500):
        recorder.add(0, at, [1, 2])
    recorder.seal_rows()
    assert records(recorder)[1].body.entries[0].dt == [1000, 1500]


def test_nothing_is_sealed_without_rows(recorder):
    recorder.begin([STREAM], 0)
    recorder.seal_rows(60000)
    assert recorder.log.last == 1


def test_a_long_frame_is_sealed_early(recorder):
    recorder.begin([STREAM], 0)
    at = 0
    while recorder.due_ms == FRAME_MS:
        at += 10
        recorder.add(0, at, [(-1) ** at * (1 << 40) + at, 1 << 61 if at % 20 else -(1 << 61)])
    recorder.seal_rows(at)
    assert len(recorder.log.read(recorder.log.last)) <= cose.FRAME_SIZE_MAX
    check_order(records(recorder))


def test_health_comes_after_the_rows_before_it(recorder):
    recorder.begin([STREAM], 0)
    recorder.add(0, 1000, [1, 2])
    recorder.seal_health({"polls": 1}, 990)
    recorder.add(0, 1000, [1, 2])
    recorder.seal_rows()
    found = records(recorder)
    assert [record.kind for record in found] == [1, 2, 3, 2]
    check_order(found)


def test_every_segment_opens_with_its_streams(recorder):
    recorder.begin([STREAM], 0)
    for minute in range(60):
        recorder.add(0, 60000 * minute + 5, [minute, minute])
        recorder.seal_rows()
    check_order(records(recorder))
    assert len(recorder.log.segments) > 2
    for segment in recorder.log.segments:
        assert frame.decode(cose.parse(recorder.log.read(segment.first))[1]).kind == frame.KIND_STREAMS


def test_a_hole_is_told_in_the_next_frame(recorder):
    recorder.begin([STREAM], 0)
    for minute in range(1, 4):
        recorder.add(0, 60000 * minute, [1, 1])
        recorder.seal_rows()
    path = Path(recorder.log.segments[0].path)
    data = bytearray(path.read_bytes())
    data[data.index(recorder.log.read(3)) + 90] ^= 1
    path.write_bytes(data)
    assert recorder.log.read(3) is None
    recorder.add(0, 300000, [1, 1])
    recorder.seal_rows()
    assert frame.decode(cose.parse(recorder.log.read(5))[1]).lost == (3, 3)
    assert recorder.log.pending(8) == [1, 2, 5, 4]


def test_flash_that_runs_short_thins_rows_and_counts_the_rest(recorder):
    recorder.begin([STREAM], 0)
    at = 0
    lengths = []
    while recorder.unstored_rows == 0:
        at += 1000
        recorder.add(0, at, [at % 977, at * at % 10007])
        if at >= recorder.due_ms:
            due = recorder.due_ms
            recorder.seal_rows(at)
            lengths.append(recorder.due_ms - due)
        assert at < 100_000_000
    found = records(recorder)
    check_order(found)
    spacing = [entry.dt for record in found if record.kind == 2 for entry in record.body.entries]
    assert lengths[0] == FRAME_MS
    assert lengths[-1] == LONG_FRAME_MS
    assert spacing[0] == 1000
    assert spacing[-1] == 120000
    assert recorder.thinned_rows > 0
    assert recorder.log.segments[0].first == 1, "nothing unacknowledged went"
    recorder.log.acknowledge(recorder.log.last)
    before = recorder.log.last
    recorder.add(0, at + 1000, [1, 1])
    recorder.seal_rows()
    assert recorder.log.last > before
    check_order(records(recorder))


def test_rows_are_dated_from_the_first_acknowledgement_on(recorder):
    recorder.begin([STREAM], 0)
    recorder.clock.set(1_700_000_000_000, 5000)
    recorder.add(0, 7000, [1, 1])
    recorder.seal_rows()
    assert [record.unix for record in records(recorder)] == [None, 1_700_000_002_000]


def test_a_set_clock_moves_only_when_it_is_clearly_wrong():
    clock = Clock(1000)
    assert clock.unix(5) is None
    assert clock.set(50_000, 1000)
    assert not clock.set(51_900, 2000)
    assert clock.unix(2000) == 51_000
    assert clock.set(52_001, 2000)
    assert clock.unix(2000) == 52_001
    assert clock.steps == 1
    assert not clock.set(1, 2000)


@given(st.lists(st.one_of(st.none(), st.integers(-(1 << 62), (1 << 62) - 1)), min_size=1, max_size=40))
def test_the_size_of_rows_is_never_underrated(values):
    rows = Rows(1)
    for at, value in enumerate(values):
        rows.add(at * at, [value])
    assert len(cbor.encode(list(rows.entry(0, 0)))) <= rows.size
    for value in values:
        assert len(cbor.encode(value)) == encoded_bytes(value)


def test_slots_are_kept_and_missed_ones_skipped():
    schedule = Schedule(10000, 2500)
    schedule.answered(100)
    assert schedule.due_ms == 2500
    assert schedule.stamp(2500) == schedule.stamp(3000) == 2500
    assert schedule.stamp(3001) == 3001
    schedule.answered(2501)
    assert schedule.due_ms == 12500
    schedule.answered(47000)
    assert schedule.due_ms == 52500


def test_a_silent_device_is_asked_less_and_less_often():
    schedule = Schedule(1000, 0)
    now = 0
    pauses = []
    for _ in range(12):
        schedule.silent(now)
        pauses.append(schedule.due_ms - now)
        now = schedule.due_ms
    assert pauses[0] == 3000
    assert pauses == sorted(pauses)
    assert pauses[-1] == BACKOFF_MAX_MS + 1000
    assert schedule.answered(now)
    assert schedule.due_ms == now + 1000
    assert not schedule.answered(now)
