"""The sun's table and the rules that need it: made by a child, never in the gateway's process."""

import subprocess
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattness.config import parse
from wattness.errors import ConfigError
from wattness.quality import Facts, Judge, Memory, sun, unapplied
from wattness.quality.facts import Stat
from wattness.site import Plane, Site

SITE = Site(39.742, -105.178, altitude_m=1800, pv=[Plane(45, 158), Plane(10, 0, peak_w=4000, device="shed")])
NOON = 1_647_715_200_000  # 2022-03-19 18:40 UTC: near noon there
MIDNIGHT = NOON - 43_200_000
LENGTH = 300_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sun")


@pytest.fixture(scope="module")
def sky(folder):
    return sun.load(SITE, folder)


def codes(sky, at, watts, *, rated_w=6000, device="0"):
    power = Stat(30, watts * 1000, watts * 1000, watts * 1000 - 1, watts * 1000, watts * 1000)
    at -= at % LENGTH
    found = Facts(device, "pv", rated_w, at, at + LENGTH, LENGTH, at, power, 0.0, 0.0, {}, {}, (), {}, {})
    return Judge(sky).judge(found, Memory(), lambda _: "").codes - {"power_above_rated"}


def test_the_sun_stands_where_it_should(sky):
    assert 49 < sky.elevation(NOON, NOON + LENGTH) < 51
    assert sky.elevation(MIDNIGHT, MIDNIGHT + LENGTH) < -45
    assert sky.elevation(NOON + 365 * 86_400_000, NOON + 365 * 86_400_000 + 1) == pytest.approx(50, abs=1)
    assert 1000 < sky.light(None, NOON, NOON + LENGTH) < 1300
    assert sky.light(0, MIDNIGHT, MIDNIGHT + LENGTH) == 0
    assert sky.elevation(10**30, 10**30 + 1) is None
    year_end = 1_672_531_200_000
    assert sky.elevation(year_end - LENGTH, year_end + LENGTH) is not None


@settings(deadline=None)
@given(st.integers(-5, 12), st.integers(60, 6000), st.integers(-150, 150))
def test_night_production(sky, honest, watts, minutes):
    at = MIDNIGHT + minutes * 60_000
    assert codes(sky, at, honest) == set()
    assert codes(sky, at, watts) == {"night_production"}
    assert codes(sky, at, -watts) == {"night_draw"}
    assert codes(None, at, watts) == set()


@settings(deadline=None)
@given(st.integers(0, 6540), st.integers(-60, 60))
def test_clear_sky_ceiling(sky, watts, minutes):
    assert codes(sky, NOON + minutes * 60_000, watts) == set()
    assert codes(sky, NOON + minutes * 60_000, watts + 15_000) == {"above_clear_sky"}
    assert codes(sky, NOON - 6 * 3_600_000, watts + 2000) == {"above_clear_sky"}


def test_planes_are_those_of_the_device(sky):
    assert codes(sky, NOON, 5500, device="0") == set()
    assert codes(sky, NOON, 7000, device="shed", rated_w=None) == {"above_clear_sky"}
    assert codes(sky, NOON, 3000, device="shed", rated_w=None) == set()
    assert codes(sky, NOON, 99_000, device="0", rated_w=None) == set()


def test_the_table_is_kept_and_a_broken_one_is_made_anew(sky, folder, monkeypatch):
    (path,) = folder.glob("*.sun")
    table = path.read_bytes()
    monkeypatch.setattr(sun, "_make", lambda _place: table)
    kept = path.stat().st_mtime_ns
    assert sun.load(SITE, folder).elevation(NOON, NOON + 1) == sky.elevation(NOON, NOON + 1)
    assert path.stat().st_mtime_ns == kept
    path.write_bytes(b"short")
    assert sun.load(SITE, folder).elevation(NOON, NOON + 1) == sky.elevation(NOON, NOON + 1)
    assert path.read_bytes() == table


def test_a_child_that_fails_is_named(monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ConfigError, match="table cannot be computed"):
        sun.load(SITE, None)


def test_the_gateway_never_holds_pvlib(folder, sky):
    program = f"""
        import sys
        from pathlib import Path
        from wattness import app, cli, quality
        from wattness.quality import days, sun
        from wattness.site import Plane, Site
        site = Site(39.742, -105.178, altitude_m=1800, pv=[Plane(45, 158), Plane(10, 0, peak_w=4000, device="shed")])
        judge = quality.judge_of(site, Path({str(folder)!r}))
        assert judge.sun is not None
        print(sorted(set(sys.modules) & {{"pvlib", "pandas", "scipy", "numpy", "h5py"}}))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_without_a_site_the_rules_say_that_they_are_not_applied():
    assert unapplied(SITE) == {}
    assert set(unapplied(None)) == {"night_production", "night_draw", "above_clear_sky"}
    assert set(unapplied(None, "load")) == set()
    assert set(unapplied(SITE, zoned=False)) == {"night_production", "night_draw", "above_clear_sky"}
    assert set(unapplied(SITE, rated=False)) == {"power_above_rated", "counter_jump"}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("latitude = 91\nlongitude = 5", "$.site.latitude"),
        ("latitude = 51", "longitude"),
        ('latitude = 51\nlongitude = 5\ntimezone = "Mars"', "$.site.timezone"),
        ("latitude = 51\nlongitude = 5\n[[site.pv]]\ntilt_deg = 95\nazimuth_deg = 180", "$.site.pv"),
        ("latitude = 51\nlongitude = 5\n[[site.pv]]\ntilt_deg = 30\nazimut_deg = 180", "azimut"),
    ],
)
def test_a_wrong_site_is_refused_by_its_path(text, path, tmp_path):
    with pytest.raises(ConfigError, match=path.replace("$", r"\$")):
        parse(f"[site]\n{text}\n", tmp_path)


def test_a_site_is_read(tmp_path):
    text = "[site]\nlatitude = 51\nlongitude = 5\n[[site.pv]]\ntilt_deg = 30\nazimuth_deg = 180\n"
    assert parse(text, tmp_path).site == Site(51, 5, pv=[Plane(30, 180)])
