"""Rows records as boards of every kind write them, good and nearly good, from a seed."""

import random

from emulator.author import pv
from wattwire import cbor, frame
from wattwire import records as records_of_wire

T = 1_790_000_000_000
HASH = bytes(range(16))
POINTS = (
    frame.Point("energy_import", "Wh", 0, 10_000),
    frame.Point("power", "W", -1, None),
    frame.Point("voltage", "V", -1, None),
    frame.Point("energy_export", "Wh", 0, None),
    frame.Point("frequency", "Hz", -2, None),
)
STREAM = pv(points=POINTS)


class Meter:
    """A stream whose counters rise, roll over, start anew, and are read less often than its power."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.levels = [draw.choice([0, 9900, 10**7]), draw.choice([0, 4_000_000])]
        self.rises = draw.choice([(0, 1), (0, 3, 20), (0, 50, 200)])
        self.swing = draw.choice([5, 20, 900, 70_000])
        self.slow = draw.choice([1, 1, 3, 10])
        self.odd = draw.choice([0, 0, 0.1])

    def row(self, at):
        draw = self.draw
        self.levels = [level + draw.choice(self.rises) for level in self.levels]
        self.levels[0] %= 10_000
        if draw.random() < self.odd / 4:
            self.levels[draw.randrange(2)] = 0
        values = [
            self.levels[0],
            draw.randint(-self.swing, self.swing),
            2300 + draw.randint(-9, 9),
            self.levels[1],
            5000,
        ]
        if at % self.slow:
            values[0] = values[3] = values[4] = None
        return [None if draw.random() < self.odd else value for value in values]

    def entry(self, start, count):
        columns = zip(*[self.row(at) for at in range(count)], strict=True)
        dt = self.draw.choice(
            [1000, 1000, 10_000, 60_000, 130_000, [self.draw.randint(1, 9999) for _ in range(count - 1)]]
        )
        dt = 0 if count == 1 else dt
        return frame.Entry(0, start, dt, [frame.delta(list(column)) for column in columns])


def record(draw, entries, seq, unix, up=5000):
    body = frame.Rows(HASH, entries)
    return frame.Record(frame.KIND_ROWS, draw.choice([0, 1, 300]), seq, HASH, 1, up, unix, None, body, {})


def span(entry):
    return entry.dt * (frame.row_count(entry) - 1) if isinstance(entry.dt, int) else sum(entry.dt)


def records(draw):
    """Rows records of one stream, most of them without a pause between them."""
    meter = Meter(draw)
    found, at = [], T + draw.randrange(300_000)
    for seq in range(2, 2 + draw.randint(1, 8)):
        entry = meter.entry(0, draw.choice([1, 2, 6, 23, 24, 60]))
        found.append(record(draw, [entry], seq, at, up=seq * 10**7))
        at += span(entry) + draw.choice([1000, 1000, 1000, 1, 90_000, 500_000])
    return found


def payload(draw):
    """The payload of one rows record, at times of several streams, or with something that is rare."""
    entries = [
        Meter(draw).entry(draw.choice([0, 7, 10**6]), draw.choice([1, 2, 5, 23, 24, 60]))
        for _ in range(draw.choice([1, 1, 2, 3]))
    ]
    for entry in entries:
        if draw.random() < 0.2:
            entry.columns[draw.randrange(5)][0] = draw.choice(
                [None, 0, -1, 23, 24, -24, -25, 1 << 32, 1 << 62, -(1 << 62)]
            )
        if draw.random() < 0.1:
            entry.columns[:] = draw.choice([[], entry.columns[:1], entry.columns * 14, [[] for _ in range(3)]])
    unix = draw.choice([None, T, 0, (1 << 63) - 10**7])
    made = record(draw, entries, draw.choice([2, 3, 23, 24, 255, 256, 70_000]), unix)
    made = made._replace(lost=draw.choice([None] * 9 + [(1, 1)]), extra=draw.choice([{}] * 9 + [{40: [1, "x"]}]))
    fields = records_of_wire.to_fields(made)
    if draw.random() < 0.1:
        fields[draw.choice([1, 2, 3, 4, 5, 6, 7, 12, 13])] = draw.choice([None, 0, -1, "1", HASH, [], bytes(15)])
    return cbor.encode(fields)


def mutated(draw, data):
    """Change some bytes, most of them where it may go unnoticed: heads, and small steps beside them."""
    found = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        at = draw.randrange(len(found))
        kind = draw.randrange(4)
        if kind == 0:
            found[at] = draw.choice(b"\x00\x17\x18\x19\x1a\x1b\x20\x37\x38\x39\x3b\x40\x50\x80\x84\x98\xa9\xf6\xf7\xff")
        elif kind == 1:
            found[at : at + 1] = b""
        elif kind == 2:
            found[at:at] = bytes([draw.choice([0, 0x20, 0xF6, 0x18, 0x81, draw.randrange(256)])])
        else:
            found[at : at + 2] = draw.choice(
                [b"\x18\x17", b"\x18\x05", b"\x38\x18", b"\x19\x00", b"\xf6\xf6", b"\x81\x00"]
            )
    return bytes(found)
