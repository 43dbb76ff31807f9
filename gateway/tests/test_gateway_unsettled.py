"""A point whose sources contradict each other is metered, and claimed for only once the owner has confirmed it."""

import runpy
from pathlib import Path

import pytest

from emulator.author import Author, pv

_world = runpy.run_path(str(Path(__file__).with_name("pipeline_world.py")))
Bench, minutes, verdicts = (_world[name] for name in ("Bench", "minutes", "verdicts"))
START, MINUTE = _world["START"], _world["MINUTE"]
LATER = START + 12 * MINUTE


@pytest.fixture
def author() -> Author:
    made: Author = _world["make_author"]()
    return made


def test_nothing_is_claimed_until_it_is_confirmed(author: Author):
    author.streams(START - MINUTE // 4, about={"model": "a board", "unsettled_0": "voltage,energy_export"})
    minutes(author, 0, 12)
    author.streams(LATER - MINUTE // 8)
    minutes(author, 12, 22)
    bench = Bench(author)
    bench.put(*author.frames)
    found = list(verdicts(bench).values())
    doubtful = ("quarantined", ["unsettled_point"])
    assert found == [doubtful, doubtful, doubtful, ("accepted", [])]
    assert [len(one.jobs) for one in bench.intervals()] == [0, 0, 0, 2]
    assert all(one.figures["energy"]["energy_export"] > 0 for one in bench.intervals()), "metered and shown it is"
    bench.check()


@pytest.mark.parametrize("about", [{"unsettled_0": "voltage"}, {"unsettled_1": "power"}, {"unsettled_0": 7}, {}])
def test_what_no_claim_rests_on_disturbs_none(author: Author, about: dict[str, str | int]):
    author.streams(START - MINUTE // 4, pv(), about=about)
    minutes(author, 0, 7)
    bench = Bench(author)
    bench.put(*author.frames)
    assert list(verdicts(bench).values()) == [("accepted", [])]


def test_networks_are_not_told_of_it_either(author: Author):
    author.streams(START - MINUTE // 4, about={"unsettled_0": "voltage"})
    minutes(author, 0, 7)
    bench = Bench(author)
    bench.put(*author.frames)
    (stream,) = bench.reader.streams()
    shown = [set(columns) for _, columns in bench.reader.readings(stream.id, START, LATER)]
    told = [set(columns) for _, columns in bench.reader.readings(stream.id, START, LATER, is_claim=True)]
    assert shown[0] == {"power", "voltage", "energy_export"}
    assert told == [{"power", "energy_export"}] * len(shown)
