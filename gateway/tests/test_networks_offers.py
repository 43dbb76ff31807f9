"""What networks without a public path can be given: its form, that it is true, and what it does not tell."""

import json
import runpy
import sys
from pathlib import Path

import h3
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattness.cli import main
from wattness.config import parse
from wattness.errors import ConfigError
from wattness.networks import CATALOG
from wattness.networks.pathless import PATHLESS
from wattness.offers import mobility, openadr, spans
from wattness.offers.cell import cell
from wattness.site import Site
from wattness.store.history import HistoryView
from wattness.store.reader import Reader

HERE = Path(__file__).parent
WORLD = runpy.run_path(str(HERE / "rewards_world.py"))
Books, day, BEGIN, DAY_MS = WORLD["Books"], WORLD["day"], WORLD["BEGIN"], WORLD["DAY_MS"]
SCHEMA = json.loads((HERE / "openadr3.json").read_text())
HOUR = 3_600_000
KID = "0102030405060708"


def check(kind, value):
    jsonschema.validate(value, {**SCHEMA, "$ref": f"#/$defs/{kind}"})


def figures(energy_import=None, energy_export=None, covered_ms=HOUR):
    energy = {"energy_import": energy_import, "energy_export": energy_export}
    known = {name: value for name, value in energy.items() if value is not None}
    return json.dumps({"energy": known, "covered_ms": covered_ms, "rows": 9})


