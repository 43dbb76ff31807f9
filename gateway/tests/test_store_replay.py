"""Replay: what a profile had wrong is shown, then put right in the history, and nowhere else."""

import json
import sys
from pathlib import Path
from runpy import run_path

import pytest

from emulator.author import POINTS, pv
from wattness.cli import main
from wattness.clock import Clock
from wattness.config import History
from wattness.errors import ConfigError
from wattness.store.chronicler import Chronicler, Task
from wattness.store.corrections import Corrections, parse
from wattness.store.reader import open_reader
from wattwire import frame

WORLD = run_path(str(Path(__file__).with_name("store_world.py")))
START, MINUTE, opened, put = (WORLD[name] for name in ("START", "MINUTE", "opened", "put"))
DAY = 1440 * MINUTE
WRONG = bytes(range(16))
HASH = WRONG.hex()


def signed(**changes):
    """A grid meter whose profile says 10^1 Wh for what is 1 Wh, and which is wired the wrong way round."""
    points = (POINTS[0], POINTS[1], frame.Point("energy_export", "Wh", 1, None))
    return pv(**({"role": "grid", "profile_hash": WRONG, "points": points, "rated_w": None} | changes))


@pytest.fixture
async def home(tmp_path, monkeypatch, capsys):
    """A gateway's home with three days, two of them in chunks; `run` is its command line."""

    def run(*arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["wattness", "--home", str(tmp_path), *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code, output.out, output.err

    assert run("init")[0] == 0
    author = WORLD["make_author"]()
    author.streams(START + 30 * MINUTE, signed())
    for minute in range(60, 3 * 1440, 30):
        author.rows(START + minute * MINUTE)
    path = WORLD["enrolled"](tmp_path, author)
    clock = Clock(0, START - Clock().real_ms_now() + 4 * DAY, 1)
    async with opened(path, clock=clock) as store:
        await put(store, *author.frames)
        store._connection.execute("UPDATE job SET state = 'completed'")
    task = Task(str(path), 120_000, History(raw_days=1, proof_days=1), (clock.real_ms, clock.civil_ms, clock.rate))
    chronicler = Chronicler(task)
    while chronicler.step():
        pass
    return path, run


def correction(folder, **points):
    file = folder / "fix.json"
    file.write_text(json.dumps({"profile": HASH, "points": points}))
    return str(file)


def state(path):
    with open_reader(path) as reader:
        reach = (START - DAY, START + 4 * DAY)
        return (
            {name: reader.history(1, name, *reach, "1h").rows for name in ("power", "voltage", "energy_export")},
            [content(view) for view in reader.export_intervals()],
            [view.raw for view in reader.export_frames()],
        )


def content(view):
    return view.a, view.figures, view.root, view.evidence, len(view.jobs)


def test_the_difference_is_shown_and_nothing_is_changed(home):
    path, run = home
    before = state(path)
    code, out, error = run("replay", correction(path.parent, energy_export={"exponent": 0}, power={"sign": -1}))
    assert (code, error) == (0, "")
    assert "for example" in out
    assert "--apply" in out
    assert "keep their figures" in out
    assert state(path) == before
    found = json.loads(run("replay", correction(path.parent, energy_export={"exponent": 0}), "--json")[1])
    (stream,) = found["streams"]
    (point,) = stream["points"]
    assert point["point"] == "energy_export"
    assert point["old"] == 10 * point["new"] > 0
    assert point["values"] == 6 * 142
    right = 1000 * 710 // 3600  # the first rows were signed with another profile
    assert stream["export_wh"][0] - right == pytest.approx(10 * (stream["export_wh"][1] - right), rel=0.01)
    assert stream["intervals_claimed"] == stream["intervals_kept"] > 100
    assert found["applied"] is False


def test_it_is_applied_to_frames_and_chunks_and_to_nothing_that_was_signed(home):
    path, run = home
    rows, intervals, frames = state(path)
    fix = correction(path.parent, energy_export={"exponent": 0}, power={"sign": -1, "name": "power"})
    assert "It is applied" in run("replay", fix, "--apply")[1]
    new_rows, new_intervals, new_frames = state(path)
    assert (new_intervals, new_frames) == (intervals, frames)
    assert new_rows["voltage"] == rows["voltage"]
    signed_from = START + 60 * MINUTE
    for name, turned in (("power", lambda row: [-row[1], -row[3], -row[2]]), ("energy_export", None)):
        for old, new in zip(rows[name], new_rows[name], strict=True):
            if old[0] <= signed_from < old[0] + 3_600_000:
                continue  # both are in it
            if old[0] < signed_from:
                assert new == old
            elif turned:
                assert new[1:] == turned(old)
            else:
                assert [10 * value for value in new[1:]] == pytest.approx(old[1:])
    with open_reader(path) as reader:
        newest = reader.values(1, "power", 0, 20_000)
    assert all(value < 0 for at, value in newest if at >= signed_from)
    told = [json.loads(line) for line in run("export", "rows")[1].splitlines()]
    assert all(row["points"]["power"] < 0 for row in told if row["unix_ms"] >= signed_from)
    assert "No row that is held changes" not in run("replay", fix)[1]  # once more would turn it back


def test_a_point_gets_its_right_name(home):
    path, run = home
    assert "→ energy_import" in run("replay", correction(path.parent, energy_export={"name": "energy_import"}))[1]
    run("replay", correction(path.parent, energy_export={"name": "energy_import"}), "--apply")
    with open_reader(path) as reader:
        reach = (START - DAY, START + 4 * DAY)
        assert len(reader.history(1, "energy_import", *reach, "1h").rows) > 60
        assert {row[0] for row in reader.history(1, "energy_export", *reach, "1h").rows} == {
            START // 3_600_000 * 3_600_000
        }


def test_profiles_in_use_are_listed_and_another_profile_may_be_named(home, tmp_path):
    _, run = home
    listed = json.loads(run("replay", "--json")[1])
    assert {described["hash"] for described in listed} == {HASH, bytes(16).hex()}
    assert HASH in run("replay")[1]
    found = json.loads(run("replay", "--profile", "eastron_sdm120", "--of", HASH, "--json")[1])
    assert found["correction"]["profile"] == HASH
    assert set(found["correction"]["points"]) <= {"power", "voltage", "energy_export"}
    code, _, error = run("replay", "--profile", "eastron_sdm120")
    assert (code, "--of HASH" in error) == (2, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "fix"),
        ('{"profile": "12", "points": {"power": {"sign": -1}}}', "32 hexadecimal"),
        (f'{{"profile": "{HASH}"}}', "must name from 1"),
        (f'{{"profile": "{HASH}", "points": {{"power": {{}}}}}}', "must change something"),
        (f'{{"profile": "{HASH}", "points": {{"power": {{"sign": 0}}}}}}', "1 or -1"),
        (f'{{"profile": "{HASH}", "points": {{"power": {{"exponent": 99}}}}}}', "exponent"),
        (f'{{"profile": "{HASH}", "pionts": {{}}}}', "pionts"),
    ],
)
def test_a_correction_that_is_none_is_refused(text, words):
    with pytest.raises(ConfigError, match=words):
        parse(text, "fix")


def test_a_later_correction_is_applied_to_what_an_earlier_one_made():
    first = parse(f'{{"profile": "{HASH}", "points": {{"power": {{"name": "active", "sign": -1}}}}}}', "a")
    second = parse(f'{{"profile": "{HASH}", "points": {{"active": {{"exponent": 3}}}}, "inverted": true}}', "b")
    corrections = Corrections([first, second])
    found = corrections.stream(signed())
    assert (found.points[0].name, found.points[0].exponent, found.inverted) == ("active", 3, True)
    assert corrections.negated(signed()) == {"active"}
    assert corrections.stream(pv()) == pv()
