"""The log on flash: what it keeps, drops, finds lost, and finds again after a start."""

from pathlib import Path

import pytest

from wattboard.log import ACKED_EVERY, Log, LogBrokenError, LogFullError, peek
from wattboard.logbook import Logbook
from wattboard.segment import HEAD_SIZE
from wattboard.state import State
from wattboard.window import FRESH_MS, RESEND_MS, STUCK_MS, WINDOW, Window
from wattwire import cose, frame, p256
from wattwire.errors import WireError

SECRET = bytes(range(1, 33))
KID = cose.kid(p256.public_key(SECRET))
GATEWAY = b"g" * 32
SIZE = 400


def sealed(log: Log, kind: int = frame.KIND_STREAMS, filler: int = 100) -> bytes:
    """Return the next frame of `log`; its signature is not looked at here."""
    if kind == frame.KIND_STREAMS:
        body = frame.Streams((), {"filler": "x" * filler}, GATEWAY, None)
    else:
        body = frame.Health({"filler": "x" * filler})
    record = frame.Record(kind, log.number, log.last + 1, log.prev, 1, log.last, None, None, body, {})
    return cose.join(KID, frame.encode(record), bytes(32) + b"\x01" + bytes(31))


def fill(log: Log, count: int) -> list[bytes]:
    """Append `count` frames; return them."""
    frames = []
    for _ in range(count):
        frames.append(sealed(log))
        log.append(frames[-1])
    return frames


NO_REMAINS = Logbook("", State(None), 0)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(str(tmp_path / "log"), 3, 20 * SIZE, 4 * SIZE)


def again(log: Log) -> Log:
    """Open the log as after a restart."""
    return Log(log.folder.rpartition("/")[0], log.number, log.limit_bytes, log.segment_bytes)


def spoil(log: Log, seq: int, offset: int = 100) -> None:
    """Flip a bit of a frame on flash."""
    for segment in log.segments:
        if segment.first <= seq <= segment.last:
            path = Path(segment.path)
            data = bytearray(path.read_bytes())
            at = 0
            for _ in range(seq - segment.first):
                at += HEAD_SIZE + int.from_bytes(data[at : at + 2], "big")
            data[at + HEAD_SIZE + offset] ^= 1
            path.write_bytes(data)


def test_frames_come_back_after_a_restart(log):
    frames = fill(log, 11)
    found = again(log)
    assert [found.read(seq) for seq in range(1, 12)] == frames
    assert [found.read(seq) for seq in (11, 1, 6, 5)] == [frames[10], frames[0], frames[5], frames[4]]
    assert (found.last, found.prev, found.head) == (log.last, log.prev, log.head)
    assert len(found.segments) > 1
    assert found.read(0) is None
    assert found.read(12) is None


