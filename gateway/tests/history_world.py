"""A history of a store in memory, and what it must say: everything anew from all records; loaded by `runpy`."""

from itertools import pairwise
from pathlib import Path
from runpy import run_path

import apsw

from wattness.store import history_schema
from wattness.store.historian import Historian
from wattness.store.history import History
from wattness.store.schema import ask
from wattwire import cose, evidence, frame, interval

_WORLD = run_path(str(Path(__file__).with_name("pipeline_world.py")))
Bench, FakeClock, GATEWAY = _WORLD["Bench"], _WORLD["FakeClock"], _WORLD["GATEWAY"]
START, MINUTE, HOUR, DAY = (_WORLD[name] for name in ("START", "MINUTE", "HOUR", "DAY"))
FUTURE_MS = 120_000


class Past:
    """A store and its history."""

    def __init__(self, author, **interval_settings):
        self.author = author
        self.bench = Bench(author, **interval_settings)
        self.history = apsw.Connection(":memory:")
        history_schema.prepare(self.history)
        self.historian = Historian(self.bench.connection, self.history, FUTURE_MS)
        self.past = History(self.bench.connection, self.history)

    def follow(self):
        while self.historian.step():
            pass

    def buckets(self):
        """Return {(device, point, step, at): the rest of the row}."""
        query = (
            "SELECT device, point, step, at, n, coalesce(covered, step * 1000), sum, low, high, first, last, rise, fall"
            " FROM bucket JOIN series ON series.id = series JOIN stream ON stream.id = stream_id"
        )
        return {tuple(row[:4]): tuple(row[4:]) for row in ask(self.history, query)}

    def records(self):
        rows = ask(self.bench.connection, "SELECT raw FROM frame WHERE kind <> 3 ORDER BY log, seq")
        return [frame.decode(cose.parse(raw)[1]) for (raw,) in rows]

    def check(self):
        """The history is what anybody finds who has all the frames."""
        records = self.records()
        devices = {name for record in records if record.kind == 1 for name in evidence.devices(record.body)}
        expected = {}
        for device in devices:
            expected |= anew(evidence.collect(records, device), device)
        found = self.buckets()
        different = [(key, found.get(key), expected.get(key)) for key in found.keys() | expected.keys()]
        different = sorted(row for row in different if row[1] != row[2])
        assert not different, f"{len(different)} of (key, found, expected): {different[:3]}"
        return expected


def anew(found, device):
    """Return the buckets of all steps of a stream's rows."""
    moduli = dict(evidence.counters(found.stream))
    buckets = {}
    for name, column in found.columns.items():
        own = [(at, value) for at, value in zip(found.times, column, strict=True) if value is not None]
        times, values = [at for at, _ in own], [value for _, value in own]
        kind = "counter" if name in moduli else "energy" if name == "power" and not moduli else "plain"
        for step in (60, 300, 3600, 86_400):
            for at in sorted({at // (step * 1000) for at in times} | set(_reach(times, step))):
                row = _bucket(times, values, at, step, kind, moduli.get(name))
                if row is not None:
                    buckets[device, name, step, at] = row
    return buckets


def _reach(times, step):
    length = step * 1000
    for left, right in pairwise(times):
        if right - left <= interval.JOIN_MS_MAX:
            yield from range(left // length, right // length + 1)


def _bucket(times, values, at, step, kind, modulus):  # noqa: PLR0913, PLR0917 - what a bucket is made of
    a, b = at * step * 1000, (at + 1) * step * 1000
    near = slice(max(0, interval.index(times, a) - 1), interval.index(times, b) + 1)
    inside = values[interval.index(times, a) : interval.index(times, b)]
    covered = interval.covered(times[near], a, b)
    if not inside and not covered:
        return None
    rise = fall = None
    if kind == "counter":
        rise = interval.counter(times[near], values[near], modulus, a, b)[0]
    elif kind == "energy":
        rise, fall = _areas(times[near], values[near], a, b)
    figures = (None, None, None, None, None)
    if inside and kind == "counter":
        figures = (None, None, None, inside[0], inside[-1])
    elif inside:
        figures = (sum(inside), min(inside), max(inside), None, None)
    return (len(inside), covered, *figures, rise, fall)


def _areas(times, values, a, b):
    """Minute by minute, as the history does it: each border of a minute floors the power once."""
    found = [interval.areas(times[s], values[s], m, m + MINUTE) for m in range(a, b, MINUTE) for s in [_near(times, m)]]
    return sum(one for one, _ in found), sum(other for _, other in found)


def _near(times, a):
    return slice(max(0, interval.index(times, a) - 1), interval.index(times, a + MINUTE) + 1)
