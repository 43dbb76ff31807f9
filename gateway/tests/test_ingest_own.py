"""The gateway's own log: what was added is what the frames say, in an order that every receiver accepts."""

import asyncio
import random
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattness.clock import Clock
from wattness.errors import ConfigError
from wattness.ingest import own
from wattness.ingest.origin import EARLIEST_MS, Mark, Origin, Uptime, origin
from wattness.keys import new_key
from wattness.model import LogEnd
from wattwire import cose, evidence, frame, records

NOW_MS = 1_790_000_000_000


class Signer:
    """Signs with nothing; the signature's own tests are elsewhere."""

    public_key = b"\x04" + bytes(64)

    async def sign(self, message):
        return bytes(63) + b"\x01"


class Time:
    """A clock that tests move."""

    def __init__(self):
        self.ms = 0
        clock = Clock(0, NOW_MS, 1)
        object.__setattr__(clock, "civil_ms", NOW_MS)
        self.uptime = Uptime(self, lambda: self.ms * 1_000_000)

    rate = 1

    def now_ms(self):
        return NOW_MS + self.ms


def make_log(time, start=Origin(1, 0, bytes(16), 1)):  # noqa: B008 - a value
    return own.OwnLog(Signer(), bytes(32), start, time.uptime, {"model": "test"})


def stream(points=2, exponent=0, role="grid"):
    names = ("power", "energy_import", "energy_export")[:points]
    return records.Stream(
        role, "p", bytes(16), 1, tuple(records.Point(name, "W", exponent, None) for name in names), None, None, False
    )


def decoded(log):
    return [frame.decode(payload) for _, payload in log._waiting]


def check_chain(log, after=(0, bytes(16), -1)):
    seq, prev, up = after
    for number, payload in log._waiting:
        record = frame.decode(payload)
        assert (number, record.seq, record.prev) == (seq + 1, seq + 1, prev)
        assert record.up > up
        assert len(payload) <= records.PAYLOAD_SIZE_MAX - 100
        seq, prev, up = record.seq, frame.prev_of(payload), record.up


def rows_of(log):
    """Return {(streams record's hash, stream): [(up, values), …]} of all that is sealed."""
    found = {}
    for record in decoded(log):
        if record.kind == frame.KIND_ROWS:
            for entry in record.body.entries:
                columns = [frame.undelta(column) for column in entry.columns]
                values = list(zip(*columns, strict=True))
                times = frame.times(entry, record.up)
                found.setdefault((record.body.streams_hash, entry.stream), []).extend(zip(times, values, strict=True))
    return found


def test_a_minute_of_two_devices_is_one_frame():
    time = Time()
    log = make_log(time)
    places = [log.open("one"), log.open("two")]
    for place in places:
        place.describe(stream())
    for second in range(1, 60):
        time.ms = second * 1000
        for number, place in enumerate(places):
            place.add(time.ms, [number, None if second == 30 else second])
    log.seal()
    check_chain(log)
    streams, rows = decoded(log)
    assert [each.role for each in streams.body.streams] == ["grid", "grid"]
    assert rows.unix == NOW_MS + rows.up
    sealed = list(rows_of(log).values())
    assert [len(each) for each in sealed] == [59, 59]
    assert sealed[1][29] == (30_000, (1, None))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 6))
def test_whatever_happens_the_frames_say_what_was_added(seed, devices):
    draw, time = random.Random(seed), Time()
    log = make_log(time)
    places = [log.open(f"meter {number}") for number in range(devices)]
    added = [[] for _ in range(devices)]
    for _ in range(draw.randrange(1, 300)):
        time.ms += draw.choice((0, 0, 1, 5, 900, 70_000))
        number = draw.randrange(devices)
        act = draw.random()
        if places[number].stream is None or act < 0.05:
            places[number].describe(stream(draw.randrange(1, 4), draw.randrange(3)))
        elif act < 0.9:
            row = [draw.choice((None, 0, draw.randrange(-(10**9), 10**12))) for _ in places[number].stream.points]
            places[number].add(max(0, time.ms - draw.choice((0, 0, 3, 40))), row)
            added[number].append(tuple(row))
        elif act < 0.95:
            log.seal()
        else:
            log.seal_health({"polls": 1, "device x": "silent", "nothing": None})
    log.seal()
    check_chain(log)
    assert log.unstored_rows == 0
    sealed = sorted((row[1] for rows in rows_of(log).values() for row in rows), key=repr)
    assert sealed == sorted((row for rows in added for row in rows), key=repr)
    for rows in rows_of(log).values():
        times = [at for at, _ in rows]
        assert all(one < other for one, other in pairwise(times))


