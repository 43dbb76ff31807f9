"""Evidence: dating, streams that change, inverted wiring, and the same figures as the clauses give."""

import json
import runpy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattwire import evidence, frame
from wattwire.errors import WireError

TESTS = Path(__file__).resolve().parent
reference = runpy.run_path(str(TESTS / "interval_reference.py"))["figures"]
VECTORS = json.loads((TESTS / "vectors.json").read_text())
T = 1_790_000_000_000
POINTS = (frame.Point("power", "W", -1, None), frame.Point("energy_export", "Wh", 0, None))
PV = frame.Stream("pv", "maker_model", bytes(16), 1, POINTS, None, None, False)


class Board:
    """Numbers records as a board does."""

    def __init__(self, log=0):
        self.log = log
        self.boot = 1
        self.prev = bytes(16)
        self.records = []
        self.streams_hash = bytes(16)

    def add(self, kind, body, up, unix):
        seq = len(self.records) + 1
        record = frame.Record(kind, self.log, seq, self.prev, self.boot, up, unix, None, body, {})
        self.prev = frame.prev_of(frame.encode(record))
        self.records.append(record)
        return record

    def streams(self, *streams, up=0, unix=None):
        self.add(1, frame.Streams(streams, {}, bytes(32), None), up, unix)
        self.streams_hash = self.prev

    def rows(self, up, unix, *columns, dt=1000, stream=0):
        entry = frame.Entry(stream, 0, dt, [frame.delta(list(column)) for column in columns])
        return self.add(2, frame.Rows(self.streams_hash, [entry]), up, unix)


def dated_board(*streams):
    board = Board()
    board.streams(*(streams or (PV,)), unix=T)
    return board


def test_vectors_come_out_of_their_frames():
    records = [frame.decode(bytes.fromhex(case["payload"])) for case in VECTORS["frames"]]
    names = ("power", "energy_export")
    times, columns, stream = evidence.stream_rows(records[::-1], "0", names)
    assert stream == records[0].body.streams[0]
    rows = [[t, {name: columns[name][at] for name in names}] for at, t in enumerate(times)]
    assert rows == VECTORS["rows"]
    assert sorted(columns) == sorted(names)
    for case in VECTORS["intervals"]:
        if case["counters"]:
            assert evidence.figures(records, "0", case["a"], case["b"]) == case["figures"]


def test_undated_frames_are_dated_by_the_first_dated_one_of_their_boot():
    board = Board(log=3)
    board.streams(PV)
    board.rows(1000, None, [1, 2], [10, 20])
    board.rows(5000, T + 5000, [3], [30])
    board.rows(9000, T + 9900, [4], [40])  # the clock was set again: it dates itself only
    board.boot = 2
    board.rows(1000, None, [5], [50])
    found = evidence.collect(board.records, "0")
    assert found.times == [T + 1000, T + 2000, T + 5000, T + 9900]
    assert found.columns == {"power": [100, 200, 300, 400], "energy_export": [10_000, 20_000, 30_000, 40_000]}
    assert (found.undated, found.late, found.foreign, found.unknown) == (1, 0, 0, 0)
    assert evidence.dates(board.records) == {(3, 1): T}
    assert evidence.unix_of_up(board.records[1], {(3, 1): T}) == T + 1000
    assert evidence.unix_of_up(board.records[-1], {(3, 1): T}) is None


def test_rows_that_are_not_later_are_left_out_and_counted():
    board = dated_board()
    board.rows(1000, T + 1000, [1, 2, 3], [1, 2, 3])
    board.rows(5000, T + 2000, [9, 9, 4, 5], [9, 9, 4, 5])
    board.rows(9000, T + 9000, [6, 7], [6, 7], dt=0)
    found = evidence.collect(board.records, "0")
    assert found.times == [T + 1000, T + 2000, T + 3000, T + 4000, T + 5000, T + 9000]
    assert found.columns["energy_export"] == [1000, 2000, 3000, 4000, 5000, 6000]
    assert found.late == 3


