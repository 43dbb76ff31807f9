"""Exports of chunks and frames: nothing twice, nothing left out, the same numbers in every form."""

import csv
import io
import json
from pathlib import Path
from runpy import run_path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from emulator.author import POINTS, pv
from wattness.cli import app as command_line
from wattness.clock import Clock
from wattness.config import History
from wattness.store.chronicler import Chronicler, Task
from wattwire import frame

WORLD = run_path(str(Path(__file__).with_name("store_world.py")))
START, MINUTE, opened, put = (WORLD[name] for name in ("START", "MINUTE", "opened", "put"))
DAY = 1440 * MINUTE


@pytest.fixture
async def home(tmp_path):
    """A gateway's home: four days of frames, the older of them in chunks, and a change of exponent."""
    author = WORLD["make_author"]()
    for minute in range(60, 4 * 1440, 40):
        if minute == 1500:
            author.streams(START + minute * MINUTE - 1, pv(points=(frame.Point("power", "W", -1, None), *POINTS[1:])))
        author.rows(START + minute * MINUTE)
    runner = CliRunner()
    assert runner.invoke(command_line, ["--home", str(tmp_path), "init"]).exit_code == 0
    path = WORLD["enrolled"](tmp_path, author)
    clock = Clock(0, START - Clock().real_ms_now() + 5 * DAY, 1)
    async with opened(path, clock=clock, networks=()) as store:
        await put(store, *author.frames)
        before = export(tmp_path, "rows")
        settings = History(raw_days=1, proof_days=1)
        chronicler = Chronicler(Task(str(path), 120_000, settings, (clock.real_ms, clock.civil_ms, clock.rate)))
        while chronicler.step():
            pass
        assert await store.remove_old() > 50
    return tmp_path, before


def export(home, *arguments):
    done = CliRunner().invoke(command_line, ["--home", str(home), "export", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_rows_are_the_same_before_and_after_compaction(home):
    folder, before = home
    old = [json.loads(line) for line in before.splitlines()]
    new = [json.loads(line) for line in export(folder, "rows").splitlines()]
    assert {row["unix_ms"] for row in new if row["log"] is None} != set()
    assert [(row["unix_ms"], row["points"]) for row in new] == [(row["unix_ms"], row["points"]) for row in old]


def test_parquet_holds_scaled_integers_with_unit_and_exponent(home, tmp_path):
    folder, _ = home
    rows = [json.loads(line) for line in export(folder, "rows").splitlines()]
    assert f": {len(rows)} rows" in export(folder, "rows", "--format", "parquet", "--out", str(tmp_path / "out"))
    (file,) = (tmp_path / "out").iterdir()
    table = pq.read_table(file)
    about = {field.name: field.metadata for field in table.schema if field.name != "unix_ms"}
    assert about["power"] == {b"unit": b"W", b"exponent": b"-1"}
    assert about["energy_export"] == {b"unit": b"Wh", b"exponent": b"0"}
    assert table.schema.metadata[b"role"] == b"pv"
    assert table.column("unix_ms").cast(pa.int64()).to_pylist() == [row["unix_ms"] for row in rows]
    for name, scale in (("power", 10), ("voltage", 10), ("energy_export", 1)):
        assert table.column(name).to_pylist() == [round(row["points"][name] * scale) for row in rows]
    column = pq.ParquetFile(file).metadata.row_group(0).column(0)
    assert (column.compression, "DELTA_BINARY_PACKED" in column.encodings) == ("ZSTD", True)


def test_intervals_as_parquet_are_those_of_the_csv(home, tmp_path):
    folder, _ = home
    assert "intervals" in export(folder, "intervals", "--format", "parquet", "--out", str(tmp_path / "out.parquet"))
    lines = list(csv.DictReader(io.StringIO(export(folder, "intervals", "--format", "csv"))))
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert len(found) == len(lines) > 50
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in found] == lines


def test_a_place_that_is_taken_is_refused(home, tmp_path):
    folder, _ = home
    for what, text in (("rows", "Parquet needs --out"), ("rows", "exists already"), ("intervals", "exists already")):
        arguments = ["--home", str(folder), "export", what, "--format", "parquet"]
        arguments += (
            [] if "needs" in text else ["--out", str(folder / "gateway.toml" if what == "intervals" else folder)]
        )
        done = CliRunner().invoke(command_line, arguments)
        assert done.exit_code == 1
        assert text in str(done.exception)