@pytest.fixture
def books(tmp_path):
    books = Books(tmp_path)
    books.stream(1, "pv", "a1")
    books.stream(2, "grid", "a2")
    books.stream(3, "vehicle", "a3")
    for hour in range(24):
        books.interval(1, "pv", day(0, hour), figures=figures(0, 1_500_000))
        books.interval(2, "grid", day(0, hour), figures=figures(250_000, 750_000, HOUR // 2))
    books.interval(3, "vehicle", day(0, 3), figures=figures(7_400_000))
    return books


@pytest.fixture
def offer(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WATTNESS_HOME", str(tmp_path))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["wattness", "offer", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        assert (ended.value.code == 0) == (not output.err), output.err
        return output.out or output.err

    return run


DAY = ("--from", "2026-11-01")


def test_energy_is_told_as_openadr_has_it(books, offer):
    told = json.loads(offer("energy", *DAY))
    check("event", told["event"])
    check("report", told["report"])
    assert told["event"]["intervalPeriod"] == {"start": "2026-10-31T23:00:00Z", "duration": "PT86400S"}
    solar, grid = told["report"]["resources"]
    assert solar["resourceName"].startswith("pv-")
    assert len(solar["intervals"]) == len(grid["intervals"]) == 24
    assert {one["type"]: one["values"] for one in grid["intervals"][0]["payloads"]} == {
        "USAGE": [0.25], "EXPORT_USAGE": [0.75], "DATA_QUALITY": ["OK"], "COVERAGE": [50.0],
    }  # fmt: skip
    assert "vehicle" not in json.dumps(told)
    assert KID not in json.dumps(told)


def test_an_event_is_answered_where_it_lies(books, offer, tmp_path):
    file = tmp_path / "event.json"
    asked = {
        "id": "ev-1",
        "programID": "react",
        "intervals": [
            {"id": 0, "intervalPeriod": {"start": "2026-11-01T02:00:00+01:00", "duration": "PT1H"}, "payloads": []},
            {"id": 1, "intervalPeriod": {"start": "2026-11-01T03:00:00+01:00", "duration": "PT1H30M"}, "payloads": []},
        ],
    }
    file.write_text(json.dumps(asked))
    told = json.loads(offer("energy", "--event", str(file)))
    check("report", told["report"])
    assert (told["report"]["programID"], told["report"]["eventID"]) == ("react", "ev-1")
    starts = [one["intervalPeriod"]["start"] for one in told["report"]["resources"][0]["intervals"]]
    assert starts == ["2026-11-01T01:00:00Z", "2026-11-01T02:00:00Z", "2026-11-01T03:00:00Z"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no JSON"),
        ("[]", "no OpenADR 3 event"),
        ('{"objectType": "REPORT"}', "no OpenADR 3 event"),
        ("{}", "no intervalPeriod"),
        ('{"intervalPeriod": {"start": "2026-11-01T02:00:00", "duration": "PT1H"}}', "no intervalPeriod"),
        ('{"intervalPeriod": {"start": "2026-11-01T02:00:00Z", "duration": "P"}}', "no intervalPeriod"),
        ('{"intervalPeriod": {"start": "2026-11-01T02:00:00Z", "duration": "PT0S"}}', "no intervalPeriod"),
        ('{"intervalPeriod": {"start": "2026-11-01T02:00:00Z", "duration": "P99W"}}', "longer than 7 days"),
        ('{"intervals": [1], "intervalPeriod": {"start": 3}}', "no intervalPeriod"),
    ],
)
def test_what_is_no_event_is_refused(books, offer, tmp_path, text, sentence):
    (tmp_path / "event.json").write_text(text)
    assert sentence in offer("energy", "--event", str(tmp_path / "event.json"))


KEYS = st.sampled_from(["intervals", "intervalPeriod", "start", "duration"])
EVENTS = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
)


@given(EVENTS)
def test_any_event_has_a_reach_or_is_none(value):
    if isinstance(value, dict):
        try:
            since, until = openadr.reach(value)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return
        assert since < until


def test_cars_are_told_without_their_places(books, offer):
    (told,) = [json.loads(line) for line in offer("mobility", *DAY).splitlines()]
    assert told == {
        "vehicle": told["vehicle"],
        "record": "energy",
        "from": "2026-11-01T02:00:00Z",
        "to": "2026-11-01T03:00:00Z",
        "charged_kwh": 7.4,
        "given_kwh": None,
        "coverage_percent": 100.0,
        "verdict": "accepted",
    }
    assert told["vehicle"].startswith("vehicle-")
    assert KID not in json.dumps(told)


class Driven(Reader):
    """A car's odometer by the hour."""

    def __init__(self, *rows):
        self.rows = [[at * HOUR, None, None, km] for at, km in rows]

    def history(self, stream_id, point, from_ms, to_ms, step="auto"):
        return HistoryView(stream_id, point, "km", HOUR, self.rows) if self.rows else None


def test_distances_are_told_between_hours_that_are_known():
    reader = Driven((0, 100.0), (1, 112.25), (2, 112.25), (4, 130), (5, None), (6, 131), (7, 90))
    told = list(mobility._distances(reader, "car", 1, 0, 9 * HOUR))
    assert [(one["from"], one["distance_km"]) for one in told] == [
        ("1970-01-01T01:00:00Z", 12.25),
        ("1970-01-01T02:00:00Z", 0.0),
    ]
    assert list(mobility._distances(Driven(), "car", 1, 0, 9 * HOUR)) == []


def test_too_many_days_are_refused(books, offer):
    assert "At most 7 days" in offer("energy", *DAY, "--to", "2026-11-30")
    assert "At most 366 days" in offer("mobility", *DAY, "--to", "2028-11-30")
    assert offer("mobility", "--from", "2026-11-02") == ""


@given(st.floats(-89, 89), st.floats(-179, 179), st.integers(0, 9))
def test_the_cell_holds_the_site_and_no_more(latitude, longitude, resolution):
    told = cell(Site(latitude, longitude, h3_resolution=resolution))
    assert set(told) == {"h3_cell", "h3_resolution", "area_km2"}
    assert h3.get_resolution(told["h3_cell"]) == resolution
    assert h3.latlng_to_cell(latitude, longitude, resolution) == told["h3_cell"]


def test_the_cell_is_coarse_unless_the_owner_says_otherwise(books, offer):
    told = json.loads(offer("cell"))
    assert told["h3_resolution"] == 5
    assert told["area_km2"] > 100
    assert "52.5" not in json.dumps(told)
    (books.home / "gateway.toml").write_text("")
    assert "$.site: is missing" in offer("cell")
    with pytest.raises(ConfigError, match="h3_resolution"):
        parse("[site]\nlatitude = 1\nlongitude = 1\nh3_resolution = 12\n", Path())


@given(st.integers(0, 4_000_000_000_000))
def test_instants_can_be_read(at):
    assert openadr.datetime.fromisoformat(spans.instant(at)).timestamp() * 1000 == pytest.approx(at, abs=1)


def test_every_closed_network_says_why_and_what_it_can_be_given():
    assert {"hivemapper", "natix", "react", "daylight", "xnet", "starpower", "weatherxm", "helium"} <= PATHLESS.keys()
    for name, kind in PATHLESS.items():
        assert CATALOG[name] is kind
        assert not kind.module
        assert kind.status in {"no public path", "transport only", "compute operator"}
        assert ". Today " in kind.gate