def test_a_stream_may_change_its_exponents_and_points():
    board = dated_board()
    board.rows(1000, T + 1000, [10, 11], [1, 2])
    finer = (
        frame.Point("energy_export", "Wh", -2, None),
        frame.Point("frequency", "Hz", -2, None),
        frame.Point("power", "W", -4, None),
    )
    board.streams(PV._replace(profile="another", points=finer), up=3000, unix=T + 3000)
    board.rows(4000, T + 4000, [312, 400], [5001, None], [125_019, -125_019])
    times, columns, stream = evidence.stream_rows(board.records, "0")
    assert stream.profile == "another"
    assert times == [T + 1000, T + 2000, T + 4000, T + 5000]
    assert columns == {
        "power": [1000, 1100, 12_501, -12_502],  # floored toward −∞
        "energy_export": [1000, 2000, 3120, 4000],
        "frequency": [None, None, 50_010, None],
    }
    figures = evidence.figures(board.records, "0", T, T + 10_000)
    assert figures["energy"] == {"energy_export": 3000}
    assert evidence.collect(board.records, "0", None, T + 4000).stream.profile == "maker_model"
    assert evidence.collect(board.records, "0", None, T).stream.profile == "maker_model"


def test_a_stream_that_changes_its_role_is_another_one():
    board = dated_board()
    board.rows(1000, T + 1000, [10, 11], [1, 2])
    board.streams(PV._replace(role="load"), up=3000, unix=T + 3000)
    board.rows(4000, T + 4000, [12, 13, 14], [3, 4, 5])
    found = evidence.collect(board.records, "0")
    assert (found.stream.role, found.times, found.foreign) == ("load", [T + 4000, T + 5000, T + 6000], 2)
    before = evidence.collect(board.records, "0", None, T + 4000)
    assert (before.stream.role, before.times, before.foreign) == ("pv", [T + 1000, T + 2000], 3)


INVERTED_POINTS = (
    "power",
    "power_l2",
    "power_1",
    "power_factor",
    "reactive_power",
    "dc_power",
    "current",
    "current_l3",
    "voltage_l1",
)
ENERGIES = ("energy_import", "energy_export_l1", "energy_export")


def test_inverted_wiring_is_put_right():
    units = {"energy_import": "Wh", "energy_export": "Wh", "power": "W"}
    points = tuple(frame.Point(name, units.get(name, "x"), -3, 5000) for name in INVERTED_POINTS + ENERGIES)
    stream = PV._replace(role="grid", points=points, inverted=True)
    board = dated_board(stream)
    board.rows(1000, T + 1000, *[[at + 1, None] for at in range(len(points))])
    _, columns, _ = evidence.stream_rows(board.records, "0")
    assert {name: column[0] for name, column in columns.items()} == {
        "power": -1,
        "power_l2": -2,
        "power_1": -3,
        "power_factor": 4,
        "reactive_power": 5,
        "dc_power": 6,
        "current": -7,
        "current_l3": -8,
        "voltage_l1": 9,
        "energy_export": 10,
        "energy_import_l1": 11,
        "energy_import": 12,
    }
    assert {column[1] for column in columns.values()} == {None}
    assert evidence.counters(stream) == (("energy_export", 5000), ("energy_import", 5000))
    assert evidence.counters(stream._replace(inverted=False)) == (("energy_import", 5000), ("energy_export", 5000))


def test_inversion_comes_before_the_floor():
    board = dated_board(PV._replace(points=(frame.Point("power", "W", -4, None),), inverted=True))
    board.rows(1000, T + 1000, [15, -15, None])
    assert evidence.stream_rows(board.records, "0")[1] == {"power": [-2, 1, None]}
    board = dated_board(PV._replace(points=(frame.Point("power", "W", -4, None),), inverted=True))
    board.rows(1000, T + 1000, [15, -15])
    assert evidence.stream_rows(board.records, "0")[1] == {"power": [-2, 1]}


def test_a_point_in_a_foreign_unit_makes_no_figures():
    points = (frame.Point("power", "kW", 0, None), frame.Point("energy_export", "kWh", 0, None))
    board = dated_board(PV._replace(points=points))
    board.rows(1000, T + 1000, [1, 2], [3, 4])
    figures = evidence.figures(board.records, "0", T, T + 9000)
    assert (figures["rows"], figures["covered_ms"], figures["energy"]["energy_export"]) == (2, 0, 0)


@pytest.mark.parametrize(
    ("modulus", "exponent", "expected"),
    [(None, 0, None), (1000, 0, 1_000_000), (1000, -3, 1000), (65_536, -4, 6553), (5, -4, None)],
)
def test_modulus_in_milli_units(modulus, exponent, expected):
    stream = PV._replace(points=(frame.Point("energy_import", "Wh", exponent, modulus),))
    assert evidence.counters(stream) == (("energy_import", expected),)