def test_many_wide_devices_fit_their_frames():
    time = Time()
    log = make_log(time)
    places = [log.open(f"meter {number}") for number in range(20)]
    for place in places:
        place.describe(stream(3))
    for second in range(120):
        time.ms = 1000 + second * 1000
        for place in places:
            place.add(time.ms, [random.randrange(10**6), second * 10**5, None])
    log.seal()
    check_chain(log)
    assert sum(len(rows) for rows in rows_of(log).values()) == 20 * 120


def test_a_description_that_is_too_long_is_refused_and_nothing_changes():
    time = Time()
    log = make_log(time)
    first = log.open("meter")
    first.describe(stream())
    first.add(5000, [1, 2])
    names = tuple(records.Point(f"power_{number}", "W", 0, None) for number in range(600))
    with pytest.raises(own.LogFullError):
        log.open("meter").describe(stream()._replace(points=names))
    assert first.rows.times == [5000]
    log.seal()
    check_chain(log)


def test_a_description_again_seals_nothing():
    log = make_log(Time())
    place = log.open("meter")
    place.describe(stream())
    place.add(5000, [1, 2])
    place.describe(stream())
    assert not log._waiting


def test_what_is_open_is_told_by_the_streams_index():
    log = make_log(Time())
    silent, first, second = log.open("silent"), log.open("first"), log.open("second")
    first.describe(stream())
    second.describe(stream(), ["power"])
    second.add(5000, [1, 2])
    log.seal()
    about = {"model": "test", "provenance": "gateway", "named": "0,1", "unsettled_1": "power"}
    assert decoded(log)[0].body.about == about
    assert silent.stream is None


SERIAL = b"\x11" * 16


def identities(present, serials):
    """Describe the devices in `present` and return what slots call them; "battery" shares its registers with "pv"."""
    log = make_log(Time())
    places = {name: log.open(name, is_first=name != "battery") for name in ("meter", "pv", "battery", "other")}
    for name in present:
        places[name].describe(stream()._replace(serial=serials.get(name)))
    log.seal_health({})
    body = decoded(log)[0].body
    described = [name for name in places if name in present]
    return dict(zip(described, evidence.devices(body), strict=True)), body.about.get("named")


@pytest.mark.parametrize("serials", [{}, {"pv": SERIAL, "battery": SERIAL}, {"pv": SERIAL, "other": bytes(16)}])
def test_who_a_device_is_does_not_depend_on_who_is_silent(serials):
    everybody, _ = identities(["meter", "pv", "battery", "other"], serials)
    assert len(set(everybody.values())) == 4
    for count in (1, 2, 3):
        for present in permutations(everybody, count):
            found, _ = identities(present, serials)
            assert found == {name: everybody[name] for name in present}


def test_a_serial_is_kept_where_it_tells_devices_apart():
    found, named = identities(["pv", "battery"], {"pv": SERIAL, "battery": SERIAL})
    assert (found["pv"], named) == (SERIAL.hex(), "1")
    found, named = identities(["pv", "other"], {"pv": SERIAL, "other": SERIAL})  # a maker's "0000000"
    assert (SERIAL.hex() in found.values(), named) == (False, "0,1")
    _, named = identities(["pv"], {"pv": SERIAL})
    assert named is None


def test_the_same_name_under_another_key_is_another_device():
    one, two = make_log(Time()), make_log(Time())
    two.kid = b"\x01" * 8
    found = set()
    for log in (one, two):
        log.open("meter").describe(stream())
        log.seal_health({})
        found.update(evidence.devices(decoded(log)[0].body))
    assert len(found) == 2


def test_a_disk_that_takes_nothing_costs_rows_and_no_memory():
    time = Time()
    log = make_log(time)
    place = log.open("meter")
    place.describe(stream())
    for second in range(1, 60_000):
        time.ms = second * 1000
        place.add(time.ms, [second * 999_983 % 10**9, second])
        if second % 60 == 0:
            log.seal()
    assert len(log._waiting) <= own.WAITING_MAX + 1
    assert place.rows.size <= own.ROWS_BYTES_MAX + 20
    assert log.unstored_rows > 10_000
    check_chain(log)
    place.describe(stream(3))  # what was held under the old description is gone, and counted
    assert not place.rows.times


def test_a_clock_that_was_never_set_dates_nothing():
    class Unset(Time):
        def now_ms(self):
            return EARLIEST_MS - 10**9 + self.ms

    log = make_log(Unset())
    place = log.open("meter")
    place.describe(stream())
    place.add(5000, [1, 2])
    log.seal()
    assert [record.unix for record in decoded(log)] == [None, None]