def test_peek_agrees_with_the_decoder(log):
    payload = cose.parse(sealed(log))[1]
    record = frame.decode(payload)
    assert peek(payload) == (record.kind, record.log, record.seq, record.boot, record.up)
    for size in range(30):
        with pytest.raises(WireError):
            peek(payload[: size // 2] + b"\xff")


def test_only_the_next_frame_is_taken(log):
    first = sealed(log)
    log.append(first)
    with pytest.raises(WireError):
        log.append(first)


def test_a_segment_opens_with_a_streams_record(log):
    with pytest.raises(WireError):
        log.append(sealed(log, frame.KIND_HEALTH))
    log.append(sealed(log))
    log.append(sealed(log, frame.KIND_HEALTH))
    while not log.full():
        log.append(sealed(log, frame.KIND_HEALTH))
    with pytest.raises(WireError):
        log.append(sealed(log, frame.KIND_HEALTH))


def test_acknowledged_frames_stay_while_there_is_room(log):
    fill(log, 10)
    assert log.acknowledge(10)
    assert not log.acknowledge(10)
    assert not log.acknowledge(11)
    assert log.read(1) is not None


def test_whole_segments_go_when_room_is_needed_and_never_unacknowledged_ones(log):
    with pytest.raises(LogFullError):
        fill(log, 100)
    last = log.last
    assert log.segments[0].first == 1
    assert all(log.read(seq) for seq in range(1, last + 1))
    second = log.segments[1].first
    assert log.acknowledge(second - 2)
    with pytest.raises(LogFullError):
        log.append(sealed(log))
    assert log.acknowledge(second - 1)
    log.append(sealed(log))
    assert log.segments[0].first == second
    assert again(log).acked == second - 1
    log.acknowledge(log.last)
    assert log.used_bytes() <= log.limit_bytes


def test_the_last_frame_is_never_dropped(log):
    for _ in range(300):
        log.append(sealed(log))
        log.acknowledge(log.last)
        assert log.read(log.last) is not None
        assert log.used_bytes() <= log.limit_bytes


def test_a_stale_cursor_only_sends_again(log):
    fill(log, 12)
    log.acknowledge(ACKED_EVERY - 5)
    assert again(log).acked == 0
    fill(log, 8)
    log.acknowledge(ACKED_EVERY)
    assert again(log).acked == ACKED_EVERY


def test_a_frame_that_cannot_be_read_is_a_hole_that_is_told_first(log):
    frames = fill(log, 9)
    spoil(log, 3)
    spoil(log, 4)
    found = again(log)
    found.acknowledge(1)
    assert found.pending(4) == [2, 3, 4, 5]
    assert found.read(3) is None
    assert [(hole.first, hole.last) for hole in found.holes] == [(3, 4)]
    assert found.pending(4) == [2, 5, 6, 7]
    hole = found.untold()
    hole.told = 9
    assert found.untold() is None
    assert found.pending(4) == [2, 9, 5, 6]
    assert found.read(5) == frames[4]
    found.acknowledge(9)
    assert found.holes == []
    assert found.pending(4) == []


def test_a_missing_segment_is_one_hole(log):
    fill(log, 14)
    gone = log.segments[1]
    Path(gone.path).unlink()
    found = again(log)
    assert found.read(gone.first) is None
    assert [(hole.first, hole.last) for hole in found.holes] == [(gone.first, gone.last)]


def test_what_was_dropped_is_declared_when_it_is_asked_for_again(log):
    for _ in range(60):
        log.append(sealed(log))
        log.acknowledge(log.last)
    first = log.segments[0].first
    assert first > 2
    log.rewind(2)
    assert log.acked == 1
    assert again(log).acked == 1
    assert log.read(2) is None
    assert [(hole.first, hole.last) for hole in log.holes] == [(2, first - 1)]
    assert log.pending(3) == [first, first + 1, first + 2]


def test_a_torn_end_was_never_confirmed(log):
    fill(log, 2)
    path = Path(log.segments[-1].path)
    data = path.read_bytes()
    for tail in (b"\x01", b"\x01\x00\x01\x02\x03\x04", data[:100]):
        path.write_bytes(data + tail)
        found = again(log)
        assert (found.last, found.prev) == (2, log.prev)
        assert found.full()
    found.append(sealed(found))
    assert len(found.segments) == 2
    assert again(found).last == 3


def test_a_spoilt_newest_frame_ends_the_log(log):
    fill(log, 3)
    spoil(log, 3)
    with pytest.raises(LogBrokenError):
        again(log)


def test_a_segment_that_power_left_empty_is_forgotten(log):
    fill(log, 3)
    (Path(log.folder) / "00000004.seg").touch()
    found = again(log)
    assert found.last == 3
    found.append(sealed(found))
    assert again(found).last == 4


class Nvs(dict):
    """`esp32.NVS` in memory."""

    def get_i32(self, key):
        return self._get(key)

    def get_blob(self, key, buffer):
        value = self._get(key)
        buffer[: len(value)] = value
        return len(value)

    def set_i32(self, key, value):
        self[key] = value

    set_blob = set_i32

    def commit(self):
        pass

    def _get(self, key):
        if key not in self:
            raise OSError(-4354)
        return self[key]


@pytest.fixture
def book(tmp_path: Path) -> Logbook:
    return Logbook(str(tmp_path / "log"), State(Nvs()), 20 * SIZE)


def test_a_log_goes_on_for_the_same_gateway(book):
    log, previous = book.open(GATEWAY)
    assert (log.number, log.last, previous) == (1, 0, None)
    fill(log, 2)
    book.confirm(log, GATEWAY)
    log, previous = Logbook(book.root, book.state, book.limit_bytes).open(GATEWAY)
    assert (log.number, log.last, previous) == (1, 2, None)


def test_another_gateway_gets_another_log(book):
    log, _ = book.open(GATEWAY)
    fill(log, 2)
    book.confirm(log, GATEWAY)
    book = Logbook(book.root, book.state, book.limit_bytes)
    new, previous = book.open(b"h" * 32)
    assert (new.number, new.last, previous) == (2, 0, (2, log.prev))
    fill(new, 1)
    book.confirm(new, b"h" * 32)
    assert [path.name for path in Path(book.root).iterdir()] == ["2"]


def test_lost_flash_begins_a_new_log(book):
    log, _ = book.open(GATEWAY)
    fill(log, 2)
    book.confirm(log, GATEWAY)
    for path in Path(log.folder).iterdir():
        path.unlink()
    log, previous = Logbook(book.root, book.state, book.limit_bytes).open(GATEWAY)
    assert (log.number, log.last, previous) == (2, 0, None)


def test_a_spoilt_log_begins_a_new_one_and_is_delivered_first(book):
    log, _ = book.open(GATEWAY)
    frames = fill(log, 4)
    book.confirm(log, GATEWAY)
    spoil(log, 4)
    spoil(log, 2)
    book = Logbook(book.root, book.state, book.limit_bytes)
    log, previous = book.open(GATEWAY)
    assert (log.number, log.last) == (2, 0)
    assert previous == (3, frame.prev_of(cose.parse(frames[2])[1]))
    fill(log, 1)
    book.confirm(log, GATEWAY)

    book = Logbook(book.root, book.state, book.limit_bytes)  # once more, in the middle of it
    log, previous = book.open(GATEWAY)
    assert (log.number, log.last, previous) == (2, 1, None)
    window = Window(log, book)
    assert window.log.number == 1
    sent = []
    while (seq := window.next(1)) is not None:
        if window.log.read(seq) is None:
            window.skip(seq, 1)
            continue
        window.sent(seq, 1)
        sent.append(seq)
    assert sent == [1, 3]
    assert window.acknowledged(1, 2) == (True, True)
    assert window.next(STUCK_MS) == 3, "again, for ten seconds are over"
    assert window.log.number == 1
    assert window.next(STUCK_MS + 3) == 1, "the hole that nobody can tell of is given up"
    assert window.log is log
    assert [path.name for path in Path(book.root).iterdir()] == ["2"]


def test_a_wholly_spoilt_log_is_given_up(book):
    log, _ = book.open(GATEWAY)
    fill(log, 1)
    book.confirm(log, GATEWAY)
    spoil(log, 1)
    book = Logbook(book.root, book.state, book.limit_bytes)
    log, previous = book.open(GATEWAY)
    assert (log.number, log.last, previous, book.remains) == (2, 0, None, None)


def test_the_window_is_eight_oldest_first_and_again_after_ten_seconds(log):
    fill(log, 12)
    window = Window(log, NO_REMAINS)
    sent = []
    while (seq := window.next(1000)) is not None:
        assert not window.sent(seq, 1000)
        sent.append(seq)
    assert sent == list(range(1, WINDOW + 1))
    assert window.next(1000 + RESEND_MS - 1) is None
    assert window.next(1000 + RESEND_MS) == 1
    window.sent(1, 1000 + RESEND_MS)
    assert window.acknowledged(2, 1000 + RESEND_MS) == (True, False)
    assert window.next(1000 + RESEND_MS) == 3
    window.reconnected(1999)
    assert window.next(2000) == 3


def test_only_a_new_acknowledgement_of_a_young_frame_sets_the_clock(log):
    fill(log, 6)
    window = Window(log, NO_REMAINS)
    for seq in range(1, 4):
        window.sent(seq, 0)
    assert window.acknowledged(1, FRESH_MS - 1) == (True, True)
    assert window.acknowledged(1, FRESH_MS - 1) == (False, False)
    window.sent(2, FRESH_MS)  # again: its first time counts, for that is what may be acknowledged
    assert window.acknowledged(2, FRESH_MS) == (True, False)
    assert window.acknowledged(6, FRESH_MS - 1) == (True, True)
    log.rewind(1)
    assert window.acknowledged(6, FRESH_MS) == (True, False), "nothing of it was published since"