@pytest.mark.parametrize(
    ("value", "exponent", "expected"),
    [(5, 0, 5000), (5, -3, 5), (-5, -4, -1), (5, -4, 0), (-5, 2, -500_000), (7, -18, 0), (-7, -18, -1)],
)
def test_to_milli(value, exponent, expected):
    assert evidence.to_milli(value, exponent) == expected


def test_devices():
    serial = bytes(range(16))
    body = frame.Streams((PV, PV._replace(serial=serial)), {}, bytes(32), None)
    assert evidence.devices(body) == ["0", serial.hex()]
    assert [evidence.device(stream, at) for at, stream in enumerate(body.streams)] == evidence.devices(body)
    shared = body._replace(streams=(PV._replace(serial=serial), PV._replace(serial=serial, role="battery")))
    assert evidence.devices(shared) == ["0", "1"]


def test_a_device_is_found_by_its_serial_at_any_index():
    serial = bytes(range(16))
    meter = PV._replace(serial=serial)
    board = dated_board(PV, meter)
    board.rows(1000, T + 1000, [1], [1], stream=1)
    board.streams(meter, up=2000, unix=T + 2000)
    board.rows(3000, T + 3000, [2], [2], stream=0)
    assert evidence.collect(board.records, serial.hex()).columns["power"] == [100, 200]
    assert evidence.collect(board.records, "0").times == []


def test_entries_that_fit_no_streams_record_are_counted():
    board = dated_board()
    board.rows(1000, T + 1000, [1], [1], stream=1)
    board.rows(2000, T + 2000, [1])
    board.rows(2500, T + 2500, [], [])
    board.streams_hash = bytes(16)
    board.rows(3000, T + 3000, [1], [1])
    board.add(3, frame.Health({"heap_free": 5}), 4000, T + 4000)
    found = evidence.collect(board.records, "0")
    assert (found.unknown, found.times, found.stream) == (3, [], PV)
    with pytest.raises(WireError):
        evidence.entry_rows(board.records[2].body.entries[0], PV, T)


def test_without_a_descriptor_there_are_no_figures():
    board = dated_board()
    with pytest.raises(WireError) as caught:
        evidence.figures(board.records, "7", T, T + 1000)
    assert caught.value.reason == "unknown_stream"
    assert evidence.stream_rows([], "0") == ([], {}, None)
    assert evidence.figures(board.records, "0", T, T + 1000)["rows"] == 0


@st.composite
def boards(draw):
    """A board of several boots, and its stream's rows as anybody would read them off the records."""
    board = Board()
    exponents = draw(st.tuples(st.integers(-5, 1), st.integers(-5, 1)))
    names = draw(st.sampled_from([("power",), ("power", "energy_import")]))
    units = evidence.FIGURE_UNITS
    points = tuple(frame.Point(name, units[name], exponents[at], None) for at, name in enumerate(names))
    stream = PV._replace(role=draw(st.sampled_from(frame.ROLES)), points=points)
    rows = []
    start = T
    for boot in range(draw(st.integers(1, 3))):
        board.boot = boot
        board.streams(stream)
        up = draw(st.integers(0, 1000))
        size = draw(st.integers(1, 3))
        undated = draw(st.integers(0, size))
        for number in range(size):
            steps = draw(st.lists(st.integers(1, 130_000), min_size=1, max_size=5))
            values = st.lists(st.none() | st.integers(-(10**6), 10**6), min_size=len(steps), max_size=len(steps))
            columns = [draw(values) for _ in names]
            board.rows(up, None if number < undated else start + up, *columns, dt=steps[1:])
            if undated < size:
                rows += read_off(start + up, steps, columns, names, exponents)
            up += sum(steps)
        start += up + 5000
    return board.records, rows, stream.role, names


def read_off(at, steps, columns, names, exponents):
    for row, step in enumerate([0, *steps[1:]]):
        at += step
        milli = [
            None if column[row] is None else evidence.to_milli(column[row], exponent)
            for column, exponent in zip(columns, exponents, strict=False)
        ]
        yield at, dict(zip(names, milli, strict=True))


@settings(max_examples=200)
@given(boards(), st.integers(-1000, 600_000), st.integers(1, 900_000))
def test_figures_are_what_the_clauses_say(case, start, length):
    records, rows, role, names = case
    counters = tuple((name, None) for name in names[1:])
    a, b = T + start, T + start + length
    assert evidence.figures(records, "0", a, b) == reference(rows, role, counters, a, b)