class Disk:
    """Takes frames in order, or refuses for a while; drops the process now and then."""

    def __init__(self, draw):
        self.draw, self.frames, self.log = draw, [], None

    def offer(self, arrival):
        if self.draw.random() < 0.3:
            return False
        _, payload, _ = cose.parse(arrival.raw)
        if payload not in self.frames:
            self.frames.append(payload)
        if self.draw.random() < 0.8:
            record = frame.decode(payload)
            self.log.acknowledge(record.log, record.seq)
        return True

    def end(self):
        if not self.frames:
            return None
        record = frame.decode(self.frames[-1])
        return LogEnd(record.log, record.seq, frame.prev_of(self.frames[-1]), record.boot)


@pytest.mark.parametrize("seed", range(12))
async def test_every_life_goes_on_behind_what_is_on_disk(seed, tmp_path, monkeypatch):
    monkeypatch.setattr(own, "RESEND_S", 0.001)
    draw = random.Random(seed)
    disk, mark = Disk(draw), Mark(tmp_path, bytes(8))
    for _ in range(6):
        time = Time()
        log = disk.log = make_log(time, origin(disk.end(), mark.read()))
        place = log.open("meter")
        place.describe(stream())
        work = asyncio.create_task(log._deliver(disk.offer, mark))
        for second in range(1, draw.randrange(2, 30)):
            time.ms = second * 1000
            place.add(time.ms, [second, second])
            if draw.random() < 0.5:
                log.seal()
            await asyncio.sleep(draw.choice((0, 0, 0.002)))
        work.cancel()  # kill -9, wherever it was
        await asyncio.wait([work])
    prev, seq, rises = bytes(16), 0, (0, -1)
    for payload in disk.frames:
        record = frame.decode(payload)
        assert (record.log, record.seq, record.prev) == (1, seq + 1, prev)
        assert (record.boot, record.up) > rises
        prev, seq, rises = frame.prev_of(payload), record.seq, (record.boot, record.up)


END = LogEnd(3, 70, b"\x07" * 16, 9)


@pytest.mark.parametrize(
    ("stored", "marked", "found"),
    [
        (None, None, Origin(1, 0, bytes(16), 1)),
        (END, None, Origin(3, 70, b"\x07" * 16, 10)),
        (END, LogEnd(3, 69, b"\x06" * 16, 9), Origin(3, 70, b"\x07" * 16, 10)),  # the mark lags
        (END, END, Origin(3, 70, b"\x07" * 16, 10)),
        (END, LogEnd(3, 71, b"\x08" * 16, 9), Origin(4, 0, bytes(16), 10, (71, b"\x08" * 16))),  # from a backup
        (END, LogEnd(4, 2, b"\x08" * 16, 12), Origin(5, 0, bytes(16), 13, (2, b"\x08" * 16))),
        (None, END, Origin(4, 0, bytes(16), 10, (70, b"\x07" * 16))),  # lost
        (END._replace(is_whole=0), None, Origin(4, 0, bytes(16), 10, (70, b"\x07" * 16))),  # damaged
    ],
)
def test_where_a_log_goes_on(stored, marked, found):
    assert origin(stored, marked) == found


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"log": 1, "seq": 2, "prev": "zz", "boot": 1}', "\xff"])
def test_a_mark_of_nonsense_is_refused(tmp_path, text):
    mark = Mark(tmp_path, bytes(8))
    assert mark.read() is None
    mark.path.write_text(text)
    with pytest.raises(ConfigError, match="cannot be read"):
        mark.read()
    mark.write(1, 2, bytes(16), 3)
    assert mark.read() == LogEnd(1, 2, bytes(16), 3)
    assert mark.path.stat().st_mode & 0o777 == 0o600


async def test_delivery_signs_with_the_devices_key(tmp_path):
    signer = new_key("file:device.key", tmp_path)
    log = own.OwnLog(signer, bytes(32), Origin(1, 0, bytes(16), 1), Time().uptime, {})
    log.seal_health({"polls": 0})
    frames = []

    def offer(arrival):
        frames.append(arrival)
        record = frame.decode(cose.parse(arrival.raw)[1])
        log.acknowledge(record.log, record.seq)
        return True

    work = asyncio.create_task(log._deliver(offer, Mark(tmp_path, log.kid)))
    while log._waiting:
        await asyncio.sleep(0)
    work.cancel()
    assert [frame.decode(cose.verify(signer.public_key, each.raw)).kind for each in frames] == [1, 3]
    assert {each.kid for each in frames} == {cose.kid(signer.public_key)}


async def test_a_disk_that_takes_nothing_is_told_of_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(own, "RESEND_S", 0.001)
    log, offered = make_log(Time()), []
    log.seal_health({"polls": 0})
    work = asyncio.create_task(log._deliver(offered.append, Mark(tmp_path, bytes(8))))
    while len(offered) < 10:
        await asyncio.sleep(0.001)
    log.acknowledge(1, 2)
    while log._waiting:
        await asyncio.sleep(0)
    work.cancel()
    assert [record.message for record in caplog.records] == ["own frame not on disk yet seq=1"]
